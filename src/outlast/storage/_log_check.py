"""Find out whether SQLite has left out commits of a write-ahead log, which it does without a word.

It reads the log up to the first frame that is not whole. After a power cut that is right: what follows was never
acknowledged. But a damaged frame hides every commit behind it, acknowledged or not.
"""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

from outlast.errors import CorruptError
from outlast.storage._pages import FRAME_HEADER, WAL_HEADER, PageFile, WalState

_log = logging.getLogger("outlast.storage")


def log_size(path: Path) -> int:
    """Return how many bytes the log beside a database has, 0 if there is none; another process may just delete it."""
    try:
        return Path(f"{path}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def check_log_has_file(path: Path) -> None:
    """Refuse a log whose database is gone or empty, before SQLite takes it for a leftover and deletes it.

    Raises:
        CorruptError: Whatever was acknowledged lies in the log only.
    """
    if log_size(path) > WAL_HEADER and not (path.exists() and path.stat().st_size):
        raise CorruptError(
            f"{path} is {'empty' if path.exists() else 'gone'}, but its log {path.name}-wal is there, with commits "
            f"that would be missing; nothing was changed. Put the file back, or save what is in the log with: "
            f"outlast outbox doctor {path} --salvage NEW",
            operation="storage",
        )


def has_more(path: Path, frames: int, page_size: int) -> bool:
    """Tell whether a log seems to hold commits behind the frames that SQLite has read; a cheap look at their headers.

    Args:
        path: The database.
        frames: How many frames SQLite has read.
        page_size: The bytes of a page.
    """
    if not frames:
        return log_size(path) > WAL_HEADER + FRAME_HEADER + page_size  # its very beginning may be damaged
    step = FRAME_HEADER + page_size
    with Path(f"{path}-wal").open("rb") as log:  # on which SQLite holds no locks
        log.seek(WAL_HEADER + 8)
        salt = log.read(8)  # of the first frame; every frame of one log has the same
        log.seek(WAL_HEADER + frames * step)
        while len(head := log.read(FRAME_HEADER)) == FRAME_HEADER:
            if head[8:16] == salt and head[4:8] != bytes(4):
                return True
            log.seek(page_size, 1)
    return False


def check_log(path: Path, *, flushed: bool) -> None:
    """Refuse a file whose log holds commits that SQLite has left out.

    Args:
        path: The database.
        flushed: Whether each commit was flushed before the next one began, so that only one can be half written.

    Raises:
        CorruptError: Acknowledged commits would be missing.
    """
    with closing(PageFile(path)) as file:
        found = file.wal
    if found.headless or (flushed and found.hidden):
        raise CorruptError(
            f"{path}-wal is damaged, and {found.unseen} commits in it would be missing; nothing was changed. "
            f"Save them with: outlast outbox doctor {path} --salvage NEW",
            operation="storage",
        )
    if found.unseen or found.unfinished:
        _log.warning("%s", _said(path, found))


def _said(path: Path, found: WalState) -> str:
    count = found.unseen + found.unfinished
    return (
        f"{path}-wal ends with {count} commit(s) that a crash has left half written; what was flushed and acknowledged "
        "before is there"
    )
