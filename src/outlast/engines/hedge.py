"""When a call that has not answered yet is started a second time, and who wins.

A hedge is sent when the first attempt is slower than nearly all others have been lately. The delay is fixed
or a live quantile. The first attempt's latency is learnt also when a hedge beat it: then it is known to be
at least as slow as it was by then. Without that the slow calls would vanish from what is learnt, the
quantile would sink, and ever more calls would be hedged.

Source: J. Dean, L. A. Barroso, "The Tail at Scale", Communications of the ACM 56(2), 2013: hedged requests,
sent after the 95th percentile of the expected latency, which bounds the additional load to about 5 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from outlast.engines.latency import LatencyHistogram
from outlast.errors import ConfigError

_REFRESH = 32
"""Samples after which the quantile is computed anew."""


@dataclass(frozen=True, slots=True)
class HedgeConfig:
    """Hold the settings of a hedge.

    Args:
        delay: Seconds after which a hedge is started, >= 0, or None for the quantile. Default None.
        quantile: The share of calls that shall answer without a hedge, above 0 and below 1. Default 0.95.
        floor: The shortest delay in seconds that the quantile may give, >= 0. Default 0.001.
        ceiling: The longest, and the delay while too few samples are known. Default inf: no hedge until then.
        min_samples: Latencies to know before the quantile is trusted, >= 1. Default 100.
        memory: Latencies that count in full, >= 1. Default 1000.
        max_hedges: Further attempts that one call may start, >= 1. Default 1.
    """

    delay: float | None = None
    quantile: float = 0.95
    floor: float = 0.001
    ceiling: float = math.inf
    min_samples: int = 100
    memory: int = 1000
    max_hedges: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        for name in ("min_samples", "memory", "max_hedges"):
            count: int = getattr(self, name)
            if isinstance(count, bool) or count < 1:
                raise ConfigError(f"must be a whole number of at least 1, not {count!r}", path=name)
        if self.delay is not None and not self.delay >= 0:
            raise ConfigError(f"must be at least 0 seconds, not {self.delay!r}", path="delay")
        if not 0 < self.quantile < 1:
            raise ConfigError(f"must be above 0 and below 1, not {self.quantile!r}", path="quantile")
        if not 0 <= self.floor <= self.ceiling:
            raise ConfigError(f"must be from 0 to the ceiling of {self.ceiling!r} s, not {self.floor!r}", path="floor")


@dataclass(frozen=True, slots=True)
class HedgeSnapshot:
    """Show a hedge.

    Args:
        delay: Seconds after which a hedge is started now, `inf` while too few samples are known.
        calls: Calls that began.
        hedges: Further attempts that were started.
        wins: Calls that a hedge answered.
        refused: Hedges that were due, and that the budget or the cap on abandoned calls did not allow.
        samples: Latencies seen.
        abandoned: Losers that are still running in threads.
    """

    delay: float
    calls: int
    hedges: int
    wins: int
    refused: int
    samples: int
    abandoned: int


class Race:
    """Follow the attempts of one call. Not thread-safe: its caller alone touches it.

    Args:
        delay: Seconds between an attempt and the hedge after it.
        max_hedges: Further attempts that may be started.
        now: The present moment, monotonic seconds.
    """

    __slots__ = (
        "_delay",
        "_due",
        "_left",
        "begun",
        "errors",
        "hedges",
        "primary_failed",
        "refused",
        "running",
        "winner",
    )

    def __init__(self, delay: float, max_hedges: int, now: float) -> None:
        self._delay = delay
        self._due = now + delay
        self._left = max_hedges
        self.begun = now
        self.running = 1
        self.hedges = 0
        self.refused = 0
        self.winner: int | None = None
        self.primary_failed = False
        self.errors: list[BaseException] = []

    def wait(self, now: float) -> float | None:
        """Return the seconds until a hedge is due, at least 0, or None when none will be."""
        return None if not self._left or math.isinf(self._due) else max(0.0, self._due - now)

    def hedge(self, now: float) -> int:
        """Start the hedge that is due and return its number, from 1."""
        self._left -= 1
        self._due = now + self._delay
        self.running += 1
        self.hedges += 1
        return self.hedges

    def refuse(self) -> None:
        """Start no further hedge; what runs goes on."""
        self._left = 0
        self.refused += 1

    def failed(self, number: int, error: BaseException) -> bool:
        """Take note that an attempt failed; True says that the call has failed, because nothing runs any more."""
        self.running -= 1
        self.errors.append(error)
        self.primary_failed = self.primary_failed or number == 0
        return self.running == 0

    def won(self, number: int) -> None:
        """Take note of the first attempt that answered."""
        self.winner = number

    def take_errors(self) -> Sequence[BaseException]:
        """Return what the attempts failed with, in that order, and forget it."""
        errors, self.errors = self.errors, []
        return errors


class HedgeEngine:
    """Choose the delay and count. Everything is called under the face's lock.

    Args:
        config: The settings; may be replaced while it runs, and what was learnt stays.
    """

    def __init__(self, config: HedgeConfig) -> None:
        self._config = config
        self._latencies = LatencyHistogram(config.memory)
        self._delay = math.inf
        self._asked_at = 0
        self._calls = self._hedges = self._wins = self._refused = 0

    @property
    def config(self) -> HedgeConfig:
        """Return the settings."""
        return self._config

    def reconfigure(self, config: HedgeConfig) -> None:
        """Change the settings for calls that begin from now on; only a new `memory` forgets what was learnt."""
        if config.memory != self._config.memory:
            self._latencies = LatencyHistogram(config.memory)
        self._config = config
        self._asked_at = 0

    def delay(self) -> float:
        """Return the seconds after which a hedge is started now."""
        config, seen = self._config, self._latencies.seen
        if config.delay is not None:
            return config.delay
        if seen < config.min_samples:
            return config.ceiling
        if not self._asked_at or seen - self._asked_at >= _REFRESH:
            self._asked_at = seen
            self._delay = min(config.ceiling, max(config.floor, self._latencies.quantile(config.quantile)))
        return self._delay

    def begin(self, now: float) -> Race:
        """Count a call and return its race."""
        self._calls += 1
        return Race(self.delay(), self._config.max_hedges, now)

    def end(self, race: Race, now: float) -> None:
        """Learn from a call that ended. One that failed, or that its caller gave up, teaches nothing."""
        self._hedges += race.hedges
        self._refused += race.refused
        if race.winner is None:
            return
        self._wins += race.winner > 0
        if not race.primary_failed:
            # Won by a hedge, it is a lower bound: the first attempt was still running.
            self._latencies.add(now - race.begun)

    def snapshot(self, abandoned: int = 0) -> HedgeSnapshot:
        """Return the state as a frozen record.

        Args:
            abandoned: Losers that are still running, as the face knows.
        """
        seen = self._latencies.seen
        return HedgeSnapshot(self.delay(), self._calls, self._hedges, self._wins, self._refused, seen, abandoned)
