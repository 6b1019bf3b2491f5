"""Shares of calls: how many of the last N calls, or of the calls of the last T seconds, were hits.

A hit is a failure or a slow call. All other calls reach a share only as a number, how many the era has
settled so far, so that they cost one bump of a counter and no record of their own. A share over time
puts the calls that came since it last looked into the grain of time that was open then: the face makes
it look at the first success of every grain, before it counts that one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

BUCKETS = 10
"""Grains into which a window of time is divided; expiry is exact to one of them."""

ROUNDING = 1e-9
"""By how much a sum of weights may miss a threshold: 0.1 added ten times is not quite 1."""


def reached(total: float, threshold: float) -> bool:
    """Tell whether a sum of weights is as large as a threshold, but for rounding.

    >>> reached(sum([0.1] * 10), 1.0), reached(0.9, 1.0)
    (True, False)
    """
    return total >= threshold - ROUNDING


class Share(Protocol):
    """Know the share of hits among recent calls."""

    def count(self, calls: int, now: float, weight: float) -> tuple[float, int]:
        """Count one call and return the weight of recent hits and the number of recent calls.

        Args:
            calls: How many calls the era has settled so far, this one included.
            now: The present moment, monotonic seconds.
            weight: How much of a hit it is; 0 when it is none.
        """
        ...

    def roll(self, calls: int, now: float) -> None:
        """Date the calls settled since the last time."""
        ...

    def widen(self, over: float) -> bool:
        """Look at so many calls or seconds from now on, if what is known allows it; else change nothing."""
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

    def count(self, calls: int, now: float, weight: float) -> tuple[float, int]:
        """Count a call at the present end of the sequence."""
        del now
        if weight:
            self.hits.append((calls, weight))
            self.total += weight
        while self.hits and self.hits[0][0] <= calls - self.over:
            self.total -= self.hits.popleft()[1]
        return self.total, min(calls, self.over)

    def roll(self, calls: int, now: float) -> None:
        """Do nothing: time does not matter here."""

    def widen(self, over: float) -> bool:
        """Look at fewer calls; hits that were dropped already cannot be had back."""
        if over > self.over:
            return False
        self.over = int(over)
        return True


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
    grains: list[Grain] = field(default_factory=list[Grain])
    seen: int = 0

    @property
    def grain(self) -> float:
        """Return the length of a grain in seconds."""
        return self.over / BUCKETS

    def roll(self, calls: int, now: float) -> None:
        """Put the calls settled since the last roll into the grain that was open, and open the present one.

        Those that were settled before the first roll are left out: nobody knows when that was.
        """
        number = int(now / self.grain)
        if self.grains:
            # Without the GIL the counter may lose a bump and so step back; the difference is never negative.
            self.grains[-1].calls += max(0, calls - self.seen)
        self.seen = calls
        if not self.grains or self.grains[-1].number < number:
            self.grains.append(Grain(number))
        while self.grains[0].number <= number - BUCKETS:
            del self.grains[0]

    def count(self, calls: int, now: float, weight: float) -> tuple[float, int]:
        """Count a call in the present grain, and those before it in theirs."""
        self.roll(calls - 1, now)
        self.seen = calls
        present = self.grains[-1]
        present.calls += 1
        present.hits += weight
        return sum(grain.hits for grain in self.grains), sum(grain.calls for grain in self.grains)

    def widen(self, over: float) -> bool:
        """Keep what is known if the time stays the same: grains of another length cannot be made of these."""
        return over == self.over
