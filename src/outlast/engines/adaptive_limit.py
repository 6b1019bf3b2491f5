"""A limit of concurrency that finds itself by watching how long calls take.

While calls take about as long as without load, and the limit is used, it grows by its square root; when
they take longer than `tolerance` times that, it shrinks in proportion, to where the measured throughput
would meet the tolerated latency. The latency without load is measured, not assumed: when calls are slow
the limit is halved for one window after the other until halving makes them no faster, and only such a
measurement may raise the figure.

Four faults that this family of algorithms is known for, and what is done about each:

- Calls that time out look like a steady round trip, so the limit grows. Here failures are no samples,
  they shrink it.
- The latency without load drifts up under load. Here only a measurement at lowered load can raise it.
- The term that lets the limit grow lets it climb while it is not used. Here it grows only when used.
- With little traffic a few lucky calls become the latency without load. Here a window is judged by its
  median, and only with enough calls; a lower median pulls the figure down step by step.

Source: Netflix concurrency-limits, Gradient2 (its issues 137 and 165, pull requests 125 and 134); the
measurement at lowered load is after BBR (Cardwell et al., 2016); Little's law.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from outlast.engines.breaker_records import Verdict
from outlast.errors import ConfigError

_USED = 0.8
"""The share of the limit that must have been in use at some moment of a window for the limit to grow."""
_PULL = 0.2
"""The share of the difference by which a window's median moves the latency without load."""
_FASTER = 0.75
"""Halving the load made calls faster if the median fell below this share of what it was; half would be all queue."""
_ENOUGH_FAILURES = 10
_TOO_MANY_FAILURES = 0.1
"""From this share of failures on the limit does not grow, however fast the other calls are."""
_MOST_SAMPLES = 20
"""A window ends early when it has so many times the samples that it needs."""


@dataclass(frozen=True, slots=True)
class AdaptiveLimitConfig:
    """Hold the settings of an adaptive limit.

    Args:
        initial: Calls at once at the start, between the two limits. Default 20.
        min_limit: Calls at once that are always allowed, >= 1. Default 1.
        max_limit: Calls at once that are never exceeded. Default 200.
        tolerance: How many times the latency without load calls may take, > 1. Default 1.5.
        window: Seconds between two judgements, at the least, > 0. Default 0.5.
        min_samples: Calls that a judgement needs, >= 1. Default 50.
        remeasure_every: Seconds between two measurements of the latency without load, at the least, > 0;
            there is none while calls are fast enough. Default 30.
    """

    initial: int = 20
    min_limit: int = 1
    max_limit: int = 200
    tolerance: float = 1.5
    window: float = 0.5
    min_samples: int = 50
    remeasure_every: float = 30.0

    def __post_init__(self) -> None:
        """Refuse limits that cannot hold."""
        if not 1 <= self.min_limit <= self.max_limit:
            raise ConfigError(f"must be at least 1 and at most {self.max_limit!r}", path="min_limit")
        if not self.min_limit <= self.initial <= self.max_limit:
            raise ConfigError(f"must be from {self.min_limit!r} to {self.max_limit!r}", path="initial")
        if not self.tolerance > 1:
            raise ConfigError(f"must be above 1, not {self.tolerance!r}", path="tolerance")
        if not self.min_samples >= 1:
            raise ConfigError(f"must be at least 1, not {self.min_samples!r}", path="min_samples")
        for name, value in (("window", self.window), ("remeasure_every", self.remeasure_every)):
            if not value > 0:
                raise ConfigError(f"must be above 0 seconds, not {value!r}", path=name)


@dataclass(slots=True)
class _Window:
    """Hold what happened since `began`."""

    began: float
    latencies: list[float] = field(default_factory=list[float])
    failures: int = 0
    peak: int = 0

    @property
    def failed(self) -> float:
        total = len(self.latencies) + self.failures
        return self.failures / total if total else 0.0


@dataclass(slots=True)
class _Steady:
    """The limit follows the latency."""


@dataclass(slots=True)
class _Probing:
    """The load is lowered to `limit` to see whether calls get faster than `latency`."""

    limit: int
    latency: float
    began: float
    drained: bool = False
    faster: bool = False


@dataclass(frozen=True, slots=True)
class LimitChange:
    """Record a move of the limit, for the face to carry out and to publish."""

    before: int
    after: int
    reason: str


@dataclass(frozen=True, slots=True)
class AdaptiveLimitSnapshot:
    """Show an adaptive limit.

    Args:
        limit: Calls at once that are allowed now.
        running: Calls that run now.
        waiting: Calls that wait for a slot.
        rejected: Calls refused since the start.
        latency: The median of the last window in seconds, None before the first.
        unloaded: The latency without load in seconds, None before the first window.
        measuring: Whether the load is lowered now to measure that.
    """

    limit: int
    running: int
    waiting: int
    rejected: int
    latency: float | None
    unloaded: float | None
    measuring: bool


class AdaptiveLimitEngine:
    """Compute the limit from the calls that end. Not thread-safe: the face calls it under its lock.

    Args:
        config: The settings; may be replaced while it runs.
        now: The present moment, monotonic seconds.
    """

    def __init__(self, config: AdaptiveLimitConfig, now: float) -> None:
        self.config = config
        self.latency: float | None = None
        self.unloaded: float | None = None
        self._limit = float(config.initial)
        self._measured = 0.0  # the latency without load as it was last measured
        self._measured_at = -math.inf
        self._window = _Window(now)
        self._phase: _Steady | _Probing = _Steady()

    @property
    def limit(self) -> int:
        """Return how many calls may run at once."""
        match self._phase:
            case _Steady():
                return int(self._limit)
            case _Probing(limit=limit):
                return limit

    @property
    def measuring(self) -> bool:
        """Tell whether the load is lowered to measure the latency without load."""
        return isinstance(self._phase, _Probing)

    def settle(self, began: float, now: float, running: int, verdict: Verdict) -> LimitChange | None:
        """Take note of a call that ends; one that is ignored, such as a cancelled one, tells nothing.

        Args:
            began: When it began.
            now: The present moment, monotonic seconds.
            running: How many calls ran until now, this one included.
            verdict: How it ended.

        Returns:
            The move of the limit that this causes, or None.
        """
        window = self._window
        window.peak = max(window.peak, running)
        match verdict:
            case Verdict.SUCCESS if began >= window.began:
                window.latencies.append(now - began)
            case Verdict.FAILURE:
                window.failures += 1
            case Verdict.SUCCESS | Verdict.IGNORED:
                pass  # a call that began under another limit says nothing about this one
        drained = self._is_drained(now, running)
        return self._judge(now) if drained and self._is_full(now) else None

    def _is_drained(self, now: float, running: int) -> bool:
        """Tell whether the load is down to the limit; the window begins when it is, without what was before."""
        match self._phase:
            case _Probing(drained=False) as probe:
                if running - 1 <= probe.limit:
                    probe.drained = True
                    self._window = _Window(now)
                return False
            case _Probing() | _Steady():
                return True

    def _is_full(self, now: float) -> bool:
        window, need = self._window, self.config.min_samples
        if len(window.latencies) >= _MOST_SAMPLES * need:
            return True
        enough = len(window.latencies) >= need or window.failures >= _ENOUGH_FAILURES
        return enough and now - window.began >= self.config.window

    def _judge(self, now: float) -> LimitChange | None:
        window, before = self._window, self.limit
        self._window = _Window(now)
        median = None
        if len(window.latencies) >= self.config.min_samples:
            self.latency = median = sorted(window.latencies)[len(window.latencies) // 2]
        match self._phase:
            case _Steady():
                reason = self._steer(window, median, now)
            case _Probing() as probe:
                reason = self._probe(probe, window, median, now)
        self._limit = min(max(self._limit, self.config.min_limit), self.config.max_limit)
        return LimitChange(before, self.limit, reason) if self.limit != before else None

    def _steer(self, window: _Window, median: float | None, now: float) -> str:
        reason = ""
        if median is not None:
            unloaded = self._follow(median)
            used = window.peak >= _USED * int(self._limit)
            slow = median > self.config.tolerance * unloaded
            if self._should_measure(slow, used, now):
                half = max(self.config.min_limit, (window.peak + 1) // 2)
                self._phase = _Probing(half, median, now)
                return "lowered, to measure the latency without load"
            if slow:
                self._limit *= max(0.5, self.config.tolerance * unloaded / median)
                reason = f"calls take {median:.3g} s, {unloaded:.3g} s without load"
            elif used and window.failed < _TOO_MANY_FAILURES:
                self._limit += math.sqrt(self._limit)
                reason = "it is used, and calls are fast"
        return self._shrink_for_failures(window) or reason

    def _shrink_for_failures(self, window: _Window) -> str:
        if not window.failures:
            return ""
        self._limit *= 1 - window.failed / 2
        return f"{window.failed:.0%} of the calls failed"

    def _follow(self, median: float) -> float:
        """Move the latency without load towards a median: down always, up only to what was measured."""
        if self.unloaded is None or self._limit <= self.config.min_limit:
            self.unloaded = self._measured = median  # at the lowest limit there is no lower load to compare with
        else:
            self.unloaded = min(self._measured, self.unloaded + _PULL * (median - self.unloaded))
        return self.unloaded

    def _should_measure(self, slow: bool, used: bool, now: float) -> bool:  # noqa: FBT001
        first = self._measured_at == -math.inf
        return (slow or (used and first)) and now - self._measured_at >= self.config.remeasure_every

    def _probe(self, probe: _Probing, window: _Window, median: float | None, now: float) -> str:
        failed = self._shrink_for_failures(window)
        if median is None:
            # Nothing but failures: this is no time for measuring.
            return self._end_probe(now) or failed
        if median < _FASTER * probe.latency and probe.limit > self.config.min_limit:
            lower = max(self.config.min_limit, probe.limit // 2)
            self._phase = _Probing(lower, median, probe.began, faster=True)
            return "lowered again, calls got faster"
        if probe.faster:
            self._limit = min(self._limit, 2.0 * probe.limit)
        self.unloaded = self._measured = median
        return self._end_probe(now)

    def _end_probe(self, now: float) -> str:
        self._phase = _Steady()
        self._measured_at = now
        return "measured the latency without load"

    def reconfigure(self, config: AdaptiveLimitConfig) -> LimitChange | None:
        """Change the settings; what was learnt stays, the limit moves only where it must."""
        before = self.limit
        self.config = config
        self._limit = min(max(self._limit, config.min_limit), config.max_limit)
        return LimitChange(before, self.limit, "reconfigured") if self.limit != before else None
