"""What happens in the policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from outlast.events._base import Event, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitOpened(Event):
    """A circuit breaker stopped admitting calls.

    Args:
        until: Monotonic seconds at which probes may start, `inf` when held open by hand.
        reason: What tipped it.
        shadow: Whether it only would have, in shadow mode.
    """

    severity: ClassVar[Severity] = Severity.WARNING

    until: float
    reason: str
    shadow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitHalfOpened(Event):
    """A circuit breaker admits probes, or a growing share of the calls.

    Args:
        shadow: Whether it only would, in shadow mode.
    """

    shadow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitClosed(Event):
    """A circuit breaker admits every call again.

    Args:
        reason: Why.
        shadow: Whether it admitted every call before, too, in shadow mode.
    """

    reason: str
    shadow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitDisabled(Event):
    """A circuit breaker was switched off by hand: it admits every call and counts none."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRejected(Event):
    """A policy refused to run a call.

    Args:
        retry_after: Seconds after which a further try makes sense, or None.
        shadow: Whether it only would have refused, in shadow mode, and ran the call.
    """

    severity: ClassVar[Severity] = Severity.DEBUG

    retry_after: float | None
    shadow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailed(Event):
    """A call that a breaker admitted counted as a failure."""

    severity: ClassVar[Severity] = Severity.DEBUG

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled(Event):
    """A failed attempt will be followed by another.

    Args:
        attempt: The number of the attempt that failed, from 1.
        wait: Seconds until the next one.
        error: The type of the failure.
    """

    attempt: int
    wait: float
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryGaveUp(Event):
    """No further attempt will be made.

    Args:
        attempts: How many were made.
        reason: Why not one more.
        error: The type of the last failure.
    """

    severity: ClassVar[Severity] = Severity.WARNING

    attempts: int
    reason: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTimedOut(Event):
    """A call ran into its limit.

    Args:
        limit: The limit in seconds.
    """

    severity: ClassVar[Severity] = Severity.WARNING

    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeStarted(Event):
    """A call that had not answered yet was started once more.

    Args:
        number: Which hedge of the call it is, from 1.
        waited: Seconds since the call began.
    """

    severity: ClassVar[Severity] = Severity.DEBUG

    number: int
    waited: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeWon(Event):
    """A hedge answered before the attempts that began earlier.

    Args:
        number: Which hedge of the call it is, from 1.
        elapsed: Seconds from the start of the call to the answer.
    """

    severity: ClassVar[Severity] = Severity.DEBUG

    number: int
    elapsed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackUsed(Event):
    """A call failed, and a fallback answered in its place.

    Args:
        link: Which fallback it was, from 1.
        error: The type of the failure of the call.
    """

    severity: ClassVar[Severity] = Severity.WARNING

    link: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackFailed(Event):
    """A call failed, and so did every fallback.

    Args:
        error: The type of the failure of the call.
        last: The type of the failure of the last fallback, which is raised.
    """

    severity: ClassVar[Severity] = Severity.ERROR

    error: str
    last: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FlightJoined(Event):
    """A call waits for the execution that an equal call has begun.

    Args:
        waiting: How many callers that execution has now.
    """

    severity: ClassVar[Severity] = Severity.DEBUG

    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosInjected(Event):
    """A call was disturbed on purpose.

    Args:
        call: The name of the function.
        what: What was done to it: `latency`, `behaviour`, `fault`, `result`, or several, joined by `+`.
        latency: The seconds that it waited first.
    """

    severity: ClassVar[Severity] = Severity.WARNING

    call: str
    what: str
    latency: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosStopped(Event):
    """A chaos policy will disturb no further call.

    Args:
        reason: Why.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallWaited(Event):
    """A call may run after it has waited for a slot or for its turn.

    Args:
        seconds: How long it waited.
    """

    severity: ClassVar[Severity] = Severity.DEBUG

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanged(Event):
    """An adaptive limit moved.

    Args:
        before: Calls at once that it allowed.
        after: Calls at once that it allows now.
        reason: Why.
    """

    severity: ClassVar[Severity] = Severity.DEBUG

    before: int
    after: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottlingStarted(Event):
    """An adaptive throttle began to refuse calls, because too few were accepted.

    Args:
        requests: Calls in its window.
        accepts: How many of them were accepted.
    """

    severity: ClassVar[Severity] = Severity.WARNING

    requests: int
    accepts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottlingStopped(Event):
    """An adaptive throttle lets every call pass again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyReconfigured(Event):
    """A policy's settings were changed while it ran; its state stayed.

    Args:
        settings: The names of the settings that were given.
    """

    settings: tuple[str, ...]
