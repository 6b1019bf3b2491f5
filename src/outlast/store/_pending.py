"""What this program has written and the server has not confirmed yet, by key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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


class PendingWrites:
    """Know the queued writes of one kind; the last one of a key is what a reader must see."""

    def __init__(self) -> None:
        self._by_key: dict[str, list[PendingWrite]] = {}
        self._newest_seq = 0

    def add(self, key: str, write: PendingWrite) -> None:
        """Add a write behind the others of its key; one that was adopted before is not added twice."""
        if any(known.seq == write.seq for known in self._by_key.get(key, ())):
            return
        self._newest_seq = max(self._newest_seq, write.seq)
        self._by_key.setdefault(key, []).append(write)

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
        writes = [write for write in self._by_key.get(key, ()) if write.seq != seq]
        if writes:
            self._by_key[key] = writes
        else:
            self._by_key.pop(key, None)

    def adopt(self, ops: Iterable[Op]) -> None:
        """Add the queued writes of other programs that were never seen here.

        Places only grow, so what is settled already can never come back by this.
        """
        for op in ops:
            if op.seq > self._newest_seq:
                self.add(op.entity, PendingWrite(op.seq, op.verb, op.body))

    def items(self) -> list[tuple[str, PendingWrite]]:
        """Return every write with its key."""
        return [(key, write) for key, writes in self._by_key.items() for write in writes]

    def __len__(self) -> int:
        """Return how many writes are queued."""
        return sum(map(len, self._by_key.values()))
