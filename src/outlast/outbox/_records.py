"""The records that go into an outbox, lie in it, and come out of it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from outlast.engines.delivery import Course, History
from outlast.engines.op import OpState, Verb
from outlast.errors import ConfigError

KEEP: Final = "keep"
"""Says that a replayed write stays based on the version it was based on; never an ETag, which has quotes."""
REBASED: Final = "rebased"
"""Stands for the version of what never came to be, on which a write is based; it is not sent but merged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Describe a write that somebody wants done.

    Args:
        verb: What it does.
        kind: The type of the entity, such as `note`.
        entity: The id of the entity.
        body: The bytes to send, or None for a delete.
        content_type: The media type of the body. Default JSON.
        if_match: The version that the write is based on, as an ETag with its quotes, or None.
        target: Where to send it, a URL or a path, or None to let the transport's routes decide.
        lane: Writes of one lane are delivered one after the other. Default: the entity's own.
        once: A name under which this write is queued at most once, ever, or None.
        after: The place of another write that must be delivered before this one, or None.
        order: `strict`: while it waits for its next attempt, those behind it in its lane wait too. `mutex`: they may
            go, only never at the same time. Default `strict`.
        expires: Seconds from now after which it is given up, unless it may be on the wire; None for never.
        schema: The version of the shape of the body, >= 0. Default 0.
        base: The entity as its author saw it, own writes that wait included, or None when that is not known. What came
            to be in between, by others or by a write in front of it that the author did not see, is merged with it.
    """

    verb: Verb
    kind: str
    entity: str
    body: bytes | None = None
    content_type: str = "application/json"
    if_match: str | None = None
    target: str | None = None
    lane: str | None = None
    once: str | None = None
    after: int | None = None
    order: Literal["strict", "mutex"] = "strict"
    expires: float | None = None
    schema: int = 0
    base: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse a write that nobody could deliver."""
        if not self.kind or not self.entity:
            raise ConfigError(
                f"a write needs a kind and an entity id, not {self.kind!r} and {self.entity!r}", path="write"
            )
        if self.body is None and self.verb is not Verb.DELETE:
            raise ConfigError(f"a {self.verb.value} needs a body", path="write.body")
        if self.body is not None and not isinstance(self.body, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"the body must be bytes, not {type(self.body).__name__}", path="write.body")
        if self.base is not None and not isinstance(self.base, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"the base must be bytes, not {type(self.base).__name__}", path="write.base")
        self._check_numbers()
        self._check_texts()

    def _check_numbers(self) -> None:
        for name, least in (("after", 1), ("schema", 0)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise ConfigError(f"must be a whole number from {least}, not {value!r}", path=f"write.{name}")
        if self.order not in {"strict", "mutex"}:
            raise ConfigError(f"must be 'strict' or 'mutex', not {self.order!r}", path="write.order")
        if self.expires is not None and not 0 < self.expires < math.inf:
            raise ConfigError(f"must be above 0 seconds, not {self.expires!r}", path="write.expires")

    def _check_texts(self) -> None:
        for name in ("kind", "entity", "target", "lane", "once"):
            _check_text(name, getattr(self, name))
        for name in ("content_type", "if_match"):
            value = _check_text(name, getattr(self, name))
            # They become headers; what cannot be one would be tried in vain for ever.
            if value is not None and not (value.isascii() and value.isprintable() and value == value.strip()):
                raise ConfigError(f"{value!r} cannot be sent as a header", path=f"write.{name}")

    @property
    def lane_id(self) -> int:
        """Return the number of its lane; two lanes that share one only lose parallelism, never order."""
        name = self.lane if self.lane is not None else f"{self.kind}\x1f{self.entity}"
        return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


def _check_text(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"must be a text, not {type(value).__name__}", path=f"write.{name}")
    try:
        (value or "").encode()
    except UnicodeEncodeError as error:
        raise ConfigError("holds half of a surrogate pair, which is no character", path=f"write.{name}") from error
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
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
    """

    seq: int
    how: Literal["queued", "known", "merged", "annihilated"] = "queued"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRequest:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
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
    history: History = field(default_factory=History)
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
        why: Whether nothing here carries its kind, or its origin is not to be called.
    """

    op: Op
    why: Literal["no transport", "closed"]


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
