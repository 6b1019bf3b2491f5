"""Trip rules that look at the share of failures, or of slow calls, among recent calls."""

from __future__ import annotations

from dataclasses import dataclass, field

from outlast.engines.trip import Rule, check_above_zero, check_count
from outlast.engines.window import BUCKETS, CallShare, Share, TimeShare
from outlast.errors import ConfigError


@dataclass(frozen=True, slots=True)
class FailureRate(Rule):
    """Open when the share of failures among recent calls reaches a rate.

    Args:
        rate: The share, above 0, at most 1.
        over_seconds: Look at the calls of that many seconds (expiry is exact to a tenth of it).
        over_calls: Look at that many calls instead (exact).
        min_calls: With fewer recent calls it never opens, >= 1. Default 10.

    >>> window = FailureRate(0.5, over_calls=4, min_calls=4).start()
    >>> window.failure(3, 1.0), window.failure(3, 2.0)
    ('', '50% of the last 4 calls failed')
    """

    rate: float
    over_seconds: float | None = field(default=None, kw_only=True)
    over_calls: int | None = field(default=None, kw_only=True)
    min_calls: int = field(default=10, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse a rate that nothing could reach."""
        _check_share(self.rate, self.over_seconds, self.over_calls, self.min_calls)

    @property
    def grain(self) -> float | None:
        """Return a tenth of the time it looks at, None when it looks at a number of calls."""
        return None if self.over_seconds is None else self.over_seconds / BUCKETS

    def start(self) -> RateWindow:
        """Return an empty window."""
        return RateWindow(self.rate, self.min_calls, *_share(self.over_seconds, self.over_calls))


@dataclass(slots=True)
class RateWindow:
    """Judge the share of failures at each failure."""

    rate: float
    min_calls: int
    share: Share
    over: str
    failed: int = 0

    def failure(self, ok: int, now: float, weight: float = 1.0) -> str:
        """Count a failure and judge the share."""
        self.failed += 1
        hits, calls = self.share.hit(ok + self.failed, now, weight)
        if calls < self.min_calls or hits < self.rate * calls:
            return ""
        return f"{hits / calls:.0%} of {self.over} failed"

    def slow(self, ok: int, now: float) -> str:
        """Return an empty string: slowness does not matter here."""
        del ok, now
        return ""

    def roll(self, ok: int, now: float) -> None:
        """Date the successes since the last roll."""
        self.share.roll(ok + self.failed, now)


@dataclass(frozen=True, slots=True)
class SlowCalls(Rule):
    """Open when the share of slow calls among recent calls reaches a rate.

    Only a slow success, or a failure, is judged. A failure counts as a call, not as a slow one.

    Args:
        rate: The share, above 0, at most 1.
        slower_than: Seconds above which a call is slow, > 0.
        over_seconds: Look at the calls of that many seconds (expiry is exact to a tenth of it).
        over_calls: Look at that many calls instead (exact).
        min_calls: With fewer recent calls it never opens, >= 1. Default 10.

    >>> window = SlowCalls(0.6, slower_than=1.5, over_calls=100, min_calls=3).start()
    >>> window.slow(2, 1.0), window.slow(3, 2.0)
    ('', '67% of the last 100 calls were slower than 1.5 s')
    """

    rate: float
    slower_than: float = field(kw_only=True)
    over_seconds: float | None = field(default=None, kw_only=True)
    over_calls: int | None = field(default=None, kw_only=True)
    min_calls: int = field(default=10, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse a rate that nothing could reach."""
        check_above_zero(self.slower_than, "slower_than")
        _check_share(self.rate, self.over_seconds, self.over_calls, self.min_calls)

    @property
    def grain(self) -> float | None:
        """Return a tenth of the time it looks at, None when it looks at a number of calls."""
        return None if self.over_seconds is None else self.over_seconds / BUCKETS

    def start(self) -> SlowWindow:
        """Return an empty window."""
        share, over = _share(self.over_seconds, self.over_calls)
        return SlowWindow(self.rate, self.min_calls, share, f"{over} were slower than {self.slower_than:g} s")


@dataclass(slots=True)
class SlowWindow:
    """Judge the share of slow calls at each slow success."""

    rate: float
    min_calls: int
    share: Share
    over: str
    failed: int = 0

    def failure(self, ok: int, now: float, weight: float = 1.0) -> str:
        """Count a call that was not slow; nothing is judged."""
        del weight
        self.failed += 1
        self.share.roll(ok + self.failed, now)
        return ""

    def slow(self, ok: int, now: float) -> str:
        """Count a slow success and judge the share."""
        hits, calls = self.share.hit(ok + self.failed, now, 1.0)
        if calls < self.min_calls or hits < self.rate * calls:
            return ""
        return f"{hits / calls:.0%} of {self.over}"

    def roll(self, ok: int, now: float) -> None:
        """Date the successes since the last roll."""
        self.share.roll(ok + self.failed, now)


def _share(over_seconds: float | None, over_calls: int | None) -> tuple[Share, str]:
    if over_seconds is not None:
        return TimeShare(over_seconds), f"the calls of the last {over_seconds:g} s"
    over = over_calls or 0
    return CallShare(over), f"the last {over} calls"


def _check_share(rate: float, over_seconds: float | None, over_calls: int | None, min_calls: int) -> None:
    if not 0 < rate <= 1:
        raise ConfigError(f"must be above 0 and at most 1, not {rate!r}", path="rate")
    if (over_seconds is None) == (over_calls is None):
        raise ConfigError("give either over_seconds= or over_calls=", path="trip")
    if over_seconds is not None:
        check_above_zero(over_seconds, "over_seconds")
    if over_calls is not None:
        check_count(over_calls, "over_calls")
        if min_calls > over_calls:
            raise ConfigError(f"must be at most over_calls={over_calls}, not {min_calls!r}", path="min_calls")
    check_count(min_calls, "min_calls")
