"""Decide whether a failed attempt is followed by another, and when.

One pure function serves the sync and the async face. Attempts are counted in total, the wait is a
backoff with the server's Retry-After as its floor, and an effect in doubt is only sent again when the
author says that it may be.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from outlast.engines.backoff import Backoff
from outlast.engines.worst import Worst
from outlast.errors import Category, Classification, ConfigError, Outcome


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """Hold the settings of a retry.

    Args:
        attempts: Attempts in total, >= 1. Default 3.
        backoff: The waits between them.
        max_retry_after: The longest Retry-After in seconds that is waited for; a longer one ends the
            retrying at once. Default 120.
        max_elapsed: Seconds after which no further attempt starts, or None. Default None.
        idempotent: True when the call may be repeated although its effect is in doubt, False when it may
            not, None when the author has not said; then it may. Default None.
        stand_down: Whether it leaves alone what a retry further in gave up, and makes one attempt where a
            retry further out is in charge. Default True.
    """

    attempts: int = 3
    backoff: Backoff = field(default_factory=Backoff)
    max_retry_after: float = 120.0
    max_elapsed: float | None = None
    idempotent: bool | None = None
    stand_down: bool = True

    def __post_init__(self) -> None:
        """Refuse settings under which nothing would run."""
        if isinstance(self.attempts, bool) or self.attempts < 1:
            raise ConfigError(f"must be a whole number of at least 1, not {self.attempts!r}", path="attempts")
        if not self.max_retry_after >= 0:
            raise ConfigError(f"must be at least 0 seconds, not {self.max_retry_after!r}", path="max_retry_after")
        if self.max_elapsed is not None and not self.max_elapsed > 0:
            raise ConfigError(f"must be above 0 seconds, not {self.max_elapsed!r}", path="max_elapsed")

    def worst(self, inner: Worst) -> Worst:
        """Return the worst that one call can cost: every attempt as bad as can be, every wait as long.

        A server may ask for waits up to `max_retry_after`, so they count with that where it is longer. With
        `max_elapsed` the last attempt begins before it.

        >>> RetryConfig(attempts=3, backoff=Backoff.fixed(1.0), max_retry_after=0.0).worst(Worst(2.0, 1))
        Worst(latency=8.0, calls=3)
        """
        waits = sum(max(self.backoff.longest(n), self.max_retry_after) for n in range(1, self.attempts))
        latency = self.attempts * inner.latency + waits
        if self.max_elapsed is not None:
            latency = min(latency, self.max_elapsed + inner.latency)
        return Worst(latency, self.attempts * inner.calls)


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after that many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Do not try again.

    Args:
        reason: Why, in words for the user.
        final: Whether a retry further out should leave it at that, too.
    """

    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Describe one failed attempt.

    Args:
        attempt: Its number, from 1.
        meaning: What the failure means.
        listed: True when the user's own rule names it retriable, False when it names it not, None when
            there is no such rule.
        elapsed: Seconds since the first attempt began.
        remaining: Seconds left until the deadline in force, or None.
        rejected: Whether a policy refused the call before it ran, so that only time can help.
        previous: Seconds waited before this attempt, or None for the first.
        given_up: Whether a retry further in gave it up already.
        retried_above: Whether a retry further out is in charge.
    """

    attempt: int
    meaning: Classification
    listed: bool | None
    elapsed: float
    remaining: float | None
    rejected: bool = False
    previous: float | None = None
    given_up: bool = False
    retried_above: bool = False


def decide(config: RetryConfig, failure: Failure, chance: float) -> Wait | Stop:
    """Decide what follows a failed attempt.

    Args:
        config: The settings.
        failure: What happened.
        chance: A random number from [0, 1) for the jitter.
    """
    stop = _refuse(config, failure)
    if stop is not None:
        return stop
    wait = config.backoff.wait(failure.attempt, chance, failure.previous)
    return _fit(config, failure, max(wait, failure.meaning.retry_after or 0.0))


def _refuse(config: RetryConfig, failure: Failure) -> Stop | None:
    if config.attempts == 1:
        return Stop("only one attempt is allowed")
    if not _wanted(failure):
        return Stop(_unwanted(failure))
    if config.stand_down and failure.given_up:
        return Stop("a retry further in gave it up already; Retry(stand_down=False) would try it again", final=True)
    if failure.attempt >= config.attempts:
        return Stop(f"all {config.attempts} attempts were used", final=True)
    if config.stand_down and failure.retried_above:
        return Stop("a retry further out is in charge; Retry(stand_down=False) would try it again")
    if failure.rejected and failure.listed is None and failure.remaining is None and config.max_elapsed is None:
        return Stop(
            "it was refused before it ran, and neither a deadline nor max_elapsed says how long to wait for that"
        )
    return _forbid(config, failure)


def _forbid(config: RetryConfig, failure: Failure) -> Stop | None:
    if failure.meaning.outcome is Outcome.APPLIED:
        return Stop("its effect took place; only the answer failed", final=True)
    if failure.meaning.outcome is Outcome.IN_DOUBT and config.idempotent is False:
        return Stop("its effect is in doubt and Retry(idempotent=False) forbids sending it again", final=True)
    after = failure.meaning.retry_after
    if after is not None and after > config.max_retry_after:
        asked = f"the server asks to wait {after:g} s, more than max_retry_after={config.max_retry_after:g} s"
        return Stop(asked, final=True)
    return None


def _wanted(failure: Failure) -> bool:
    return failure.meaning.retryable if failure.listed is None else failure.listed


def _unwanted(failure: Failure) -> str:
    if failure.listed is None and failure.meaning.category is Category.UNKNOWN:
        return "nothing says that a repetition helps; name the exception in Retry(on=...) or use register_rule"
    if failure.listed is None:
        return f"it is {failure.meaning.category.value}, which no repetition cures"
    return "Retry(on=...) does not name it"


def _fit(config: RetryConfig, failure: Failure, wait: float) -> Wait | Stop:
    if config.max_elapsed is not None and failure.elapsed + wait >= config.max_elapsed:
        return Stop(f"the next attempt would start after max_elapsed={config.max_elapsed:g} s", final=True)
    if failure.remaining is not None and wait >= failure.remaining:
        left = max(0.0, failure.remaining)
        return Stop(f"the wait of {wait:.3g} s does not fit in the {left:.3g} s that are left", final=True)
    return Wait(wait)
