"""Decide whether a failed attempt is followed by another, and when.

One pure function serves the sync and the async face. Attempts are counted in total, the wait is a
backoff with the server's Retry-After as its floor, and an effect in doubt is only sent again when the
author says that it may be.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from outlast.engines.backoff import Backoff
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
    """

    attempts: int = 3
    backoff: Backoff = field(default_factory=Backoff)
    max_retry_after: float = 120.0
    max_elapsed: float | None = None
    idempotent: bool | None = None

    def __post_init__(self) -> None:
        """Refuse settings under which nothing would run."""
        if isinstance(self.attempts, bool) or self.attempts < 1:
            raise ConfigError(f"must be a whole number of at least 1, not {self.attempts!r}", path="attempts")
        if not self.max_retry_after >= 0:
            raise ConfigError(f"must be at least 0 seconds, not {self.max_retry_after!r}", path="max_retry_after")
        if self.max_elapsed is not None and not self.max_elapsed > 0:
            raise ConfigError(f"must be above 0 seconds, not {self.max_elapsed!r}", path="max_elapsed")


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after that many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Do not try again.

    Args:
        reason: Why, in words for the user.
    """

    reason: str


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
    """

    attempt: int
    meaning: Classification
    listed: bool | None
    elapsed: float
    remaining: float | None
    rejected: bool = False


def decide(config: RetryConfig, failure: Failure, chance: float) -> Wait | Stop:
    """Decide what follows a failed attempt.

    Args:
        config: The settings.
        failure: What happened.
        chance: A random number from [0, 1) for the jitter.
    """
    refusal = _refuse(config, failure)
    if refusal:
        return Stop(refusal)
    wait = max(config.backoff.wait(failure.attempt, chance), failure.meaning.retry_after or 0.0)
    return _fit(config, failure, wait)


def _refuse(config: RetryConfig, failure: Failure) -> str:
    if failure.attempt >= config.attempts:
        return f"all {config.attempts} attempts were used" if config.attempts > 1 else "only one attempt is allowed"
    if not _wanted(failure):
        return _unwanted(failure)
    if failure.rejected and failure.listed is None and failure.remaining is None and config.max_elapsed is None:
        return "it was refused before it ran, and neither a deadline nor max_elapsed says how long to wait for that"
    if failure.meaning.outcome is Outcome.APPLIED:
        return "its effect took place; only the answer failed"
    if failure.meaning.outcome is Outcome.IN_DOUBT and config.idempotent is False:
        return "its effect is in doubt and Retry(idempotent=False) forbids sending it again"
    after = failure.meaning.retry_after
    if after is not None and after > config.max_retry_after:
        return f"the server asks to wait {after:g} s, more than max_retry_after={config.max_retry_after:g} s"
    return ""


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
        return Stop(f"the next attempt would start after max_elapsed={config.max_elapsed:g} s")
    if failure.remaining is not None and wait >= failure.remaining:
        return Stop(f"the wait of {wait:.3g} s does not fit in the {max(0.0, failure.remaining):.3g} s that are left")
    return Wait(wait)
