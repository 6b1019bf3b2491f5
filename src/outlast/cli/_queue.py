"""Put planned writes into an outbox, each once, however often the command is run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from outlast.cli._writes import Planned
from outlast.outbox import OpState, Outbox, Write

_CHUNK = 500


@dataclass(slots=True)
class Queued:
    """Count what was put into the outbox.

    Args:
        new: Writes that were added.
        known: Writes that an earlier run had added.
        superseded: Conflicting or dead writes that gave way to a newer version of their record.
        older: The places of all writes after which another was queued for the same address.
    """

    new: int = 0
    known: int = 0
    superseded: int = 0
    older: set[int] = field(default_factory=set[int])


async def queue(box: Outbox, planned: Sequence[Planned], shown: Callable[[int, int], None]) -> Queued:
    """Put writes into an outbox, some hundred to a commit.

    Args:
        box: The outbox.
        planned: What the input asks for.
        shown: Called with how many are done, of how many.

    Cancel: what is committed stays; the next run adds the rest.
    """
    total = Queued()
    for begin in range(0, len(planned), _CHUNK):
        chunk = planned[begin : begin + _CHUNK]
        names = await box.core.result(box.core.once_names([f"{one.place}:" for one in chunk]))
        found = [_missing(one, known, total.older) for one, known in zip(chunk, names, strict=True)]
        writes = [write for write in found if write is not None]
        if writes:
            await box.enqueue(*writes)
        total.new += len(writes)
        total.known += len(chunk) - len(writes)
        shown(min(begin + _CHUNK, len(planned)), len(planned))
    total.superseded = await _supersede(box, total.older)
    return total


def _missing(planned: Planned, names: Sequence[tuple[str, int]], older: set[int]) -> Write | None:
    """Return the write to queue for what is planned, or None when the outbox has it."""
    if planned.repeat:
        write = planned.named(planned.repeat)
        return None if any(name == write.once for name, _ in names) else write
    # What counts is what was asked last of this address: content that came back after an edit is new.
    last = max(names, key=lambda item: item[1], default=("::", 0))
    older.update(seq for _, seq in names if seq != last[1])
    contents = [name.split(":")[1] for name, _ in names]
    if last[0].split(":")[1] == planned.content:
        return None
    older.update(seq for _, seq in names)
    return planned.named(contents.count(planned.content) + 1)


async def _supersede(box: Outbox, older: set[int]) -> int:
    """Forget undeliverable writes whose record was queued again since."""
    if not older:
        return 0
    gone = [seq for seq in await parked(box) if seq in older]
    for seq in gone:
        await box.discard(seq)
    return len(gone)


async def parked(box: Outbox) -> list[int]:
    """Return the places of all conflicting and dead writes."""
    counts = await box.counts()
    conflicts = await box.list(OpState.CONFLICT, limit=counts.conflict)
    dead = await box.list(OpState.DEAD, limit=counts.dead)
    return sorted(status.seq for status in (*conflicts, *dead))


async def replay_all(box: Outbox) -> int:
    """Queue all conflicting and dead writes again, and return how many.

    Args:
        box: The outbox.
    """
    seqs = await parked(box)
    for begin in range(0, len(seqs), _CHUNK):
        # Together, so that they share a commit.
        await asyncio.gather(*(box.replay(seq) for seq in seqs[begin : begin + _CHUNK]))
    return len(seqs)
