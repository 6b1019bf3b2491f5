"""Trip rules that look at the share of failures, or of slow calls, among recent calls."""

from __future__ import annotations

from dataclasses import dataclass, field

from outlast.engines.trip import Rule, Window, check_above_zero, check_count
from outlast.engines.window import BUCKETS, CallShare, Share, TimeShare, reached
from outlast.errors import ConfigError


@dataclass(frozen=True, slots=True)
class FailureRate(Rule):
    """Open when the share of failures among recent calls reaches a rate.

    Args:
        rate: The share, above 0, at most 1.
        over_seconds: Look at the calls of that many seconds (expiry is exact to a tenth of it).
        over_calls: Look at that many calls instead (exact).
        min_calls: With fewer recent calls it never opens, >= 1. Default 10, or `over_calls` if that is less.

    >>> window = FailureRate(0.5, over_calls=4).start()
    >>> window.failure(3, 1.0), window.failure(3, 2.0)
    ('', '50% of the last 4 calls failed')
    """

    rate: float
    over_seconds: float | None = field(default=None, kw_only=True)
    over_calls: int | None = field(default=None, kw_only=True)
    min_calls: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse a rate that nothing could reach."""
        _check_share(self.rate, self.over_seconds, self.over_calls, self.min_calls)

    @property
    def grain(self) -> float | None:
        """Return a tenth of the time it looks at, None when it looks at a number of calls."""
        return None if self.over_seconds is None else self.over_seconds / BUCKETS

    def start(self, ok: int = 0) -> RateWindow:
        """Return an empty window."""
        share, over = _share(self.over_seconds, self.over_calls)
        return RateWindow(self.rate, _least(self.min_calls, self.over_calls), share, over, left_out=ok)

    def adopt(self, window: Window) -> bool:
        """Keep the calls if they were looked at in the same way: over the same time, or over no fewer calls."""
        if not (isinstance(window, RateWindow) and _widened(window.share, self.over_seconds, self.over_calls)):
            return False
        window.rate, window.min_calls = self.rate, _least(self.min_calls, self.over_calls)
        window.over = _over(self.over_seconds, self.over_calls)
        return True


@dataclass(slots=True, eq=False)
class RateWindow:
    """Judge the share of failures at each failure."""

    rate: float
    min_calls: int
    share: Share
    over: str
    left_out: int = 0
    failed: int = 0

    def failure(self, ok: int, now: float, weight: float = 1.0, took: float = 0.0) -> str:
        """Count a failure and judge the share."""
        del took
        self.failed += 1
        hits, calls = self.share.count(ok - self.left_out + self.failed, now, weight)
        if calls < self.min_calls or not reached(hits, self.rate * calls):
            return ""
        return f"{hits / calls:.0%} of {self.over} failed"

    def slow(self, ok: int, now: float, took: float) -> str:
        """Return an empty string: slowness does not matter here; but date the successes before this one."""
        del took
        self.roll(ok - 1, now)
        return ""

    def roll(self, ok: int, now: float) -> None:
        """Date the successes since the last roll."""
        self.share.roll(ok - self.left_out + self.failed, now)


@dataclass(frozen=True, slots=True)
class SlowCalls(Rule):
    """Open when the share of slow calls among recent calls reaches a rate.

    It is judged at each slow call, whether that failed or not: a call that ran into its limit was slow.

    Args:
        rate: The share, above 0, at most 1.
        slower_than: Seconds above which a call is slow, > 0.
        over_seconds: Look at the calls of that many seconds (expiry is exact to a tenth of it).
        over_calls: Look at that many calls instead (exact).
        min_calls: With fewer recent calls it never opens, >= 1. Default 10, or `over_calls` if that is less.

    >>> window = SlowCalls(0.6, slower_than=1.5, over_calls=100, min_calls=3).start()
    >>> window.slow(2, 1.0, took=2.0), window.slow(3, 2.0, took=1.6)
    ('', '67% of the last 100 calls were slower than 1.5 s')
    """

    rate: float
    slower_than: float = field(kw_only=True)
    over_seconds: float | None = field(default=None, kw_only=True)
    over_calls: int | None = field(default=None, kw_only=True)
    min_calls: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse a rate that nothing could reach."""
        check_above_zero(self.slower_than, "slower_than")
        _check_share(self.rate, self.over_seconds, self.over_calls, self.min_calls)

    @property
    def grain(self) -> float | None:
        """Return a tenth of the time it looks at, None when it looks at a number of calls."""
        return None if self.over_seconds is None else self.over_seconds / BUCKETS

    @property
    def slow_limit(self) -> float:
        """Return the seconds above which a call is slow."""
        return self.slower_than

    def start(self, ok: int = 0) -> SlowWindow:
        """Return an empty window."""
        share, over = _share(self.over_seconds, self.over_calls)
        least = _least(self.min_calls, self.over_calls)
        return SlowWindow(self.rate, least, share, over, left_out=ok, slower_than=self.slower_than)

    def adopt(self, window: Window) -> bool:
        """Keep the calls as `FailureRate` does; those that were slow under the old limit stay slow."""
        if not (isinstance(window, SlowWindow) and _widened(window.share, self.over_seconds, self.over_calls)):
            return False
        window.rate, window.min_calls = self.rate, _least(self.min_calls, self.over_calls)
        window.over, window.slower_than = _over(self.over_seconds, self.over_calls), self.slower_than
        return True


@dataclass(slots=True, eq=False)
class SlowWindow:
    """Judge the share of slow calls at each slow call."""

    rate: float
    min_calls: int
    share: Share
    over: str
    left_out: int
    slower_than: float
    failed: int = 0

    def failure(self, ok: int, now: float, weight: float = 1.0, took: float = 0.0) -> str:
        """Count a failed call; only its slowness matters."""
        del weight
        self.failed += 1
        return self._count(ok, now, took)

    def slow(self, ok: int, now: float, took: float) -> str:
        """Count a success; it is slow if it is so by this rule's own limit."""
        return self._count(ok, now, took)

    def _count(self, ok: int, now: float, took: float) -> str:
        slow = took > self.slower_than
        hits, calls = self.share.count(ok - self.left_out + self.failed, now, float(slow))
        if not slow or calls < self.min_calls or not reached(hits, self.rate * calls):
            return ""
        return f"{hits / calls:.0%} of {self.over} were slower than {self.slower_than:g} s"

    def roll(self, ok: int, now: float) -> None:
        """Date the successes since the last roll."""
        self.share.roll(ok - self.left_out + self.failed, now)


MIN_CALLS = 10
"""Recent calls below which a share says nothing, if nobody says otherwise."""


def _share(over_seconds: float | None, over_calls: int | None) -> tuple[Share, str]:
    share = CallShare(over_calls or 0) if over_seconds is None else TimeShare(over_seconds)
    return share, _over(over_seconds, over_calls)


def _over(over_seconds: float | None, over_calls: int | None) -> str:
    return f"the last {over_calls} calls" if over_seconds is None else f"the calls of the last {over_seconds:g} s"


def _least(min_calls: int | None, over_calls: int | None) -> int:
    return min(MIN_CALLS, over_calls or MIN_CALLS) if min_calls is None else min_calls


def _widened(share: Share, over_seconds: float | None, over_calls: int | None) -> bool:
    if over_seconds is None:
        return isinstance(share, CallShare) and share.widen(over_calls or 0)
    return isinstance(share, TimeShare) and share.widen(over_seconds)


def _check_share(rate: object, over_seconds: float | None, over_calls: int | None, min_calls: int | None) -> None:
    if not isinstance(rate, (int, float)) or isinstance(rate, bool) or not 0 < rate <= 1:
        raise ConfigError(f"must be a number above 0 and at most 1, not {rate!r}", path="rate")
    if (over_seconds is None) == (over_calls is None):
        raise ConfigError("give either over_seconds= or over_calls=", path="over_seconds")
    if over_seconds is not None:
        check_above_zero(over_seconds, "over_seconds")
    if over_calls is not None:
        check_count(over_calls, "over_calls")
    if min_calls is not None:
        check_count(min_calls, "min_calls")
    if min_calls is not None and over_calls is not None and min_calls > over_calls:
        raise ConfigError(f"must be at most over_calls={over_calls}, not {min_calls!r}", path="min_calls")
