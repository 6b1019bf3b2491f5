"""Put a damaged SQLite file out of the way, with what lies beside it, and lose nothing on the way."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from outlast.errors import StorageBusyError, StorageError
from outlast.storage._borrowed import is_open_here

_SHARED_BYTE: Final = 128
"""Each connection to a file in WAL mode holds a shared lock on this byte of the file beside it that ends in -shm."""


def is_open_elsewhere(path: Path) -> bool:
    """Tell whether another process has a SQLite file in WAL mode open.

    This process must not have it open: closing a descriptor would let go of its locks.

    Source: SQLite's unix VFS, `UNIX_SHM_DMS`.
    """
    beside = Path(f"{path.resolve()}-shm")
    if not beside.exists():
        return False
    with beside.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _SHARED_BYTE)
        except OSError:
            return True
        fcntl.lockf(file, fcntl.LOCK_UN, 1, _SHARED_BYTE)
    return False


def check_closed(path: Path) -> None:
    """Refuse to go on while a process has a file open.

    Raises:
        StorageBusyError: One has.
    """
    if is_open_here(path):  # first, for to look at the locks of the others would take away its own
        raise StorageBusyError(
            f"{path} is open in this process; close it first, or what it queues now would be missing",
            operation="quarantine",
        )
    if is_open_elsewhere(path):
        raise StorageBusyError(
            f"{path} is open in another process; end that first, or what it queues now would be missing",
            operation="quarantine",
        )


Stamps = tuple[tuple[int, int] | None, ...]


def stamps(path: Path) -> Stamps:
    """Return what tells whether a file or its log was written to since: their sizes and times."""
    return tuple(_stamp(Path(f"{path}{end}")) for end in ("", "-wal"))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def check_unchanged(path: Path, before: Stamps) -> None:
    """Refuse to go on where somebody has written to a file since its stamps were taken.

    Raises:
        StorageBusyError: Somebody has.
    """
    check_closed(path)
    if stamps(path) != before:
        raise StorageBusyError(
            f"{path} was written to while it was read; end every process that uses it, and try again",
            operation="quarantine",
        )


def quarantine(path: Path, wall: float, by: Path | None = None) -> list[Path]:
    """Give a file, its log and its shared memory another name; nothing is deleted.

    Every file gets its new name before any of them loses the old one, so that a crash leaves all of them. Where
    another file takes its place, that is never empty, for whoever opens an empty place begins a new queue there.

    Args:
        path: The file.
        wall: Unix seconds, for the new name.
        by: A file on the disk that takes its name. Default: none does.

    Raises:
        StorageBusyError: Another process has it open.
        StorageError: There is a file of the new name.
    """
    check_closed(path)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall))
    pairs = [(Path(f"{path}{end}"), Path(f"{path}.damaged-{stamp}{end}")) for end in ("", "-wal", "-shm", "-journal")]
    pairs = [(old, new) for old, new in pairs if old.exists()]
    for _, new in pairs:
        if new.exists():
            raise StorageError(f"{new} exists already; move it away", operation="quarantine")
    for old, new in pairs:
        os.link(old, new)
    _sync(path.parent)
    if by is not None:
        _mark(path, by, pairs[0][1])
    for old, _ in pairs[by is not None :]:
        old.unlink()
    _sync(path.parent)
    if by is not None:
        publish(by, path)
    return [new for _, new in pairs]


def _mark(path: Path, by: Path, moved: Path) -> None:
    """Put something into the place that no program takes for a database, until the log beside it is away."""
    mark = Path(f"{by}.mark")
    mark.write_text(f"The file that was here is {moved}; a salvage of it was cut off. Salvage that one again.\n")
    publish(mark, path)


def publish(part: Path, target: Path, *, replace: bool = True) -> None:
    """Give a file its final name once its content is on the disk.

    Args:
        part: The file as it was written.
        target: Its final name, in the same folder.
        replace: Whether another file of that name gives way.

    Raises:
        FileExistsError: There is one, and it does not.
    """
    _sync(part)
    if replace:
        part.replace(target)
    else:
        os.link(part, target)
        part.unlink()
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
