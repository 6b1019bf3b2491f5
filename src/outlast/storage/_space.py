"""Know how far a SQLite file may still grow, so that a part of that can be kept back."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final, NamedTuple

from outlast.errors import StorageFullError
from outlast.storage._connection import Session

RESERVE: Final = 16 << 20
"""Bytes that are kept back unless told otherwise: the log before it begins anew takes 4 MiB, records the rest."""
_SHARE: Final = 4
"""Of what may only grow to less than so many times that, one part in so many is kept back."""
_COMMIT: Final = 32 << 10
_LOOK_EVERY: Final = 0.25


class Room(NamedTuple):
    """Say how far a file may grow by one limit.

    Args:
        left: Bytes that may still be written into it.
        most: Bytes that it could ever have by this limit.
        what: The limit.
    """

    left: int
    most: int
    what: str


class SpaceWatch:
    """Refuse new writes while what is left of the disk is needed for the records of the old ones.

    A look costs some system calls, so after each one half of what may be used can be used before the next look; as
    other programs write to the same disk, there is one every quarter of a second all the same.

    Thread-safe: no; whoever has the connection asks.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._budget = 0
        self._until = float("-inf")
        self.low = False
        """Whether less is left besides the reserve than the reserve itself, as far as the last look knows."""

    def check(self, connection: Session, coming: int, reserve: int | None, now: float) -> None:
        """Refuse writes that would go into the reserve.

        Args:
            connection: The connection that would write them.
            coming: The bytes that they need.
            reserve: The bytes to keep back, or None for 16 MiB, or a quarter of what may be used where that is less.
            now: Monotonic seconds.

        Raises:
            StorageFullError: They would.
        """
        coming += _COMMIT
        if now >= self._until or coming > self._budget:
            rooms = self._look(connection)
            self.low = any(room.left < 2 * kept(room, reserve) for room in rooms)
            self._budget = min(judge(self._path, room, coming, reserve) for room in rooms) // 2
            self._until = now + _LOOK_EVERY
        self._budget -= coming

    def _look(self, connection: Session) -> list[Room]:
        size, pages, unused, most = (
            int(connection.execute(f"PRAGMA {name}").get)
            for name in ("page_size", "page_count", "freelist_count", "max_page_count")
        )
        rooms = outside(self._path, pages * size, unused * size)
        return [*rooms, Room((most - pages + unused) * size, most * size, "the page limit of the database")]


def outside(path: Path, used: int, unused: int = 0) -> list[Room]:
    """Return what the system allows a file.

    Args:
        path: The file.
        used: The bytes that it will have when its log is written back.
        unused: The bytes among them that hold nothing.
    """
    disk = os.statvfs(path.parent)
    # What is in the log only will take its place in the file as well.
    owed = max(0, used - path.stat().st_size)
    rooms = [Room(disk.f_bavail * disk.f_frsize - owed + unused, disk.f_blocks * disk.f_frsize, "the disk")]
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if most != resource.RLIM_INFINITY:
        rooms.append(Room(most - used + unused, most, "the file-size limit of the process"))
    return rooms


def kept(room: Room, reserve: int | None) -> int:
    """Return how many bytes are kept back."""
    return min(RESERVE, room.most // _SHARE) if reserve is None else reserve


def judge(path: Path, room: Room, coming: int, reserve: int | None) -> int:
    """Return the bytes that may be used besides the reserve.

    Raises:
        StorageFullError: There are not as many as are needed.
    """
    back = kept(room, reserve)
    free = room.left - back
    # Whoever keeps nothing back is told by the system when nothing is left.
    if back and free < coming:
        raise StorageFullError(
            f"{path}: no space is left for new writes: {room.what} leaves {max(0, room.left):,} bytes, of which "
            f"{back:,} are kept back so that what waits can be delivered; free some and run again, nothing "
            "acknowledged is lost",
            operation="enqueue",
        )
    return free
