"""The circuit breaker as a state machine: eras, permits, three verdicts, expiring probes.

The era is an object. A call takes a reference to the era that admits it, and its result can only
land there: a late result of a dead era lands on an object that nobody reads. In the closed phase a
success only bumps a counter of the era, which the face may do without its lock; trip rules are judged
at failures. In the half-open phase every admitted call is a lease: a probe that never returns loses
its slot when another caller needs it.

Source: M. Nygard, Release It! (2nd ed.), chapter 5, for the pattern; eras and leases are our own answer
to results that arrive in a state that did not admit them and to probes that hang.
"""

from __future__ import annotations

import math
from collections import deque
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


class BreakerEngine:
    """Decide which calls run and when the circuit opens and closes.

    Not thread-safe: the face calls every method under its lock, except that it may read `closed` and
    bump `closed.ok` without it. That is safe because the reference is read once, and a bump that lands
    on a replaced era is read by nobody.

    Args:
        config: The settings; `reconfigure` replaces them without losing the state.
    """

    def __init__(self, config: BreakerConfig) -> None:
        self.config = config
        self.closed: Closed | None = Closed(config.trip.start())
        self.phase: Phase = self.closed
        self.rejected = 0
        self._ok_before = 0
        self._failures = 0
        self._opened = 0
        self._reopened = 0
        self._next_probe = 0
        self._reason = "new"
        self._recent: deque[tuple[float, str]] = deque(maxlen=8)

    def admit(self, now: float) -> tuple[Permit | Refusal, Transition | None]:
        """Admit or refuse one call.

        Args:
            now: The present moment, monotonic seconds.

        Returns:
            A permit, or a refusal with the seconds to wait, and the change of state that this caused.
        """
        match self.phase:
            case Closed() as era:
                return Permit(era), None
            case Open(until=until) if now < until:
                self.rejected += 1
                return Refusal(until - now), None
            case Open():
                fresh = Probing()
                change = self._enter(fresh, now, "the open time is over")
                return self._admit_probe(fresh, now), change
            case Probing() as era:
                return self._admit_probe(era, now), None

    def _admit_probe(self, era: Probing, now: float) -> Permit | Refusal:
        if len(era.leases) >= self.config.recovery.max_calls:
            self._reclaim(era, now)
        if len(era.leases) >= self.config.recovery.max_calls:
            self.rejected += 1
            return Refusal(max(0.0, min(era.leases.values()) - now))
        self._next_probe += 1
        era.leases[self._next_probe] = now + self.config.probe_lease
        return Permit(era, self._next_probe)

    @staticmethod
    def _reclaim(era: Probing, now: float) -> None:
        for number in [number for number, end in era.leases.items() if end <= now]:
            del era.leases[number]

    def settle(self, permit: Permit, verdict: Verdict, now: float, why: str = "") -> Transition | None:
        """Count the result of an admitted call, if its era still stands and it was not settled before.

        Args:
            permit: What `admit` gave.
            verdict: How the call ended.
            now: The present moment, monotonic seconds.
            why: What failed, for the record of recent failures.
        """
        if permit.settled:
            return None
        permit.settled = True
        if permit.era is not self.phase:
            return None
        match permit.era:
            case Closed() as era:
                return self._settle_closed(era, verdict, now, why)
            case Probing() as era:
                return self._settle_probe(era, permit.probe, verdict, now, why)

    def _settle_closed(self, era: Closed, verdict: Verdict, now: float, why: str) -> Transition | None:
        match verdict:
            case Verdict.SUCCESS:
                era.ok += 1
            case Verdict.FAILURE:
                return self.fail(era, now, why)
            case Verdict.IGNORED:
                pass
        return None

    def fail(self, era: Closed, now: float, why: str) -> Transition | None:
        """Count a failure of a call that the closed era admitted; a dead era's counts for nothing."""
        if era is not self.phase:
            return None
        self._note_failure(now, why)
        reason = era.window.failure(era.ok, now)
        return self._open(now, reason) if reason else None

    def _settle_probe(self, era: Probing, probe: int, verdict: Verdict, now: float, why: str) -> Transition | None:
        if era.leases.pop(probe, None) is None:
            return None  # its slot was taken after it had expired; what it says is no longer asked for
        match verdict:
            case Verdict.SUCCESS:
                era.successes += 1
                self._ok_before += 1
                if era.successes >= self.config.recovery.success_threshold:
                    return self._close(now, f"{era.successes} probes succeeded")
            case Verdict.FAILURE:
                self._note_failure(now, why)
                return self._open(now, f"a probe failed: {why}")
            case Verdict.IGNORED:
                pass
        return None

    def _note_failure(self, now: float, why: str) -> None:
        self._failures += 1
        self._recent.append((now, why))

    def _enter(self, phase: Phase, now: float, reason: str, until: float = 0.0) -> Transition:
        before = self.state
        if self.closed is not None:
            self._ok_before += self.closed.ok
        self.phase = phase
        self.closed = phase if isinstance(phase, Closed) else None
        self._reason = reason
        return Transition(before, self.state, now, reason, until)

    def _open(self, now: float, reason: str) -> Transition:
        open_for = self.config.open_for
        if self.config.open_growth is not None:
            open_for = self.config.open_growth.grow(open_for, self._reopened)
        self._opened += 1
        self._reopened += 1
        return self._enter(Open(now + open_for), now, reason, now + open_for)

    def _close(self, now: float, reason: str) -> Transition:
        self._reopened = 0
        return self._enter(Closed(self.config.trip.start()), now, reason)

    def force_open(self, now: float) -> Transition:
        """Refuse every call until `force_closed` or `reset`."""
        return self._enter(Open(math.inf), now, "opened by hand", math.inf)

    def force_closed(self, now: float) -> Transition:
        """Admit every call with an empty window; the trip rule goes on judging."""
        return self._close(now, "closed by hand")

    def reset(self, now: float) -> Transition:
        """Return to the state of a new breaker; counts since the start are forgotten too."""
        change = self._close(now, "reset")
        self._ok_before = self._failures = self._opened = self.rejected = 0
        self._recent.clear()
        return change

    @property
    def state(self) -> CircuitState:
        """Return the present state; an open circuit stays OPEN until a call asks after its time is over."""
        match self.phase:
            case Closed():
                return CircuitState.CLOSED
            case Open():
                return CircuitState.OPEN
            case Probing():
                return CircuitState.HALF_OPEN

    def cooldown_remaining(self, now: float) -> float:
        """Return the seconds until probes may start, 0 when the circuit is not open."""
        return max(0.0, self.phase.until - now) if isinstance(self.phase, Open) else 0.0

    def snapshot(self, now: float) -> BreakerSnapshot:
        """Return the whole state as a frozen record."""
        ok = self._ok_before + (self.closed.ok if self.closed is not None else 0)
        return BreakerSnapshot(
            state=self.state,
            calls=ok + self._failures,
            failures=self._failures,
            rejected=self.rejected,
            opened=self._opened,
            cooldown_remaining=self.cooldown_remaining(now),
            probes=len(self.phase.leases) if isinstance(self.phase, Probing) else 0,
            recent_failures=tuple(self._recent),
            reason=self._reason,
        )
