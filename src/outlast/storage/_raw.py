"""Read the bytes of a file that SQLite may have open in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from outlast.storage._extras import require
from outlast.storage._failures import translate


class RawFile:
    """Read bytes of a file and leave SQLite its locks.

    The system lets go of all locks that a process has on a file when the process closes any descriptor of it. Whoever
    opened a file beside SQLite and closed it again would take SQLite's locks away, and another process that ends could
    take itself for the last one and delete the log, into which this one goes on to write. SQLite's own layer keeps such
    a descriptor open until no lock is needed any more.

    Thread-safe: yes.

    Args:
        path: The file; where there is none, it is empty.

    Raises:
        StorageError: It cannot be opened.

    Source: sqlite.org/howtocorrupt.html, section 2.2.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._apsw = require("apsw", extra="store", purpose="the file")
        self._file: Any = None
        self.size = 0
        """Its bytes, as it was opened."""
        if path.exists():
            flags = self._apsw.SQLITE_OPEN_READONLY | self._apsw.SQLITE_OPEN_MAIN_DB
            self._file = self._told(self._apsw.VFSFile, "", str(path), [flags, 0])
            self.size = int(self._told(self._file.xFileSize))

    def read(self, at: int, length: int) -> bytes:
        """Return bytes from a place on; fewer where the file ends."""
        length = min(length, self.size - at)
        found: bytes = self._told(self._file.xRead, length, at) if length > 0 else b""
        return found.ljust(max(0, length), b"\0")  # zeros at the end may be left out where it has become shorter

    def _told(self, call: Any, *args: Any) -> Any:
        try:
            return call(*args)
        except self._apsw.Error as error:
            raise translate(error, str(self._path)) from error

    def close(self) -> None:
        """Close it; a second close does nothing."""
        if self._file is not None:
            self._file.xClose()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
