"""What this program has written and the server has not confirmed yet, by key."""

from __future__ import annotations

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
        self._by_key: dict[str, dict[int, PendingWrite]] = {}
        """The writes of each key by their places, in the order of these: thousands may wait for one."""
        self._contents: dict[int, OpContent] = {}
        self._queued: set[int] = set()
        self._settled: set[int] = set()

    def add(self, key: str, write: PendingWrite) -> None:
        """Add what was just queued, at a new place or folded into a write that is known, and is what readers see.

        In the second case those behind that place are gone, for a write is never folded past another of its key; in
        the first one somebody else's may stand there, and the next look finds it again.
        """
        self._queued.add(write.seq)
        writes = self._by_key.setdefault(key, {})
        while writes and next(reversed(writes)) >= write.seq:
            gone, _ = writes.popitem()
            self._contents.pop(gone, None)
        writes[write.seq] = write

    def newest(self, key: str) -> PendingWrite | None:
        """Return the last queued write of a key, or None."""
        writes = self._by_key.get(key)
        return writes[next(reversed(writes))] if writes else None

    def applied(self, key: str, seq: int, etag: str | None) -> None:
        """Note that the server has confirmed a write."""
        write = self._by_key.get(key, {}).get(seq)
        if write is not None:
            write.applied, write.etag = True, etag

    def remove(self, key: str, seq: int) -> None:
        """Forget a write that is settled."""
        self._settled.add(seq)
        self._contents.pop(seq, None)
        writes = self._by_key.get(key, {})
        writes.pop(seq, None)
        if not writes:
            self._by_key.pop(key, None)

    @property
    def unseen(self) -> bool:
        """Tell whether something was queued since the last look, and may be settled although the file rests."""
        return bool(self._queued)

    def look(self) -> tuple[dict[int, OpContent], dict[int, tuple[str, PendingWrite]]]:
        """Return what each known op does, and every write with its key by its place; the file is going to be read."""
        self._queued.clear()
        self._settled.clear()
        known = {seq: (key, write) for key, writes in self._by_key.items() for seq, write in writes.items()}
        return self._contents, known

    def adopt(self, found: PendingDiff) -> None:
        """Take over the queued writes of other programs, what they have folded into ours, and ours if cancelled."""
        for seq in found.absent:
            self._contents.pop(seq, None)
        news = [op for op in found.changed if op.seq not in self._queued and op.seq not in self._settled]
        for op in news:
            self._contents[op.seq] = found.contents[op.seq]
            self._adopt(op)
        for key in {op.entity for op in news}:
            writes = sorted(self._by_key.pop(key).items())
            if writes:
                self._by_key[key] = dict(writes)

    def _adopt(self, op: Op) -> None:
        """Put a write among the others of its key, unless it is known as it is."""
        writes = self._by_key.setdefault(op.entity, {})
        known = writes.get(op.seq)
        if known is not None and (known.verb, known.body) == (op.verb, op.body):
            return
        writes.pop(op.seq, None)
        if op.verb in WHOLE:
            writes[op.seq] = PendingWrite(op.seq, op.verb, op.body)

    def __len__(self) -> int:
        """Return how many writes are queued."""
        return sum(map(len, self._by_key.values()))
