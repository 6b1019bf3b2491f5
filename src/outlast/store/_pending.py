"""What this program has written and the server has not confirmed yet, by key."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from typing import Final

from outlast.engines.op import Verb
from outlast.outbox import Op, OpContent, PendingDiff


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
    """Know the queued writes of one kind; the last one of a key is what a reader must see.

    The file is compared with what is known here: `look`, then the question, then `adopt`. What this program queues or
    settles meanwhile is newer than the answer, so the answer says nothing of it; the next one does.
    """

    def __init__(self) -> None:
        self._by_key: dict[str, list[PendingWrite]] = {}
        self._contents: dict[int, OpContent] = {}
        self._queued: set[int] = set()
        self._settled: set[int] = set()

    def add(self, key: str, write: PendingWrite) -> None:
        """Add what was just queued, at a new place or folded into a write that is known, and is what readers see.

        In the second case those behind that place are gone, for a write is never folded past another of its key; in
        the first one somebody else's may stand there, and the next look finds it again.
        """
        self._queued.add(write.seq)
        writes = self._by_key.get(key, ())
        for known in writes:
            if known.seq >= write.seq:
                self._contents.pop(known.seq, None)
        self._by_key[key] = [known for known in writes if known.seq < write.seq] + [write]

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
        self._contents.pop(seq, None)
        self._take_out(key, seq)

    def _take_out(self, key: str, seq: int) -> None:
        writes = [write for write in self._by_key.get(key, ()) if write.seq != seq]
        if writes:
            self._by_key[key] = writes
        else:
            self._by_key.pop(key, None)

    @property
    def unseen(self) -> bool:
        """Tell whether something was queued since the last look, and may be settled although the file rests."""
        return bool(self._queued)

    def look(self) -> tuple[dict[int, OpContent], dict[int, tuple[str, PendingWrite]]]:
        """Return what each known op does, and every write with its key by its place; the file is going to be read."""
        self._queued.clear()
        self._settled.clear()
        known = {write.seq: (key, write) for key, writes in self._by_key.items() for write in writes}
        return self._contents, known

    def adopt(self, found: PendingDiff) -> None:
        """Take over the queued writes of other programs, what they have folded into ours, and ours if cancelled."""
        for seq in found.absent:
            self._contents.pop(seq, None)
        for op in found.changed:
            if op.seq in self._queued or op.seq in self._settled:
                continue
            self._contents[op.seq] = found.contents[op.seq]
            self._adopt(op)

    def _adopt(self, op: Op) -> None:
        """Put a write at its place among the others of its key, unless it is known as it is."""
        writes = self._by_key.get(op.entity, ())
        if any((known.seq, known.verb, known.body) == (op.seq, op.verb, op.body) for known in writes):
            return
        self._take_out(op.entity, op.seq)
        if op.verb in WHOLE:
            writes = self._by_key.setdefault(op.entity, [])
            insort(writes, PendingWrite(op.seq, op.verb, op.body), key=lambda known: known.seq)

    def __len__(self) -> int:
        """Return how many writes are queued."""
        return sum(map(len, self._by_key.values()))
