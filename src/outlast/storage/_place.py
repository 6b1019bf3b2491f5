"""Know which file lies at a place: whether it can be ours, and whether it is still the same."""

from __future__ import annotations

import os
from pathlib import Path

from outlast.errors import NotOursError, StorageError
from outlast.storage._layouts import FileFormat
from outlast.storage._pages import MAGIC
from outlast.storage._raw import RawFile


class Place:
    """Hold which file lay at a place when it was opened.

    A file that is deleted or replaced goes on for whoever has it open, and what is written into it is gone when the
    last of them ends.

    Thread-safe: yes.

    Args:
        path: The file, by its own name and no link.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)  # asked before every commit, and as a text in two thirds of the time
        self._file = _which(self._path)

    def check(self) -> None:
        """Refuse to write into a file that nobody will find again.

        Raises:
            StorageError: Another file lies there now, or none.
        """
        if _which(self._path) != self._file:
            raise StorageError(
                f"{self._path} was moved, deleted or replaced while it was open, so what is written now would be lost; "
                "nothing was written. Put it back, or open it anew",
                operation="storage",
            )


def _which(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path takes longer than the system does
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def check_file(path: Path, layout: FileFormat) -> None:
    """Refuse a file that can be none of ours, by its first bytes.

    Raises:
        NotOursError: It is something else.
        StorageError: Its folder does not exist.
    """
    if path.is_dir():
        raise NotOursError(f"{path} is a folder; name a file for the {layout.name}")
    if not path.parent.is_dir():
        raise StorageError(f"the folder {path.parent} does not exist; make it, or name another place")
    # The header may be missing where the very first commit was cut off; what its journal holds goes back first.
    if path.exists() and path.stat().st_size and not Path(f"{path}-journal").exists():
        with RawFile(path) as file:  # this process may have it open already
            if file.read(0, len(MAGIC)) != MAGIC:
                raise NotOursError(f"{path} is not an {layout.name} file; name another file. It was not touched")
