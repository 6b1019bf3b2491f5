"""What this program has written and the server has not confirmed yet, by key."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from outlast.engines.op import Verb
from outlast.outbox import Op


@dataclass(slots=True)
class PendingWrite:
    """Hold one queued write.

    Args:
        seq: Its place in the outbox.
        verb: What it does.
        body: What the entity will hold, None for a delete.
        applied: Whether the server has confirmed it and only the record of that is missing.
        etag: The version that the server gave to it, once applied.
    """

    seq: int
    verb: Verb
    body: bytes | None
    applied: bool = False
    etag: str | None = None


WHOLE: Final = frozenset({Verb.CREATE, Verb.PUT, Verb.DELETE})
"""The writes that say all of what the entity will be; what a patch or a message makes of it only the server knows."""


class PendingWrites:
    """Know the queued writes of one kind; the last one of a key is what a reader must see."""

    def __init__(self) -> None:
        self._by_key: dict[str, list[PendingWrite]] = {}
        self._settled: set[int] = set()

    def add(self, key: str, write: PendingWrite) -> None:
        """Add a write at its place among the others of its key; one that was adopted before is not added twice."""
        writes = self._by_key.setdefault(key, [])
        if all(known.seq != write.seq for known in writes):
            insort(writes, write, key=lambda known: known.seq)

    def newest(self, key: str) -> PendingWrite | None:
        """Return the last queued write of a key, or None."""
        writes = self._by_key.get(key)
        return writes[-1] if writes else None

    def applied(self, key: str, seq: int, etag: str | None) -> None:
        """Note that the server has confirmed a write."""
        for write in self._by_key.get(key, ()):
            if write.seq == seq:
                write.applied, write.etag = True, etag

    def remove(self, key: str, seq: int) -> None:
        """Forget a write that is settled."""
        self._settled.add(seq)
        writes = [write for write in self._by_key.get(key, ()) if write.seq != seq]
        if writes:
            self._by_key[key] = writes
        else:
            self._by_key.pop(key, None)

    def look(self) -> list[tuple[str, PendingWrite]]:
        """Return every write with its key; the file is going to be read, and `adopt` told what it holds."""
        self._settled.clear()
        return [(key, write) for key, writes in self._by_key.items() for write in writes]

    def adopt(self, ops: Iterable[Op]) -> None:
        """Add the queued writes of other programs, and those of our own whose caller went away.

        Args:
            ops: What the file held at some moment since `look`. What was settled since must not come back.
        """
        for op in ops:
            if op.seq not in self._settled and op.verb in WHOLE:
                self.add(op.entity, PendingWrite(op.seq, op.verb, op.body))

    def __len__(self) -> int:
        """Return how many writes are queued."""
        return sum(map(len, self._by_key.values()))
