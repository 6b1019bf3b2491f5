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
    """

    severity: ClassVar[Severity] = Severity.WARNING

    until: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitHalfOpened(Event):
    """A circuit breaker admits probes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitClosed(Event):
    """A circuit breaker admits every call again."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRejected(Event):
    """A policy refused to run a call.

    Args:
        retry_after: Seconds after which a further try makes sense, or None.
    """

    severity: ClassVar[Severity] = Severity.DEBUG

    retry_after: float | None


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
