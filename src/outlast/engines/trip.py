"""Trip rules: what opens a circuit. A rule is frozen settings of plain values; a window is its running state.

A window is asked at failures, and at slow calls if its rule minds them: **a success never opens a
circuit**, except a slow one. Successes reach it as a number, how many the era has seen so far, so that a
success costs one bump of a counter. Rules over time also need to know roughly when calls were settled;
for them the face calls `roll` once in a grain of time.

Source: the rules are those of resilience4j, Polly and cockatiel; the leaky count is the seed's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from outlast.errors import ConfigError


class Window(Protocol):
    """Keep what a rule has seen in one closed era."""

    def failure(self, ok: int, now: float, weight: float = 1.0) -> str:
        """Count a failure and return why the circuit must open, or an empty string.

        Args:
            ok: How many calls of this era have succeeded so far.
            now: The present moment, monotonic seconds.
            weight: How much of a failure it is, > 0. Default 1.
        """
        ...

    def slow(self, ok: int, now: float) -> str:
        """Count a success that took too long; `ok` includes it. Returns as `failure` does."""
        ...

    def roll(self, ok: int, now: float) -> None:
        """Date the successes since the last roll."""
        ...


class TripRule(Protocol):
    """Make a fresh window for every closed era, and say what it must be told."""

    @property
    def grain(self) -> float | None:
        """Return within how many seconds successes need not be told apart in time, None if time does not matter."""
        ...

    @property
    def slower_than(self) -> float | None:
        """Return above how many seconds a call is slow, None if that does not matter."""
        ...

    def start(self) -> Window:
        """Return an empty window."""
        ...


class Rule(ABC):
    """Be the base of the rules that come with outlast; any two are combined with `|`."""

    __slots__ = ()

    @property
    def grain(self) -> float | None:
        """Return None: time does not matter."""
        return None

    @property
    def slower_than(self) -> float | None:
        """Return None: slowness does not matter."""
        return None

    @abstractmethod
    def start(self) -> Window:
        """Return an empty window."""

    def __or__(self, other: TripRule) -> AnyOf:
        """Return a rule that opens when either does."""
        return AnyOf((*_parts(self), *_parts(other)))


def _parts(rule: TripRule) -> tuple[TripRule, ...]:
    return rule.rules if isinstance(rule, AnyOf) else (rule,)


@dataclass(frozen=True, slots=True)
class AnyOf(Rule):
    """Open when any of several rules does; made by `|`.

    Args:
        rules: The rules.
    """

    rules: tuple[TripRule, ...]

    @property
    def grain(self) -> float | None:
        """Return the finest grain that a rule needs."""
        return min((rule.grain for rule in self.rules if rule.grain is not None), default=None)

    @property
    def slower_than(self) -> float | None:
        """Return the limit of the rules that mind slow calls.

        Raises:
            ConfigError: They do not agree on one.
        """
        limits = {rule.slower_than for rule in self.rules if rule.slower_than is not None}
        if len(limits) > 1:
            raise ConfigError(f"the rules must agree on slower_than, not {sorted(limits)}", path="trip")
        return limits.pop() if limits else None

    def start(self) -> AnyWindow:
        """Return an empty window of each rule."""
        return AnyWindow(tuple(rule.start() for rule in self.rules))


@dataclass(slots=True)
class AnyWindow:
    """Tell every window everything, and return the first reason that one has."""

    windows: tuple[Window, ...]

    def failure(self, ok: int, now: float, weight: float = 1.0) -> str:
        """Count a failure in each window."""
        return next(filter(None, [window.failure(ok, now, weight) for window in self.windows]), "")

    def slow(self, ok: int, now: float) -> str:
        """Count a slow success in each window."""
        return next(filter(None, [window.slow(ok, now) for window in self.windows]), "")

    def roll(self, ok: int, now: float) -> None:
        """Date the successes in each window."""
        for window in self.windows:
            window.roll(ok, now)


class Untimed:
    """Be the base of windows to which neither time nor slowness matters."""

    __slots__ = ()

    def slow(self, ok: int, now: float) -> str:
        """Return an empty string."""
        del ok, now
        return ""

    def roll(self, ok: int, now: float) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class ConsecutiveFailures(Rule):
    """Open after a number of failures with no success between them.

    Args:
        threshold: How many, >= 1. Default 5. Weighted failures add up by their weight.

    >>> window = ConsecutiveFailures(2).start()
    >>> window.failure(0, 1.0), window.failure(1, 2.0), window.failure(1, 3.0)
    ('', '', '2 failures in a row')
    """

    threshold: int = 5

    def __post_init__(self) -> None:
        """Refuse a threshold that nothing could reach."""
        check_count(self.threshold, "failure_threshold")

    def start(self) -> ConsecutiveWindow:
        """Return an empty window."""
        return ConsecutiveWindow(self.threshold)


@dataclass(slots=True)
class ConsecutiveWindow(Untimed):
    """Count a streak of failures; it breaks when the era's successes have moved since the last one."""

    threshold: int
    streak: float = 0.0
    ok_seen: int = 0

    def failure(self, ok: int, now: float, weight: float = 1.0) -> str:
        """Count a failure; successes show in `ok` alone."""
        del now
        if ok != self.ok_seen:
            self.ok_seen = ok
            self.streak = 0.0
        self.streak += weight
        return f"{self.streak:g} failures in a row" if self.streak >= self.threshold else ""


@dataclass(frozen=True, slots=True)
class LeakyFailures(Rule):
    """Open when failures outnumber successes by a threshold: each success pays back one failure.

    Args:
        threshold: How many unpaid failures, >= 1. Default 5.

    >>> window = LeakyFailures(2).start()
    >>> window.failure(0, 1.0), window.failure(1, 2.0), window.failure(1, 3.0)
    ('', '', '2 more failures than successes')
    """

    threshold: int = 5

    def __post_init__(self) -> None:
        """Refuse a threshold that nothing could reach."""
        check_count(self.threshold, "threshold")

    def start(self) -> LeakyWindow:
        """Return an empty window."""
        return LeakyWindow(self.threshold)


@dataclass(slots=True)
class LeakyWindow(Untimed):
    """Keep the level of unpaid failures; successes are paid in when the next failure comes."""

    threshold: int
    level: float = 0.0
    ok_seen: int = 0

    def failure(self, ok: int, now: float, weight: float = 1.0) -> str:
        """Pay back what the successes since the last failure are worth, then count this one."""
        del now
        self.level = max(0.0, self.level - (ok - self.ok_seen)) + weight
        self.ok_seen = ok
        return f"{self.level:g} more failures than successes" if self.level >= self.threshold else ""


@dataclass(frozen=True, slots=True)
class FailuresWithin(Rule):
    """Open after a number of failures within a time, however many successes lie between them.

    Args:
        threshold: How many, >= 1.
        seconds: Within how long, > 0.

    >>> window = FailuresWithin(2, seconds=60.0).start()
    >>> window.failure(0, 0.0), window.failure(9, 61.0), window.failure(9, 70.0)
    ('', '', '2 failures within 60 s')
    """

    threshold: int
    seconds: float

    def __post_init__(self) -> None:
        """Refuse numbers that nothing could reach."""
        check_count(self.threshold, "threshold")
        check_above_zero(self.seconds, "seconds")

    def start(self) -> FailuresWithinWindow:
        """Return an empty window."""
        return FailuresWithinWindow(self.threshold, self.seconds)


@dataclass(slots=True)
class FailuresWithinWindow(Untimed):
    """Keep the moments of the failures that are not too old. Exact; at most `threshold` of them matter."""

    threshold: int
    seconds: float
    failures: deque[tuple[float, float]] = field(default_factory=deque[tuple[float, float]])
    total: float = 0.0

    def failure(self, ok: int, now: float, weight: float = 1.0) -> str:
        """Count a failure; successes do not matter."""
        del ok
        self.failures.append((now, weight))
        self.total += weight
        while self.failures[0][0] <= now - self.seconds:
            self.total -= self.failures.popleft()[1]
        return f"{self.total:g} failures within {self.seconds:g} s" if self.total >= self.threshold else ""


def check_count(value: int, name: str) -> None:
    """Refuse what is no whole number of at least 1."""
    if isinstance(value, bool) or value < 1:
        raise ConfigError(f"must be a whole number of at least 1, not {value!r}", path=name)


def check_above_zero(value: float, name: str) -> None:
    """Refuse what is not above 0."""
    if not value > 0:
        raise ConfigError(f"must be above 0, not {value!r}", path=name)
