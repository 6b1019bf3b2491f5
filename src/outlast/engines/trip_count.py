"""Trip rules that count failures: in a row, within a time, or unpaid by successes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from outlast.engines.trip import Rule, Window, check_above_zero, check_count
from outlast.engines.window import reached


class Untimed:
    """Be the base of windows to which slowness, and the moment of a success, do not matter."""

    __slots__ = ()

    def slow(self, ok: int, now: float, took: float) -> str:
        """Return an empty string."""
        del ok, now, took
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

    def start(self, ok: int = 0) -> ConsecutiveWindow:
        """Return an empty window."""
        return ConsecutiveWindow(self.threshold, ok_seen=ok)

    def adopt(self, window: Window) -> bool:
        """Keep a running streak."""
        if not isinstance(window, ConsecutiveWindow):
            return False
        window.threshold = self.threshold
        return True


@dataclass(slots=True, eq=False)
class ConsecutiveWindow(Untimed):
    """Count a streak of failures; it breaks when the era's successes have moved since the last one."""

    threshold: int
    streak: float = 0.0
    ok_seen: int = 0

    def failure(self, ok: int, now: float, weight: float = 1.0, took: float = 0.0) -> str:
        """Count a failure; successes show in `ok` alone."""
        del now, took
        if ok != self.ok_seen:
            self.ok_seen = ok
            self.streak = 0.0
        self.streak += weight
        return f"{self.streak:g} failures in a row" if reached(self.streak, self.threshold) else ""


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

    def start(self, ok: int = 0) -> LeakyWindow:
        """Return an empty window."""
        return LeakyWindow(self.threshold, ok_seen=ok)

    def adopt(self, window: Window) -> bool:
        """Keep what is unpaid."""
        if not isinstance(window, LeakyWindow):
            return False
        window.threshold = self.threshold
        return True


@dataclass(slots=True, eq=False)
class LeakyWindow(Untimed):
    """Keep the level of unpaid failures; successes are paid in when the next failure comes."""

    threshold: int
    level: float = 0.0
    ok_seen: int = 0

    def failure(self, ok: int, now: float, weight: float = 1.0, took: float = 0.0) -> str:
        """Pay back what the successes since the last failure are worth, then count this one."""
        del now, took
        self.level = max(0.0, self.level - (ok - self.ok_seen)) + weight
        self.ok_seen = ok
        return f"{self.level:g} more failures than successes" if reached(self.level, self.threshold) else ""


@dataclass(frozen=True, slots=True)
class FailuresWithin(Rule):
    """Open after a number of failures within a time, however many successes lie between them.

    Args:
        threshold: How many, >= 1.
        seconds: Within how long, > 0.

    >>> window = FailuresWithin(2, seconds=60.0).start()
    >>> window.failure(0, 0.0), window.failure(9, 60.0), window.failure(9, 70.0)
    ('', '', '2 failures within 60 s')
    """

    threshold: int
    seconds: float

    def __post_init__(self) -> None:
        """Refuse numbers that nothing could reach."""
        check_count(self.threshold, "threshold")
        check_above_zero(self.seconds, "seconds")

    def start(self, ok: int = 0) -> FailuresWithinWindow:
        """Return an empty window."""
        del ok
        return FailuresWithinWindow(self.threshold, self.seconds)

    def adopt(self, window: Window) -> bool:
        """Keep the failures that are known; under a longer time those that were dropped are missing."""
        if not isinstance(window, FailuresWithinWindow):
            return False
        window.threshold, window.seconds = self.threshold, self.seconds
        return True


@dataclass(slots=True, eq=False)
class FailuresWithinWindow(Untimed):
    """Keep the moments of the failures that are not too old. Exact; it opens before it can hold many."""

    threshold: int
    seconds: float
    failures: deque[tuple[float, float]] = field(default_factory=deque[tuple[float, float]])
    total: float = 0.0

    def failure(self, ok: int, now: float, weight: float = 1.0, took: float = 0.0) -> str:
        """Count a failure; successes do not matter."""
        del ok, took
        self.failures.append((now, weight))
        self.total += weight
        while self.failures[0][0] <= now - self.seconds:
            self.total -= self.failures.popleft()[1]
        return f"{self.total:g} failures within {self.seconds:g} s" if reached(self.total, self.threshold) else ""
