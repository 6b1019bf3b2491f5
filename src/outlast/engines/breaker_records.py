"""What a circuit breaker is told and what it tells: its settings, its verdicts, and the records that it gives out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum

from outlast.engines.backoff import Backoff
from outlast.engines.recovery import HalfOpen, RecoveryRule
from outlast.engines.trip import TripRule, check_above_zero
from outlast.engines.trip_count import ConsecutiveFailures
from outlast.errors import ConfigError


class CircuitState(StrEnum):
    """Name the phases that users see; `code` is the number used in metrics."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    DISABLED = "disabled"
    """Switched off by hand: every call runs, nothing is counted."""

    @property
    def code(self) -> int:
        """Return 0 for closed, 1 for open, 2 for half-open, 3 for disabled."""
        return tuple(CircuitState).index(self)


class Verdict(Enum):
    """Judge one admitted call."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"
    """Nothing is learnt: cancelled, refused by another policy, or ignored by rule. The slot comes back."""


@dataclass(frozen=True, slots=True)
class BreakerConfig:
    """Hold the settings of a breaker.

    Args:
        trip: The rule that opens it. Default: 5 failures in a row.
        recovery: How it closes again. Default: half-open, 3 probes at once, 2 successes.
        open_for: Seconds it stays open, > 0. Default 30.
        open_growth: How `open_for` grows with every reopening: a backoff of which only factor and cap are
            used. Default: not at all.
        open_jitter: The share by which chance makes an open time longer or shorter, 0 to 1. Default 0.
        inspects: Whether the face must look at every result, not only at exceptions. Default False.
    """

    trip: TripRule = field(default_factory=ConsecutiveFailures)
    recovery: RecoveryRule = field(default_factory=HalfOpen)
    open_for: float = 30.0
    open_growth: Backoff | None = None
    open_jitter: float = 0.0
    inspects: bool = False

    def __post_init__(self) -> None:
        """Refuse a circuit that would never stay open."""
        check_above_zero(self.open_for, "open_for")
        if self.open_growth is not None and self.open_growth.cap < self.open_for:
            raise ConfigError(f"its cap must be at least open_for={self.open_for:g} s", path="open_growth")
        if not 0 <= self.open_jitter < 1:
            raise ConfigError(f"must be at least 0 and below 1, not {self.open_jitter!r}", path="open_jitter")

    def open_time(self, reopened: int, chance: float) -> float:
        """Return for how long it opens.

        Args:
            reopened: How often it has opened since it was last closed.
            chance: A random number from [0, 1).
        """
        growth = self.open_growth
        seconds = self.open_for if growth is None else growth.grow(self.open_for, reopened)
        seconds *= 1.0 + self.open_jitter * (2.0 * chance - 1.0)
        return seconds if growth is None else min(seconds, growth.cap)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Say that a call is not admitted.

    Args:
        retry_after: Seconds until a call may be admitted; `inf` while held open by hand.
    """

    retry_after: float


@dataclass(frozen=True, slots=True)
class Transition:
    """Record one change of state, for the face to publish after it has let go of its lock."""

    before: CircuitState
    after: CircuitState
    at: float
    reason: str
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class BreakerSnapshot:
    """Show the whole state of a breaker at one moment.

    Args:
        state: The present state.
        calls: Calls admitted and settled as success or failure since the start.
        failures: How many of them were failures.
        rejected: Calls refused since the start; in shadow mode, those that would have been.
        opened: How often it opened.
        cooldown_remaining: Seconds until probes may start, 0 when not open.
        probes: Probes running now.
        recent_failures: The last failures, oldest first, as (moment, text).
        reason: Why it is in this state.
        admission: The share of calls that is admitted, from 0 to 1; 0 while only probes are.
        shadow: Whether it only says what it would do.
    """

    state: CircuitState
    calls: int
    failures: int
    rejected: int
    opened: int
    cooldown_remaining: float
    probes: int
    recent_failures: tuple[tuple[float, str], ...]
    reason: str
    admission: float = 1.0
    shadow: bool = False
