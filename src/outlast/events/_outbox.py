"""What happens to queued writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from outlast.events._base import Event, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class OpEvent(Event):
    """Be the base of what happens to one op.

    Args:
        seq: The op's place in the queue.
        kind: Its entity type.
        entity: The id of the entity.
    """

    seq: int
    kind: str
    entity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpEnqueued(OpEvent):
    """A write is durable and waits to be sent."""

    severity: ClassVar[Severity] = Severity.DEBUG


@dataclass(frozen=True, slots=True, kw_only=True)
class OpFolded(OpEvent):
    """A write was folded into one that waited, and needs no request of its own.

    Args:
        how: `merged` into the op at `seq`, or `annihilated` with it.
        removed: How many ops that waited do not wait any more because of it.
    """

    severity: ClassVar[Severity] = Severity.DEBUG

    how: str
    removed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpSent(OpEvent):
    """A write was sealed and its request starts.

    Args:
        attempt: The number of this attempt, from 1.
        key: The idempotency key that it travels under.
    """

    severity: ClassVar[Severity] = Severity.DEBUG

    attempt: int
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpDelivered(OpEvent):
    """A write's effect is known to have taken place, and the outbox has recorded it."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpPostponed(OpEvent):
    """A write will be sent again later.

    Args:
        attempt: The number of the attempt that did not settle it.
        wait: Seconds until it is due.
        reason: Why.
    """

    attempt: int
    wait: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpResolved(OpEvent):
    """A conflict was settled by a policy; what comes of it is told as for every op.

    Args:
        resolution: How: what is sent instead, or why nothing has to be.
    """

    resolution: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpConflicted(OpEvent):
    """The server holds something else; a person or a rule must decide."""

    severity: ClassVar[Severity] = Severity.WARNING

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpDied(OpEvent):
    """A write was given up and lies in the dead letters."""

    severity: ClassVar[Severity] = Severity.ERROR

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTaken(Event):
    """This process now delivers from the outbox.

    Args:
        fence: The fencing token of this term.
        reason: Why it could be taken.
    """

    fence: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost(Event):
    """This process must not deliver any longer."""

    severity: ClassVar[Severity] = Severity.ERROR

    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStopped(Event):
    """Nothing is delivered for now; what is queued stays queued and a new start follows.

    Args:
        reason: What ended it.
        wait: Seconds until the new start.
    """

    severity: ClassVar[Severity] = Severity.ERROR

    reason: str
    wait: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginPaused(Event):
    """Nothing is sent to an origin for a while.

    Args:
        origin: Scheme, host and port.
        wait: Seconds until the pause ends.
        reason: Why.
    """

    severity: ClassVar[Severity] = Severity.WARNING

    origin: str
    wait: float
    reason: str
