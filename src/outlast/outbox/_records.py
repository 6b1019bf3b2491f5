"""The records that go into an outbox, lie in it, and come out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from outlast.engines.delivery import Course, History
from outlast.engines.op import OpState, Verb

KEEP: Final = "keep"
"""Says that a replayed write stays based on the version it was based on; never an ETag, which has quotes."""
REBASED: Final = "rebased"
"""Stands for the version of what never came to be, on which a write is based; it is not sent but merged."""


class Op(NamedTuple):
    """Show a write as the outbox holds it.

    Args:
        seq: Its place in the queue; never used twice.
        generation: How often its content was changed by a decision after a refusal, from 0.
        key: The idempotency key, unique for (outbox, epoch, seq, generation).
        lane: The number of its lane.
        verb: What it does.
        kind: The type of the entity.
        entity: The id of the entity.
        target: Where it goes, or None for the transport's routes.
        body: The bytes, or None.
        content_type: The media type of the body.
        if_match: The version that it is based on, or None.
        created_at: Unix seconds at which it was queued.
        group: The place of the first op of its transaction, or None when it was queued alone.
        after: The place of an op that must be delivered before it, or None.
        schema: The version of the shape of its body.
        rounds: How often it was made anew after a conflict.
        expires_at: Unix seconds at which it is given up, or None.
        base: The entity as its author saw it, or None.
    """

    seq: int
    generation: int
    key: str
    lane: int
    verb: Verb
    kind: str
    entity: str
    target: str | None
    body: bytes | None
    content_type: str
    if_match: str | None
    created_at: float
    group: int | None = None
    after: int | None = None
    schema: int = 0
    rounds: int = 0
    expires_at: float | None = None
    base: bytes | None = None


class Queued(NamedTuple):
    """Tell what became of a write that was to be queued.

    Args:
        seq: The place of the op that stands for it.
        how: `queued` anew, `known` by its `once`, `merged` into an op that waits, or `annihilated` with one.
        removed: How many ops do not wait any more because of it. Default 0.
    """

    seq: int
    how: Literal["queued", "known", "merged", "annihilated"] = "queued"
    removed: int = 0


class Newcomer(NamedTuple):
    """Show the delivery an op that it may not know.

    Args:
        seq: Its place.
        lane: The number of its lane.
        after: The place of an op that must be delivered before it and is not, or None.
        passable: Whether those behind it may go while it waits for its next attempt.
    """

    seq: int
    lane: int
    after: int | None
    passable: bool


class Term(NamedTuple):
    """Say which holder of the lease sends something, so that a server can refuse one that was replaced.

    Args:
        sender: The outbox, with its epoch.
        fence: The number of the holder's term; a later holder has a higher one.
    """

    sender: str
    fence: int


class SealedRequest(NamedTuple):
    """Hold the request of an op as it was frozen in the commit that claimed it first.

    Credentials are not part of it; the transport adds them when it sends.

    Args:
        method: The HTTP method, or a name that means something to the transport.
        url: The absolute address.
        headers: Name and value pairs; the key and the preconditions are among them.
        body: The bytes, or None.
        term: Whose request it is now; not part of what was frozen.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    term: Term | None = None


class Claimed(NamedTuple):
    """Hold an op that this process may send now.

    Args:
        op: The op.
        request: Its sealed request.
        attempt: The number of this attempt, from 1.
        history: What is known of the attempts before.
        course: What is to be done with it.
        status_url: Where the server that has accepted it is asked, or None.
    """

    op: Op
    request: SealedRequest
    attempt: int
    history: History = History()
    course: Course = Course.SEND
    status_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsendable:
    """Hold an op that could not be made a request of; the claim put it into the dead letters.

    Args:
        op: The op.
        reason: Why.
    """

    op: Op
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """Hold the place of an op that is not there any more: another write has taken it up, or undone it.

    Args:
        seq: Its place.
    """

    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """Hold an op that may not be sent now and was left as it is.

    Args:
        op: The op.
        why: Whether nothing here carries its kind, its origin is not to be called, or somebody else holds it in a
            transaction that is open.
    """

    op: Op
    why: Literal["no transport", "closed", "held"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """Hold what the server is known to have held after our own last write of an entity.

    Args:
        etag: Its version.
        body: All of it, or None when only a part is known.
    """

    etag: str
    body: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpStatus:
    """Show where a write is in its life.

    Args:
        seq: Its place in the queue.
        state: Where it is.
        verb: What it does, None once it is delivered and only the receipt is left.
        kind: The type of the entity.
        entity: The id of the entity.
        attempts: How often it was sent.
        reason: What the last answer said, or why it is where it is.
        etag: The version that the server gave to the result, once delivered.
        at: Unix seconds at which it got there.
        into: The place of the op that has taken it up, or None.
    """

    seq: int
    state: OpState
    verb: Verb | None
    kind: str
    entity: str
    attempts: int
    reason: str
    etag: str | None
    at: float
    into: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Hold what is new in an outbox.

    Args:
        version: The moment of the look, to be given to the next one.
        decisions: How many parked ops were replayed or discarded so far.
        queued: New ops; all ops when something was decided.
        parked: The lanes in which something waits for a decision, None when nothing was decided.
    """

    version: int | str
    decisions: int
    queued: list[Newcomer]
    parked: set[int] | None


OpContent = tuple[str, bytes | None]
"""What an op does, as it is stored; to be compared, not read."""


class PendingDiff(NamedTuple):
    """Tell what is otherwise than somebody knows of the undelivered ops of a kind.

    Args:
        changed: The ops that are new, or do something else than is known, oldest first.
        contents: What each of these does, by its place, to be known from now on.
        absent: The places asked about where none is, in the order of the question.
    """

    changed: list[Op]
    contents: dict[int, OpContent]
    absent: list[int]


@dataclass(frozen=True, slots=True)
class Counts:
    """Count the writes of an outbox by what became of them.

    Args:
        ready: Durable, never sent.
        waiting: Sent at least once, and neither delivered nor given up.
        conflict: In the conflict inbox.
        dead: In the dead letters.
        delivered: Recorded as delivered; those whose receipts were pruned too.
        folded: Taken up by another write, or annihilated, before anything was sent; the pruned ones too.
    """

    ready: int = 0
    waiting: int = 0
    conflict: int = 0
    dead: int = 0
    delivered: int = 0
    folded: int = 0

    @property
    def open(self) -> int:
        """Return how many are still to be delivered."""
        return self.ready + self.waiting

    @property
    def total(self) -> int:
        """Return how many there are in all."""
        return self.open + self.conflict + self.dead + self.delivered + self.folded
