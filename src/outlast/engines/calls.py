"""How the calls of a pipeline ended, and how long they took, for the price of one append to a list.

Whoever makes a call appends the seconds that it took. The upper sixteen bits of such a number are its bucket: sign,
exponent and four bits of the fraction, so that there are sixteen buckets in each power of two. By the thousand the
numbers are sorted into their buckets, which is a few calls into C and no loop.

Source: log-linear buckets as in HdrHistogram (G. Tene), here read off the binary64 format of IEEE 754.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

LUMP: Final = 1024
"""Calls that are sorted at once: little enough that no call waits for long, enough that sorting is cheap."""

_STEPS: Final = 16
_BIAS: Final = 1023
_NEGATIVE: Final = 1 << 15
_LEAST: Final = 1e-9
# Where the upper sixteen bits of a number stand among its four pairs of bytes: those of 1.0 are not zero.
_UPPER: Final = 3 if array("d", [1.0]).tobytes()[-1] else 0


class Ending(StrEnum):
    """Name how a call ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    """It raised something."""
    TIMED_OUT = "timed_out"
    """A limit of time ended it, or kept it from being started."""
    REJECTED = "rejected"
    """A policy refused it, at its beginning or instead of a further attempt."""
    CANCELLED = "cancelled"
    """Its caller gave up, or the program is ending."""


@dataclass(frozen=True, slots=True, repr=False)
class Latencies:
    """Show how long calls took.

    Args:
        counts: How many calls lie in each bucket, by the bucket's number.

    Complexity: a quantile is O(buckets log buckets); there are about 16 for each doubling between the quickest and
        the slowest call.
    """

    counts: Mapping[int, int]

    @property
    def calls(self) -> int:
        """Return how many calls were timed."""
        return sum(self.counts.values())

    @property
    def buckets(self) -> tuple[tuple[float, int], ...]:
        """Return the buckets in use, the quickest first: their upper ends in seconds, and how many calls took less."""
        found, below = list[tuple[float, int]](), 0
        for number in sorted(self.counts):
            below += self.counts[number]
            found.append((_edge(number), below))
        return tuple(found)

    def quantile(self, share: float) -> float:
        """Return the seconds that at least that share of the calls stayed below, `inf` without any.

        They lie above the exact quantile, by a sixteenth at most, and are never less than a nanosecond.

        Args:
            share: From 0 to 1.
        """
        buckets = self.buckets
        needed = share * buckets[-1][1] if buckets else 0
        return next((edge for edge, below in buckets if below >= needed), math.inf)

    def since(self, earlier: Latencies) -> Latencies:
        """Return what was added to an earlier state, to look at the last minute alone."""
        return Latencies(
            {number: more for number, count in self.counts.items() if (more := count - earlier.counts.get(number, 0))}
        )

    def __repr__(self) -> str:
        """Show the number of calls and the usual quantiles."""
        shown = ", ".join(f"p{share:g}={self.quantile(share / 100):.3g}" for share in (50, 95, 99))
        return f"Latencies(calls={self.calls}, {shown})"


def _edge(number: int) -> float:
    power, step = divmod(number + 1, _STEPS)
    return max(_LEAST, math.ldexp(1 + step / _STEPS, power - _BIAS))


@dataclass(frozen=True, slots=True)
class CallStats:
    """Show how calls ended.

    Args:
        success: They returned, or their streams ended or were closed by the reader.
        failure: They raised.
        timed_out: A limit of time ended them, or kept them from being started.
        rejected: A policy refused them, at the beginning or instead of a further attempt.
        cancelled: Their callers gave up.
        latencies: How long those took that returned; streams are not timed.
    """

    success: int
    failure: int
    timed_out: int
    rejected: int
    cancelled: int
    latencies: Latencies

    @property
    def calls(self) -> int:
        """Return how many calls have ended."""
        return self.success + self.failure + self.timed_out + self.rejected + self.cancelled

    def since(self, earlier: CallStats) -> CallStats:
        """Return what was added to an earlier state, to look at the last minute alone."""
        return CallStats(
            self.success - earlier.success,
            self.failure - earlier.failure,
            self.timed_out - earlier.timed_out,
            self.rejected - earlier.rejected,
            self.cancelled - earlier.cancelled,
            self.latencies.since(earlier.latencies),
        )


class CallsEngine:
    """Count calls by their endings and sort their latencies.

    A success is an append to `log`, which the face may do without its lock: an append is one step in every build of
    Python, also in one without a global lock, and `fold` takes away no more than what it has copied. So no success is
    lost or counted twice. Everything else is called under the face's lock.

    >>> engine = CallsEngine()
    >>> engine.log += [0.010, 0.010, 0.250]
    >>> engine.end(Ending.REJECTED)
    >>> stats = engine.snapshot()
    >>> stats.success, stats.rejected, stats.latencies.calls, round(stats.latencies.quantile(0.5), 4)
    (3, 1, 3, 0.0103)
    """

    __slots__ = ("_buckets", "_ended", "log")

    def __init__(self) -> None:
        self.log: list[float] = []
        self._buckets = Counter[int]()
        self._ended = Counter[Ending]()

    def end(self, ending: Ending) -> None:
        """Count a call that is not timed."""
        self._ended[ending] += 1

    def fold(self) -> None:
        """Sort what is in the log into its buckets."""
        taken = array("d", self.log[:])
        del self.log[: len(taken)]  # others may have appended since
        self._buckets.update(memoryview(taken).cast("B").cast("H")[_UPPER::4])

    def snapshot(self) -> CallStats:
        """Return the state as a frozen record."""
        self.fold()
        ended, counts = self._ended, Counter[int]()
        for number, count in self._buckets.items():
            counts[number if number < _NEGATIVE else 0] += count  # below zero, if a clock went backwards
        return CallStats(
            success=counts.total() + ended[Ending.SUCCESS],
            failure=ended[Ending.FAILURE],
            timed_out=ended[Ending.TIMED_OUT],
            rejected=ended[Ending.REJECTED],
            cancelled=ended[Ending.CANCELLED],
            latencies=Latencies(dict(counts)),
        )
