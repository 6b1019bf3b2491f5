"""Send several ops in one request, and say of each what became of it.

A batch is a matter of transport: every op keeps its key. Ops stay in the order of their places, so the ops of
a lane that travel together are a prefix of it. An op that the answer does not mention is in doubt. Where one op
of a lane failed, what the server said against the later ones may only be a consequence of that, so they are
sent again instead of being judged; what was applied stays applied.

Source: RFC 4918 section 13 (207 Multi-Status) and RFC 9457 for answers per item; RFC 9110 section 15.5.14 (413).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from outlast.engines.op import (
    Accepted,
    Answer,
    Applied,
    AuthNeeded,
    Busy,
    Gone,
    InDoubt,
    NotApplied,
    Rejected,
    Stale,
)
from outlast.errors import ConfigError


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Hold how large a batch may be.

    Args:
        max_count: Ops in a batch, >= 1. Default 100.
        max_bytes: Bytes of bodies in a batch, >= 1; a single op may be larger. Default 1 MiB.
    """

    max_count: int = 100
    max_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        """Refuse limits under which nothing could go."""
        for name in ("max_count", "max_bytes"):
            value: int = getattr(self, name)
            if value < 1:
                raise ConfigError(f"must be at least 1, not {value!r}", path=f"batch.{name}")


class BatchItem(NamedTuple):
    """Show an op that may travel with others.

    Args:
        seq: Its place.
        lane: The number of its lane.
        size: The bytes of its body, >= 0.
    """

    seq: int
    lane: int
    size: int


Batch = tuple[BatchItem, ...]


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A single op is more than the server takes.

    Args:
        item: The op.
    """

    item: BatchItem


def make_batches(items: Sequence[BatchItem], limits: BatchLimits) -> list[Batch]:
    """Cut ops into batches, in order, as few as that allows.

    >>> [len(batch) for batch in make_batches([BatchItem(n, n, 40) for n in range(5)], BatchLimits(max_bytes=100))]
    [2, 2, 1]
    """
    batches: list[Batch] = []
    batch: list[BatchItem] = []
    size = 0
    for item in items:
        if batch and (len(batch) == limits.max_count or size + item.size > limits.max_bytes):
            batches.append(tuple(batch))
            batch, size = [], 0
        batch.append(item)
        size += item.size
    return [*batches, tuple(batch)] if batch else batches


def halve(batch: Batch) -> tuple[Batch, Batch] | TooLarge:
    """Cut a batch that the server found too large (413) in two, which are sent one after the other."""
    if len(batch) == 1:
        return TooLarge(batch[0])
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]


def halved(limits: BatchLimits, batch: Batch) -> BatchLimits:
    """Return the limits to go on with after a batch of several ops was too large."""
    half = sum(item.size for item in batch) // 2
    max_bytes = min(limits.max_bytes, half) if half else limits.max_bytes  # deletes have no bytes to halve
    return BatchLimits(max(1, min(limits.max_count, len(batch) // 2)), max_bytes)


def grown(limits: BatchLimits, wanted: BatchLimits) -> BatchLimits:
    """Return the limits to go on with after a batch went through: a tenth more, until they are as wanted."""
    count = min(wanted.max_count, limits.max_count + max(1, limits.max_count // 10))
    return BatchLimits(count, min(wanted.max_bytes, limits.max_bytes + max(1, limits.max_bytes // 10)))


def spread(batch: Batch, answer: Answer) -> dict[int, Answer]:
    """Return the answer to a whole request as the answer to each of its ops, by place.

    That a request was accepted as a whole says of no single op that it was applied.
    """
    if isinstance(answer, Applied | Accepted):
        return judge_items(batch, {})
    return {item.seq: answer for item in batch}


def judge_items(batch: Batch, answers: Mapping[int, Answer]) -> dict[int, Answer]:
    """Return what became of each op of a batch, by place.

    Args:
        batch: The ops that were sent.
        answers: What the server said of them, by place; what it said of others is passed over.

    >>> batch = (BatchItem(1, 7, 10), BatchItem(2, 7, 10), BatchItem(3, 8, 10))
    >>> found = judge_items(batch, {1: Busy("503"), 2: Gone("404")})
    >>> found[2].reason, found[3].reason
    ('op 1 before it in its lane was not applied', 'the answer does not mention it')
    """
    judged: dict[int, Answer] = {}
    failed: dict[int, int] = {}
    for item in batch:
        answer = answers.get(item.seq) or InDoubt("the answer does not mention it")
        earlier = failed.get(item.lane)
        if earlier is not None and not _stands(answer):
            answer = NotApplied(f"op {earlier} before it in its lane was not applied")
        if not isinstance(answer, Applied):
            failed.setdefault(item.lane, item.seq)
        judged[item.seq] = answer
    return judged


def _stands(answer: Answer) -> bool:
    """Tell whether an answer is true of an op also when one before it failed."""
    match answer:
        case Applied() | Accepted() | InDoubt() | AuthNeeded():
            return True
        case Busy(in_doubt=in_doubt):
            return in_doubt
        case NotApplied() | Stale() | Gone() | Rejected():
            return False
