"""Know a quantile of recent latencies from a few counters.

Latencies fall into buckets that are at most a sixteenth wide: sixteen in each power of two. When twice as
many were counted as shall be remembered, all counts are halved, so that what happened long ago fades.

Source: log-linear buckets as in HdrHistogram (G. Tene); fading by halving as in an exponentially weighted
count, here by number of samples instead of by time, so that a pause does not forget what was learnt.
"""

from __future__ import annotations

import math

from outlast.errors import ConfigError

STEPS = 16
"""Buckets in each power of two."""

_LEAST, _MOST = 1e-9, 1e9
_GHOST = 1 / 16
"""A bucket that has faded below this is dropped."""


class LatencyHistogram:
    """Count latencies and answer with quantiles of them.

    Args:
        memory: Samples that count in full, >= 1; older ones count half, a quarter, and so on. Default 1000.

    Complexity: adding is O(1); a quantile is O(buckets), of which there are about 16 for each doubling between
    the quickest and the slowest.

    >>> latencies = LatencyHistogram()
    >>> for milliseconds in range(1, 101):
    ...     latencies.add(milliseconds / 1000)
    >>> 0.095 < latencies.quantile(0.95) <= 0.095 * 17 / 16
    True
    """

    def __init__(self, memory: int = 1000) -> None:
        if isinstance(memory, bool) or memory < 1:
            raise ConfigError(f"must be a whole number of at least 1, not {memory!r}", path="memory")
        self._memory = memory
        self._counts: dict[int, float] = {}
        self._total = 0.0
        self.seen = 0

    def add(self, seconds: float) -> None:
        """Count one latency.

        Args:
            seconds: The latency, >= 0; kept within a nanosecond and thirty years.
        """
        number = _bucket(seconds)
        self._counts[number] = self._counts.get(number, 0.0) + 1.0
        self._total += 1.0
        self.seen += 1
        if self._total >= 2 * self._memory:
            self._fade()

    def _fade(self) -> None:
        halved = {number: count / 2 for number, count in self._counts.items()}
        self._counts = {number: count for number, count in halved.items() if count >= _GHOST}
        self._total = sum(self._counts.values())

    def quantile(self, share: float) -> float:
        """Return a latency in seconds that at least that share of the recent ones stayed below, `inf` without any.

        It lies above the exact quantile, by a sixteenth at most.

        Args:
            share: From 0 to 1.
        """
        needed, below = share * self._total, 0.0
        for number in sorted(self._counts):
            below += self._counts[number]
            if below >= needed:
                return _edge(number)
        return math.inf

    def __repr__(self) -> str:
        """Show how many were seen and the usual quantiles."""
        shown = ", ".join(f"p{share:g}={self.quantile(share / 100):.3g}" for share in (50, 95, 99))
        return f"LatencyHistogram(seen={self.seen}, {shown})"


def _bucket(seconds: float) -> int:
    fraction, power = math.frexp(min(max(seconds, _LEAST), _MOST))
    return power * STEPS + int((fraction - 0.5) * 2 * STEPS)


def _edge(number: int) -> float:
    """Return the upper end of a bucket, which belongs to the next one."""
    power, step = divmod(number, STEPS)
    return math.ldexp(0.5 + (step + 1) / (2 * STEPS), power)
