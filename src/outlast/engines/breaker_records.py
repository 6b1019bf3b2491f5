"""What a circuit breaker is made of: its settings, its phases, and the records that it gives out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum

from outlast.engines.backoff import Backoff
from outlast.engines.trip import ConsecutiveFailures, TripRule, Window
from outlast.errors import ConfigError


class CircuitState(StrEnum):
    """Name the phases that users see; `code` is the number used in metrics."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"

    @property
    def code(self) -> int:
        """Return 0 for closed, 1 for open, 2 for half-open."""
        return tuple(CircuitState).index(self)


class Verdict(Enum):
    """Judge one admitted call."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"
    """Nothing is learnt: cancelled, refused by another policy, or ignored by rule. The slot comes back."""


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """Recover by letting a few probes through.

    Args:
        max_calls: Probes that may run at once, >= 1. Default 3.
        success_threshold: Successful probes that close the circuit, >= 1. Default 2.
        probe_expires_after: Seconds after which an unanswered probe's slot may be taken by another,
            > 0. Default: as long as the circuit stays open at first.
    """

    max_calls: int = 3
    success_threshold: int = 2
    probe_expires_after: float | None = None

    def __post_init__(self) -> None:
        """Refuse settings that could never close the circuit."""
        if self.max_calls < 1 or self.success_threshold < 1:
            raise ConfigError("max_calls and success_threshold must be at least 1", path="recovery")
        if self.probe_expires_after is not None and not self.probe_expires_after > 0:
            raise ConfigError("must be above 0 seconds", path="recovery.probe_expires_after")


@dataclass(frozen=True, slots=True)
class BreakerConfig:
    """Hold the settings of a breaker.

    Args:
        trip: The rule that opens it. Default: 5 failures in a row.
        recovery: How it closes again. Default: half-open, 3 probes at once, 2 successes.
        open_for: Seconds it stays open, > 0. Default 30.
        open_growth: How `open_for` grows with every reopening: a backoff whose base is ignored.
            Default: not at all.
    """

    trip: TripRule = field(default_factory=ConsecutiveFailures)
    recovery: HalfOpen = field(default_factory=HalfOpen)
    open_for: float = 30.0
    open_growth: Backoff | None = None

    def __post_init__(self) -> None:
        """Refuse a circuit that would never stay open."""
        if not self.open_for > 0:
            raise ConfigError(f"must be above 0 seconds, not {self.open_for!r}", path="open_for")
        if self.open_growth is not None and self.open_growth.cap < self.open_for:
            raise ConfigError(f"its cap must be at least open_for={self.open_for:g} s", path="open_growth")

    @property
    def probe_lease(self) -> float:
        """Return the seconds for which a probe holds its slot."""
        return self.recovery.probe_expires_after or self.open_for


@dataclass(slots=True, eq=False)
class Closed:
    """Every call is admitted; the face bumps `ok` without a lock."""

    window: Window
    ok: int = 0


@dataclass(slots=True, eq=False)
class Open:
    """No call is admitted until `until`."""

    until: float


@dataclass(slots=True, eq=False)
class Probing:
    """A few calls are admitted; `leases` maps a probe's number to the moment its slot may be taken."""

    leases: dict[int, float] = field(default_factory=dict[int, float])
    successes: int = 0


Phase = Closed | Open | Probing


@dataclass(slots=True, eq=False)
class Permit:
    """Allow one call; it counts only in the era that gave it, and only once.

    Args:
        era: The phase object that admitted the call.
        probe: The number of the probe's lease, 0 for a call admitted while closed.
    """

    era: Closed | Probing
    probe: int = 0
    settled: bool = False


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
        rejected: Calls refused since the start.
        opened: How often it opened.
        cooldown_remaining: Seconds until probes may start, 0 when not open.
        probes: Probes running now.
        recent_failures: The last failures, oldest first, as (moment, text).
        reason: Why it is in this state.
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
