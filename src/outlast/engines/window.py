"""Shares of calls: how many of the last N calls, or of the calls of the last T seconds, were hits.

A hit is a failure or a slow call. All other calls reach a share only as a number, how many the era has
settled so far, so that they cost one bump of a counter and no record of their own.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

BUCKETS = 10
"""Grains into which a window of time is divided; expiry is exact to one of them."""


class Share(Protocol):
    """Know the share of hits among recent calls."""

    def hit(self, calls: int, now: float, weight: float) -> tuple[float, int]:
        """Count a hit and return the weight of recent hits and the number of recent calls.

        Args:
            calls: How many calls the era has settled so far, this one included.
            now: The present moment, monotonic seconds.
            weight: How much of a hit it is.
        """
        ...

    def roll(self, calls: int, now: float) -> None:
        """Date the calls settled since the last time."""
        ...


@dataclass(slots=True)
class CallShare:
    """Look at the last `over` calls: keep the positions of hits in the sequence of calls. Exact.

    Args:
        over: How many calls.
    """

    over: int
    hits: deque[tuple[int, float]] = field(default_factory=deque[tuple[int, float]])
    total: float = 0.0

    def hit(self, calls: int, now: float, weight: float) -> tuple[float, int]:
        """Count a hit at the present end of the sequence."""
        del now
        self.hits.append((calls, weight))
        self.total += weight
        while self.hits[0][0] <= calls - self.over:
            self.total -= self.hits.popleft()[1]
        return self.total, min(calls, self.over)

    def roll(self, calls: int, now: float) -> None:
        """Do nothing: time does not matter here."""


@dataclass(slots=True)
class Grain:
    """Hold the calls of one short stretch of time."""

    number: int
    calls: int = 0
    hits: float = 0.0


@dataclass(slots=True)
class TimeShare:
    """Look at the calls of the last `over` seconds, in grains of a tenth of that.

    Args:
        over: How many seconds.
    """

    over: float
    grains: deque[Grain] = field(default_factory=deque[Grain])
    seen: int = 0

    @property
    def grain(self) -> float:
        """Return the length of a grain in seconds."""
        return self.over / BUCKETS

    def roll(self, calls: int, now: float) -> None:
        """Put the calls settled since the last roll into the present grain and drop the grains that are too old."""
        number = int(now / self.grain)
        if not self.grains or self.grains[-1].number < number:
            self.grains.append(Grain(number))
        while self.grains[0].number <= number - BUCKETS:
            self.grains.popleft()
        # A late bump of the counter may be seen after a later one: the difference is never negative.
        self.grains[-1].calls += max(0, calls - self.seen)
        self.seen = max(self.seen, calls)

    def hit(self, calls: int, now: float, weight: float) -> tuple[float, int]:
        """Count a hit in the present grain."""
        self.roll(calls, now)
        self.grains[-1].hits += weight
        return sum(grain.hits for grain in self.grains), sum(grain.calls for grain in self.grains)
