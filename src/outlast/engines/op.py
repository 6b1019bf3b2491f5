"""The life of a queued write: what each answer of the server means for it.

The commit that claims an op seals it: method, URL, body, key and preconditions stay as they are from then on. `settle`
turns an answer into what the outbox must record, and never guesses: what is in doubt is sent again as the same bytes
under the same key, and a refused precondition is settled by reading back and comparing.

Source: RFC 9110 sections 9.2.2 (idempotent methods) and 13.1.1 (If-Match after an own success).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from outlast.engines.backoff import Backoff, Jitter


class Verb(StrEnum):
    """Name what a write does to its entity."""

    CREATE = "create"
    """Make it; it must not exist yet."""
    PUT = "put"
    """Replace it whole."""
    PATCH = "patch"
    """Change some of its fields (JSON merge patch, RFC 7396)."""
    DELETE = "delete"
    """Remove it."""
    POST = "post"
    """Hand a message to a processor; not idempotent without a key."""


class OpState(StrEnum):
    """Name where a write is in its life."""

    READY = "ready"
    """Durable, never sent; its body may still be merged with a later one's."""
    SENT = "sent"
    """Sealed, and a request may be on the wire."""
    WAITING = "waiting"
    """Sealed, to be sent again when it is due."""
    ACCEPTED = "accepted"
    """The server has it and works on it; it is asked until it has done so, or failed."""
    CONFLICT = "conflict"
    """The server holds something else; somebody must decide."""
    DEAD = "dead"
    """Given up; kept until somebody replays or discards it."""
    DELIVERED = "delivered"
    """Its effect took place and that is recorded."""
    MERGED = "merged"
    """Taken up by an older write of the same entity before either was sent; its ticket follows that one."""
    ANNIHILATED = "annihilated"
    """Never sent, because a later write undid it before anything was."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The effect took place.

    Args:
        etag: The version that the server gave to the result, or None.
        status: The HTTP status, or None for what is not HTTP.
    """

    etag: str | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server will do it later (202).

    Args:
        url: Where to ask what has become of it, or None for where one asked before.
        retry_after: Seconds that it asks to wait, or None.
        status: The HTTP status, or None for what is not HTTP.
    """

    url: str | None = None
    retry_after: float | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class NotApplied:
    """No byte reached the server, so surely nothing happened."""

    reason: str


@dataclass(frozen=True, slots=True)
class InDoubt:
    """The request went out and no whole answer came back."""

    reason: str


@dataclass(frozen=True, slots=True)
class Busy:
    """The server cannot do it now.

    Args:
        reason: What it answered.
        retry_after: Seconds that it asks to wait, or None.
        whole_origin: True when it asks every caller to wait (429), not only this op.
        in_doubt: True when the effect may have taken place all the same (500, 502, 504).
    """

    reason: str
    retry_after: float | None = None
    whole_origin: bool = False
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Stale:
    """A precondition failed or the state clashes (409, 412): the server holds something else, or our own."""

    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The entity is not there (404, 410)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The server will never take this request.

    Args:
        reason: What it answered, in words.
        status: The HTTP status, or None.
    """

    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class AuthNeeded:
    """The credentials were refused (401); nothing is wrong with the op."""

    reason: str


Answer = Applied | Accepted | NotApplied | InDoubt | Busy | Stale | Gone | Rejected | AuthNeeded


@dataclass(frozen=True, slots=True)
class Found:
    """Reading back found the entity.

    Args:
        equal: Whether it holds what the op wanted it to hold.
        etag: Its version, or None.
        body: All of it, or None when it cannot be shown; without it nothing can be merged.
    """

    equal: bool
    etag: str | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """Reading back found nothing there."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Reading back failed.

    Args:
        reason: Why.
        permanent: Whether it will fail each time, so that asking again is of no use.
        unauthorized: Whether the credentials were refused (401), so that it may succeed with new ones.
    """

    reason: str
    permanent: bool = False
    unauthorized: bool = False


ReadBack = Found | Missing | Unreadable


@dataclass(frozen=True, slots=True)
class Deliver:
    """Record that the effect took place, or that the server has what counts without it.

    Args:
        etag: The version that the server has now, or None.
        outcome: What the receipt says: `delivered`, or `dropped` for what was not needed any more.
        held: What reading back found, which may be more than the op has said; None when nothing was read.
    """

    etag: str | None = None
    outcome: str = "delivered"
    held: bytes | None = None


@dataclass(frozen=True, slots=True)
class Postpone:
    """Send the same bytes again later.

    Args:
        wait: Seconds until then.
        reason: Why.
        pause_origin: Whether nothing else may be sent to that origin meanwhile.
    """

    wait: float
    reason: str
    pause_origin: bool = False


@dataclass(frozen=True, slots=True)
class Compare:
    """Read the entity back and compare it with what the op wanted."""

    reason: str


@dataclass(frozen=True, slots=True)
class Await:
    """Ask later what has become of it.

    Args:
        url: Where, or None for where one asked before.
        wait: Seconds until then.
        pause_origin: Whether nothing else may be sent to that origin meanwhile.
    """

    url: str | None
    wait: float
    pause_origin: bool = False


@dataclass(frozen=True, slots=True)
class Renew:
    """Send something else instead, under a new generation and so a new key.

    Args:
        verb: What it does.
        body: Its bytes, None for a delete.
        if_match: The version that it is based on now, or None.
        base: What the server holds, for the next merge, or None.
        reason: Why.
    """

    verb: Verb
    body: bytes | None
    if_match: str | None
    base: bytes | None
    reason: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Put the op into the conflict inbox.

    Args:
        reason: Why.
        base: What the server held when the op was made, or None when nobody knows.
        theirs: What is known of the server's side, as a JSON document, or None.
    """

    reason: str
    base: bytes | None = None
    theirs: bytes | None = None


@dataclass(frozen=True, slots=True)
class Die:
    """Put the op into the dead letters."""

    reason: str


@dataclass(frozen=True, slots=True)
class AskCredentials:
    """Stop sending until somebody gives new credentials; the op waits and is not charged."""

    reason: str


Step = Deliver | Postpone | Await | Compare | Renew | Conflict | Die | AskCredentials


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """Hold the numbers of delivery.

    Args:
        backoff: The waits between attempts of one op. Default 1 s x 2, cap 60 s, equal jitter.
        max_retry_after: The longest Retry-After in seconds that is believed. Default 3600.
        max_compares: How often a refused precondition is sent again after the entity turned out to be
            missing, before it becomes a conflict. Default 5.
        max_refusals: How many refusals (4xx) of one op are tried again, >= 0. Default 0.
        max_deaths: How many deaths of its process an op survives while it is sent, >= 0. Default 3.
        key_ttl: Seconds for which a server remembers an idempotency key. An op whose first sending is longer ago and
            in doubt is read back before it is sent again. Default one day.
        accepted_for: Seconds for which a server that has accepted an op is asked about it. Default one day.
    """

    backoff: Backoff = field(default_factory=lambda: Backoff(base=1.0, factor=2.0, cap=60.0, jitter=Jitter.EQUAL))
    max_retry_after: float = 3600.0
    max_compares: int = 5
    max_refusals: int = 0
    max_deaths: int = 3
    key_ttl: float = 86_400.0
    accepted_for: float = 86_400.0


def settle(policy: DeliveryPolicy, verb: Verb, attempt: int, answer: Answer, chance: float) -> Step:
    """Say what one answer means for an op.

    Args:
        policy: The numbers.
        verb: What the op does.
        attempt: The number of the attempt that was answered, from 1.
        answer: What came back.
        chance: A random number from [0, 1) for the jitter.
    """
    match answer:
        case Applied(etag=etag):
            return Deliver(etag)
        case Accepted() | NotApplied() | InDoubt() | Busy():
            return _later(policy, attempt, answer, chance)
        case Stale(reason=reason):
            # A message has no entity of its own that could be read back.
            return Conflict(reason) if verb is Verb.POST else Compare(reason)
        case Gone(reason=reason):
            return _gone(verb, reason)
        case Rejected(reason=reason):
            return Die(reason)
        case AuthNeeded(reason=reason):
            return AskCredentials(reason)


def _later(
    policy: DeliveryPolicy, attempt: int, answer: Accepted | NotApplied | InDoubt | Busy, chance: float
) -> Postpone | Await:
    wait = policy.backoff.wait(attempt, chance)
    match answer:
        case Accepted(url=url, retry_after=after):
            return Await(url, max(_believed(policy, after), wait))
        case NotApplied(reason=reason) | InDoubt(reason=reason):
            return Postpone(wait, reason)
        case Busy(reason=reason, retry_after=after, whole_origin=whole):
            return Postpone(max(_believed(policy, after), wait), reason, pause_origin=whole)


def _believed(policy: DeliveryPolicy, retry_after: float | None) -> float:
    return min(policy.max_retry_after, retry_after or 0.0)  # what is no number is as long as is believed


def _gone(verb: Verb, reason: str) -> Step:
    match verb:
        case Verb.DELETE:
            return Deliver()
        case Verb.PUT | Verb.PATCH:
            return Conflict(f"the entity is gone on the server: {reason}")
        case Verb.CREATE | Verb.POST:
            return Die(f"there is no such place on the server: {reason}")


def compare(policy: DeliveryPolicy, verb: Verb, attempt: int, found: ReadBack, *, chance: float, reason: str) -> Step:
    """Say what reading back means for an op whose precondition was refused.

    Args:
        policy: The numbers.
        verb: What the op does.
        attempt: The number of the attempt that was refused, from 1.
        found: What reading back gave.
        chance: A random number from [0, 1) for the jitter.
        reason: What the server had answered to the op.
    """
    match found:
        case Unreadable(reason=why, permanent=True):
            return Conflict(f"{reason}; and it cannot be read back: {why}")
        case Unreadable(reason=why):
            return Postpone(policy.backoff.wait(attempt, chance), f"{reason}; reading back failed: {why}")
        case Found(equal=True, etag=etag, body=body):
            return Deliver(etag, held=body)
        case Found():
            return Conflict(f"{reason}; the server holds other content")
        case Missing():
            return _missing(policy, verb, attempt, reason, chance)


def _missing(policy: DeliveryPolicy, verb: Verb, attempt: int, reason: str, chance: float) -> Step:
    if verb is Verb.DELETE:
        return Deliver()
    if verb is Verb.CREATE and attempt <= policy.max_compares:
        return Postpone(policy.backoff.wait(attempt, chance), f"{reason}, and yet nothing is there")
    return Conflict(f"{reason}; the entity is gone on the server")
