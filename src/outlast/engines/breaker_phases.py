"""The phases of a circuit breaker, each an object with what is known only while it lasts, and the permits of calls."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from outlast.engines.breaker_records import BreakerConfig, CircuitState
from outlast.engines.recovery import GradedRecovery, HalfOpen
from outlast.engines.trip import Window


@dataclass(slots=True, eq=False)
class Closed:
    """Every call is admitted. The face bumps `ok` without a lock, after it has looked at the fields below it.

    Args:
        window: What the trip rule has seen.
        ok: Calls that succeeded.
        dated: Whether a success must be compared with `edge` and `limit`; if not, no clock is read for it.
        edge: Monotonic seconds from which a success must be settled under the lock.
        timed: Whether a call's beginning must be noted.
        limit: Seconds above which a success must be settled under the lock.
    """

    window: Window
    ok: int = 0
    dated: bool = False
    edge: float = math.inf
    timed: bool = False
    limit: float = math.inf

    @classmethod
    def fresh(cls, config: BreakerConfig) -> Closed:
        """Return an era that has seen nothing."""
        era = cls(config.trip.start())
        era.equip(config)
        return era

    def equip(self, config: BreakerConfig) -> None:
        """Note what the settings need to know of a success."""
        limit = config.trip.slow_limit
        self.timed = limit is not None
        self.limit = math.inf if limit is None else limit
        self.edge = -math.inf if config.inspects or config.trip.grain is not None else math.inf
        self.dated = self.timed or self.edge < 0

    def succeed(self, config: BreakerConfig, now: float, took: float) -> str:
        """Count a success that needs more than a bump, and return why the circuit must open, if it must."""
        if self.dated:
            self.window.roll(self.ok, now)
            grain = config.trip.grain
            if grain is not None and not config.inspects:
                self.edge = (now // grain + 1) * grain
        self.ok += 1
        return self.window.slow(self.ok, now, took) if took > self.limit else ""


@dataclass(slots=True, eq=False)
class Open:
    """No call is admitted until `until`."""

    until: float
    reason: str


@dataclass(slots=True, eq=False)
class Probing:
    """A few calls are admitted; `leases` maps a probe's number to the moment its slot may be taken."""

    rule: HalfOpen
    leases: dict[int, float] = field(default_factory=dict[int, float])
    successes: int = 0
    failures: int = 0

    def has_room(self, now: float) -> bool:
        """Tell whether a further probe may run; if need be, slots whose lease is over are taken back."""
        if len(self.leases) >= self.rule.max_calls:
            for number in [number for number, end in self.leases.items() if end <= now]:
                del self.leases[number]
        return len(self.leases) < self.rule.max_calls


@dataclass(slots=True, eq=False)
class Ramping:
    """A growing share of the calls is admitted; they belong to `era`, which outlives this phase."""

    rule: GradedRecovery
    era: Closed
    since: float

    @property
    def until(self) -> float:
        """Return the moment from which every call is admitted."""
        return self.since + self.rule.over_seconds


@dataclass(slots=True, eq=False)
class Disabled:
    """Every call is admitted and none is counted."""


Phase = Closed | Open | Probing | Ramping | Disabled


@dataclass(slots=True, eq=False)
class Permit:
    """Allow one call; it counts only in the era that gave it, and only once.

    Args:
        era: The phase object that admitted the call.
        probe: The number of the probe's lease, 0 for a call that is none.
        began: Monotonic seconds at which the call began, `inf` when nobody measures.
    """

    era: Closed | Probing | Disabled
    probe: int = 0
    began: float = math.inf
    settled: bool = False


def state_of(phase: Phase) -> CircuitState:
    """Return the state that users see."""
    match phase:
        case Closed():
            return CircuitState.CLOSED
        case Open():
            return CircuitState.OPEN
        case Probing() | Ramping():
            return CircuitState.HALF_OPEN
        case Disabled():
            return CircuitState.DISABLED


def admission_of(phase: Phase, now: float) -> float:
    """Return the share of calls that is admitted; probes are none."""
    match phase:
        case Closed() | Disabled():
            return 1.0
        case Ramping(rule=rule, since=since):
            return rule.fraction(now - since)
        case Open() | Probing():
            return 0.0


def refuses_all(phase: Phase, now: float) -> bool:
    """Tell whether no call at all would be admitted; nothing is changed by asking."""
    match phase:
        case Closed() | Ramping() | Disabled():
            return False
        case Open(until=until):
            return now < until
        case Probing(leases=leases, rule=rule):
            return sum(end > now for end in leases.values()) >= rule.max_calls
