r"""What an application asked for and was told, one line of JSON each, on disk before the application goes on.

The observer counts from these lines, so they are written by the application itself, at the moment at which its user
would know. Times are Unix seconds.

    {"kind": "ask", "write", "note", "at"}               a write is about to be asked for
    {"kind": "ack", "write", "note", "at"}               the write was acknowledged
    {"kind": "refused", "write", "note", "error", "at"}  the write was given up, and its asker told so
    {"kind": "read", "note", "asked", "at", "answered", "write", "age", "stale", "source", "error"}

Of a read, `asked` and `at` are when it began and ended; `write` is the id of the write that the answer shows, null for
a note known not to exist; `age` is how old the answer says it is, in seconds; `error` is null when it was answered.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self


class Ledger:
    """Append to a ledger; every method returns after its line is on disk (fsync).

    A last line that a kill has torn is cut off when the file is opened again: nobody was told that it was written.
    Not thread-safe.

    Args:
        path: File to append to; made when it is missing.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        _cut_torn_line(self._file)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def ask_write(self, write: str, note: str, *, at: float) -> None:
        """Write down that a write is about to be asked for."""
        self._append({"kind": "ask", "write": write, "note": note, "at": at})

    def ack(self, write: str, note: str, *, at: float) -> None:
        """Write down that a write was acknowledged."""
        self._append({"kind": "ack", "write": write, "note": note, "at": at})

    def refused(self, write: str, note: str, *, error: str, at: float) -> None:
        """Write down that a write was given up and its asker told so."""
        self._append({"kind": "refused", "write": write, "note": note, "error": error, "at": at})

    def read(
        self, note: str, *, asked: float, at: float, write: str | None, age: float, stale: bool, source: str
    ) -> None:
        """Write down a read that was answered; `write` None says that the note is known not to exist."""
        outcome = {"answered": True, "write": write, "age": age, "stale": stale, "source": source, "error": None}
        self._append({"kind": "read", "note": note, "asked": asked, "at": at, **outcome})

    def unanswered(self, note: str, *, asked: float, at: float, error: str, source: str = "none") -> None:
        """Write down a read that ended without an answer."""
        outcome = {"answered": False, "write": None, "age": 0.0, "stale": False, "source": source, "error": error}
        self._append({"kind": "read", "note": note, "asked": asked, "at": at, **outcome})

    def _append(self, line: dict[str, Any]) -> None:
        data = (json.dumps(line) + "\n").encode()
        # One call, so that a kill leaves either all of the line or a torn last one, never two lines mixed up.
        if os.write(self._file, data) != len(data):
            raise OSError("the ledger could not be written whole; is the disk full?")
        os.fsync(self._file)


def read_ledger(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a ledger; a torn last line is left out.

    Raises:
        OSError: The file cannot be read.
        ValueError: A line before the last is not JSON; the message names file and line.
    """
    *lines, _torn = path.read_bytes().split(b"\n")
    entries: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    return entries


def _cut_torn_line(file: int) -> None:
    size = os.fstat(file).st_size
    data = os.pread(file, size, 0)
    os.ftruncate(file, data.rfind(b"\n") + 1)


__all__ = ["Ledger", "read_ledger"]
