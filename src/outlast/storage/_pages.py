"""The pages of a SQLite file by its bytes, as its last commit left them; nothing of SQLite is asked.

SQLite stops at the first thing that is wrong; here everything is kept apart page by page, so that one bad page costs
no other. The file is not changed, and no file is made beside it.

Source: sqlite.org/fileformat2.html, sections 1.3 (header), 1.5 (freelist) and 4 (write-ahead log).
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from outlast.errors import CorruptError
from outlast.storage._raw import RawFile

MAGIC: Final = b"SQLite format 3\x00"
_USUAL_SIZE: Final = 4096
_SIZES: Final = frozenset(1 << power for power in range(9, 17))
WAL_HEADER: Final = 32
FRAME_HEADER: Final = 24
_WAL_MAGIC: Final = 0x377F0682
_COUNT_AT: Final = 28
_FREELIST_AT: Final = 32


class _Frame(NamedTuple):
    """Hold one page of the write-ahead log.

    Args:
        page: Its number.
        size: How many pages the database has after this commit, 0 when it goes on.
        at: Where its content begins.
        sound: Whether its checksum fits.
        gap: How many gaps lie before it or at it; SQLite reads up to the first.
    """

    page: int
    size: int
    at: int
    sound: bool
    gap: int


@dataclass(frozen=True, slots=True)
class WalState:
    """Say what is wrong with a write-ahead log.

    Args:
        unseen: How many commits SQLite leaves out, because something before them is damaged.
        hidden: How many of them come from a gap behind which there is more than one: whoever made the second has read
            the first, so that it was whole.
        unfinished: How many more of them nobody can have been told of; see `PageFile`.
        headless: Whether its own header is damaged.
    """

    unseen: int = 0
    hidden: int = 0
    unfinished: int = 0
    headless: bool = False


class PageFile:
    """Read the pages of a SQLite file and of the write-ahead log beside it.

    A process may be killed when it has written a commit and not yet said so in the shared index; whoever commits next
    writes over it, and if that is shorter, the end of the first stays in the log behind it. So what follows a whole
    commit, does not go on from it and ends with the next commit is no part of the database, and never was.

    Args:
        path: The file.

    Attributes:
        size: The bytes of a page.
        count: How many pages there are.
        suspect: Pages of which only a damaged version is left.
        wal: What is wrong with the log.

    Raises:
        CorruptError: There is not even one page.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        own = Path(path).resolve()  # beside it lies the log, not beside a link to it
        with ExitStack() as undo:
            self._main = undo.enter_context(RawFile(own))
            self._log = undo.enter_context(RawFile(Path(f"{own}-wal")))
            # At once, for whoever goes on to write may begin it anew at any time.
            self._read(path, self._log.read(0, self._log.size))
            self._opened = undo.pop_all()

    def _read(self, path: str | os.PathLike[str], log: bytes) -> None:
        self._logged = log[:WAL_HEADER]
        self.size = self._page_size()
        self._frames: dict[int, int] = {}
        self.suspect: set[int] = set()
        self.wal = WalState()
        self.count = -(-self._main.size // self.size)
        if len(log) > WAL_HEADER:
            self._read_log(log)
        if not self.count:
            raise CorruptError(f"{path} holds not one page; nothing of it can be read", operation="salvage")

    def close(self) -> None:
        """Close it; a second close does nothing."""
        self._opened.close()

    def _page_size(self) -> int:
        """Return what the header says, the header of the log, or what SQLite takes unless it is told otherwise."""
        told = int.from_bytes(self._main.read(16, 2), "big")
        logged = int.from_bytes(self._logged[8:12], "big")
        for size in (65536 if told == 1 else told, logged):
            if size in _SIZES:
                return size
        return _USUAL_SIZE

    def page(self, number: int) -> bytes:
        """Return the content of a page; empty where there is none, filled up with zeros where the file is cut off."""
        at = self._frames.get(number)
        if at is not None:
            return self._log.read(at, self.size)
        content = self._main.read((number - 1) * self.size, self.size) if number > 0 else b""
        return content and content.ljust(self.size, b"\0")

    @cached_property
    def usable(self) -> int:
        """Return how many bytes of a page hold content."""
        return self.size - (self.page(1)[20] if self.headed else 0)

    @property
    def headed(self) -> bool:
        """Tell whether the first page begins as it must."""
        return self.page(1).startswith(MAGIC)

    def _read_log(self, log: bytes) -> None:
        found = list(self._parsed(log))
        commits = Counter(frame.gap for frame in found if frame.size)
        # Without its header nothing goes on from anything.
        headless = bool(commits) and not self._log_headed
        dropped = set[int]() if headless else _unfinished(found, commits)
        frames = [frame for frame in found if frame.gap not in dropped]
        last = max((number for number, frame in enumerate(frames) if frame.size), default=-1)
        for frame in frames[: last + 1]:
            self._frames[frame.page] = frame.at
            # A later whole version makes good what a damaged one has lost.
            (self.suspect.discard if frame.sound else self.suspect.add)(frame.page)
        if last >= 0:
            self.count = max(self.count, frames[last].size)
        behind = {gap: count for gap, count in commits.items() if gap not in dropped and (gap or headless)}
        self.wal = WalState(
            unseen=sum(behind.values()),
            hidden=sum(count for count in behind.values() if count > 1),
            unfinished=sum(commits[gap] for gap in dropped),
            headless=headless,
        )

    @property
    def _log_headed(self) -> bool:
        head = self._logged
        magic, *_ = struct.unpack(">I", head[:4])
        return magic & ~1 == _WAL_MAGIC and _checksum((0, 0), head[:24], self._order) == struct.unpack(">II", head[24:])

    def _first_salt(self, log: bytes, places: Sequence[int]) -> bytes:
        """Return what marks the frames of the present log, where its header does not tell: they are the first ones."""
        salts = [log[at + 8 : at + 16] for at in places] or [b""]
        # What was damaged with the header may be the first frames, too.
        return next((one for one, other in pairwise(salts) if one == other != bytes(8)), salts[0])

    @property
    def _order(self) -> str:
        return ">" if self._logged[3] & 1 else "<"

    def _parsed(self, log: bytes) -> Iterator[_Frame]:
        """Yield the frames of the present log, and nothing of earlier ones, whose frames have another salt."""
        before: tuple[int, ...] = struct.unpack(">II", self._logged[24:])
        step = FRAME_HEADER + self.size
        places = range(WAL_HEADER, len(log) - step + 1, step)
        salt = self._logged[16:24] if self._log_headed else self._first_salt(log, places)
        last = max((at for at in places if log[at + 8 : at + 16] == salt), default=0)
        linked, gap, last_sound, computed = True, 0, True, before
        for at in range(WAL_HEADER, last + 1, step):
            head, content = log[at : at + FRAME_HEADER], log[at + FRAME_HEADER : at + step]
            page, size, _, _, *said = struct.unpack(">IIIIII", head)
            # Each checksum goes on from the one that is written before it, so a damaged frame spoils only itself.
            found = self._sum(before, head, content)
            ours, sound = head[8:16] == salt, found == tuple(said)
            # Where it goes on from what the one before it should have said, only that one's checksum is damaged.
            goes_on = sound or (not last_sound and self._sum(computed, head, content) == tuple(said))
            gap += not goes_on or (not gap and not ours)
            before, computed, last_sound = tuple(said), found, sound
            # The salt is no part of the checksum: a frame that goes on from one of ours and only lost its salt is ours;
            # another is an older log's, which the present one has not overwritten.
            linked = ours or (sound and linked)
            if page and linked:
                yield _Frame(page, size, at + FRAME_HEADER, sound, gap)

    def _sum(self, before: tuple[int, ...], head: bytes, content: bytes) -> tuple[int, int]:
        return _checksum(_checksum(before, head[:8], self._order), content, self._order)

    @cached_property
    def free(self) -> frozenset[int] | None:
        """Return the pages that hold nothing any more, None when the list of them cannot be trusted."""
        first, told = struct.unpack(">II", self.page(1)[_FREELIST_AT : _FREELIST_AT + 8].ljust(8, b"\xff"))
        found: set[int] = set()
        trunk = first
        while trunk:
            content = self.page(trunk)
            if not 1 < trunk <= self.count or trunk in found or len(content) < self.size or trunk in self.suspect:
                return None
            following, leaves = struct.unpack(">II", content[:8])
            if leaves > self.size // 4 - 2:
                return None
            listed = struct.unpack(f">{leaves}I", content[8 : 8 + 4 * leaves])
            found.add(trunk)
            found.update(listed)
            trunk = following
        whole = len(found) == told and all(1 < number <= self.count for number in found) and 1 not in self.suspect
        return frozenset(found) if whole and self.headed else None


def _unfinished(frames: Sequence[_Frame], commits: Mapping[int, int]) -> set[int]:
    """Return the gaps behind which lies only the end of what was never finished."""
    return {
        frame.gap
        for before, frame in pairwise(frames)
        if frame.gap != before.gap and before.size and commits.get(frame.gap, 0) <= 1
    }


def _checksum(start: tuple[int, ...], content: bytes, order: str) -> tuple[int, int]:
    first, second = start
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
