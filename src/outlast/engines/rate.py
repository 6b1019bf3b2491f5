"""How many calls a second may pass: the generic cell rate algorithm.

One number, the theoretical arrival time, says how much of the burst is used up. It is exact, needs no
timer, and a caller that may wait reserves its place at the moment at which it asks.

Source: ITU-T I.371, annex A (GCRA, virtual scheduling); equal to a token bucket of `burst` tokens that
fills at `calls` per `per` seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from outlast.engines.breaker import Refusal
from outlast.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RateConfig:
    """Hold the settings of a rate limit.

    Args:
        calls: Calls that may pass in each period, > 0.
        per: Length of the period in seconds, > 0. Default 1.
        burst: Calls that may pass at once after a pause, >= 1. Default: as many as in one period.
        max_wait: Seconds that a call may wait for its turn, >= 0. Default 0: it is refused at once.
    """

    calls: float
    per: float = 1.0
    burst: float | None = None
    max_wait: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a rate that lets nothing pass."""
        if not self.calls > 0 or not self.per > 0:
            raise ConfigError(f"calls and per must be above 0, not {self.calls!r} and {self.per!r}", path="rate_limit")
        if self.burst is not None and not self.burst >= 1:
            raise ConfigError(f"must be at least 1, not {self.burst!r}", path="rate_limit.burst")
        if not self.max_wait >= 0:
            raise ConfigError(f"must be at least 0 seconds, not {self.max_wait!r}", path="rate_limit.max_wait")

    @property
    def interval(self) -> float:
        """Return the seconds that one call uses up."""
        return self.per / self.calls

    @property
    def capacity(self) -> float:
        """Return how many calls may pass at once after a pause."""
        return max(1.0, self.calls if self.burst is None else self.burst)


@dataclass(frozen=True, slots=True)
class RateSnapshot:
    """Show a rate limit.

    Args:
        available: Calls that could pass now.
        passed: Calls admitted since the start, waiting ones included.
        rejected: Calls refused since the start.
    """

    available: float
    passed: int
    rejected: int


class RateEngine:
    """Decide when a call may pass. Not thread-safe: the face calls it under its lock.

    Args:
        config: The settings; may be replaced while it runs, what is used up stays used up.

    >>> engine = RateEngine(RateConfig(calls=2, per=1.0))
    >>> [engine.reserve(0.0) for _ in range(2)], engine.reserve(0.0)
    ([0.0, 0.0], Refusal(retry_after=0.5))
    """

    def __init__(self, config: RateConfig) -> None:
        self.config = config
        self._arrival = 0.0
        self._started = False
        self._passed = 0
        self._rejected = 0

    def reserve(self, now: float, *, cost: float = 1.0, max_wait: float | None = None) -> float | Refusal:
        """Take a place and return the seconds until its turn, or refuse and say when to ask again.

        Args:
            now: The present moment, monotonic seconds.
            cost: How many calls this one counts for, > 0. Default 1.
            max_wait: Seconds that it may wait, if less than the settings say.

        Raises:
            ConfigError: It costs more than could ever pass at once.
        """
        config = self.config
        if cost > config.capacity:
            raise ConfigError(f"a call that costs {cost:g} can never pass a burst of {config.capacity:g}", path="cost")
        arrival = max(self._arrival, now) if self._started else now
        wait = max(0.0, arrival + (cost - config.capacity) * config.interval - now)
        if wait > (config.max_wait if max_wait is None else min(max_wait, config.max_wait)):
            self._rejected += 1
            return Refusal(wait)
        self._arrival, self._started = arrival + cost * config.interval, True
        self._passed += 1
        return wait

    def give_back(self, cost: float = 1.0) -> None:
        """Return the place of a call that was cancelled while it waited; those behind keep their turns."""
        self._arrival -= cost * self.config.interval
        self._passed -= 1

    def snapshot(self, now: float) -> RateSnapshot:
        """Return the state as a frozen record."""
        used = max(0.0, self._arrival - now) / self.config.interval if self._started else 0.0
        return RateSnapshot(max(0.0, self.config.capacity - used), self._passed, self._rejected)
