"""Refuse calls on the client's side, in proportion to how many the backend does not accept.

A backend that is overloaded spends its strength on saying no. So a client that counts its requests and
how many were accepted over the last while refuses by itself with the chance
`max(0, (requests - k * accepts) / (requests + 1))`. Refused calls count as requests, so the chance
settles where the backend sees about `k` times what it accepts.

Classes of importance are shed in order: that share of all calls which the formula wants to refuse is
taken from the least important ones first, and from the next only when it is larger than theirs.

Requests are counted when they end, so that calls that are under way do not look like refused ones.

Source: Google, Site Reliability Engineering (2016), chapter 21, "Client-Side Throttling".
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from outlast.engines.breaker_records import Verdict
from outlast.errors import ConfigError

_BUCKETS = 12


@dataclass(frozen=True, slots=True)
class AdaptiveThrottleConfig:
    """Hold the settings of an adaptive throttle.

    Args:
        k: How many requests are allowed for each that is accepted, >= 1. Default 2.
        over_seconds: How long a call is remembered, > 0; expiry is exact to a twelfth of it. Default 60.
        min_calls: With fewer calls in that time none is refused, >= 0. Default 10.
        max_chance: The largest share of all calls that is refused, 0 to 1; what passes finds out that the
            backend is well again. Default 0.95.
    """

    k: float = 2.0
    over_seconds: float = 60.0
    min_calls: int = 10
    max_chance: float = 0.95

    def __post_init__(self) -> None:
        """Refuse a throttle that would refuse what is accepted."""
        if not self.k >= 1:
            raise ConfigError(f"must be at least 1, not {self.k!r}", path="k")
        if not self.over_seconds > 0:
            raise ConfigError(f"must be above 0 seconds, not {self.over_seconds!r}", path="over_seconds")
        if not self.min_calls >= 0:
            raise ConfigError(f"must be at least 0, not {self.min_calls!r}", path="min_calls")
        if not 0 <= self.max_chance <= 1:
            raise ConfigError(f"must be from 0 to 1, not {self.max_chance!r}", path="max_chance")


@dataclass(slots=True)
class _Bucket:
    number: int
    accepts: int = 0
    requests: dict[float, int] = field(default_factory=dict[float, int])


@dataclass(frozen=True, slots=True)
class AdaptiveThrottleSnapshot:
    """Show an adaptive throttle.

    Args:
        chance: The share of all calls that is refused now, 0 to 1.
        requests: Calls in its window, refused ones included.
        accepts: How many of them the backend accepted.
        rejected: Calls refused since the start.
    """

    chance: float
    requests: int
    accepts: int
    rejected: int


class AdaptiveThrottleEngine:
    """Count what is accepted and refuse the rest in proportion.

    Not thread-safe: the face calls it under its lock, except that it may read `shedding` without it. That
    is safe because only a call that ends can raise the chance from 0, and it does so under the lock.

    Args:
        config: The settings; may be replaced while it runs.

    >>> engine = AdaptiveThrottleEngine(AdaptiveThrottleConfig(min_calls=0))
    >>> for _ in range(9):
    ...     engine.settle(0.0, 0, Verdict.FAILURE)
    >>> engine.chance(0.0), engine.refuses(0.0, 0, chance=0.89), engine.refuses(0.0, 0, chance=0.91)
    (0.9, True, False)
    """

    def __init__(self, config: AdaptiveThrottleConfig) -> None:
        self.config = config
        self.shedding = False
        self.requests = 0
        self.accepts = 0
        self._by_level: dict[float, int] = {}
        self._rejected = 0
        self._buckets: deque[_Bucket] = deque()
        self._edge = -math.inf  # where the last bucket ends

    def refuses(self, now: float, level: float, chance: float) -> bool:
        """Decide about one call and count it if it is refused.

        Args:
            now: The present moment, monotonic seconds.
            level: How important it is; the lowest are shed first.
            chance: A random number from [0, 1).
        """
        if chance >= self.chance_of(now, level):
            return False
        self._count(now, level)
        self._rejected += 1
        return True

    def settle(self, now: float, level: float, verdict: Verdict) -> None:
        """Count a call that was let through and has ended; one that is ignored, such as a cancelled one, is no request.

        Args:
            now: The present moment, monotonic seconds.
            level: How important it was.
            verdict: SUCCESS when the backend accepted it.
        """
        if verdict is not Verdict.IGNORED:
            bucket = self._count(now, level)
            if verdict is Verdict.SUCCESS:
                bucket.accepts += 1
                self.accepts += 1
        else:
            self._roll(now)
        self.shedding = self._chance() > 0

    def _count(self, now: float, level: float) -> _Bucket:
        bucket = self._roll(now)
        bucket.requests[level] = bucket.requests.get(level, 0) + 1
        self._by_level[level] = self._by_level.get(level, 0) + 1
        self.requests += 1
        return bucket

    def _roll(self, now: float) -> _Bucket:
        if now < self._edge:
            return self._buckets[-1]
        grain = self.config.over_seconds / _BUCKETS
        number = int(now / grain)
        self._edge = (number + 1) * grain
        self._buckets.append(_Bucket(number))
        while self._buckets[0].number <= number - _BUCKETS:
            self._forget(self._buckets.popleft())
        return self._buckets[-1]

    def _forget(self, bucket: _Bucket) -> None:
        self.accepts -= bucket.accepts
        for level, requests in bucket.requests.items():
            self.requests -= requests
            self._by_level[level] -= requests
            if not self._by_level[level]:
                del self._by_level[level]

    def chance(self, now: float) -> float:
        """Return the share of all calls that is to be refused.

        Args:
            now: The present moment, monotonic seconds.
        """
        self._roll(now)
        return self._chance()

    def _chance(self) -> float:
        requests, config = self.requests, self.config
        if requests < config.min_calls:
            return 0.0
        wanted = (requests - config.k * self.accepts) / (requests + 1)
        return min(config.max_chance, max(0.0, wanted))

    def chance_of(self, now: float, level: float) -> float:
        """Return the chance with which a call of that importance is refused.

        Args:
            now: The present moment, monotonic seconds.
            level: How important it is.
        """
        wanted = self.chance(now) * self.requests
        if not wanted:
            return 0.0
        below = sum(count for other, count in self._by_level.items() if other < level)
        same = self._by_level.get(level, 0)
        if not same:
            return 1.0 if wanted > below else 0.0
        return min(1.0, max(0.0, (wanted - below) / same))

    def reconfigure(self, config: AdaptiveThrottleConfig, now: float) -> None:
        """Change the settings; with another `over_seconds` the calls so far count as made now."""
        self._roll(now)
        other = config.over_seconds != self.config.over_seconds
        self.config = config
        if other:
            self._buckets.clear()
            self._edge = -math.inf
            bucket = self._roll(now)
            bucket.accepts, bucket.requests = self.accepts, dict(self._by_level)
        self.shedding = self.chance(now) > 0

    def snapshot(self, now: float) -> AdaptiveThrottleSnapshot:
        """Return the state as a frozen record."""
        return AdaptiveThrottleSnapshot(self.chance(now), self.requests, self.accepts, self._rejected)
