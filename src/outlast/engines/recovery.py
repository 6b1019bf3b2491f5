"""Recovery rules: how an open circuit closes again. Frozen settings of plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from outlast.engines.trip import check_above_zero, check_count
from outlast.engines.window import ROUNDING
from outlast.errors import ConfigError


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """Recover by letting a few probes through.

    Args:
        max_calls: Probes that may run at once, >= 1. Default 3.
        success_threshold: Successful probes that close the circuit, >= 1. Any failed one reopens it. Default 2.
        probe_expires_after: Seconds after which an unanswered probe's slot may be taken by another,
            > 0. Default: as long as the circuit stays open at first.
        success_ratio: Close when this share of `probes` succeeded, reopen as soon as that cannot be reached
            any more; instead of `success_threshold`. Above 0, at most 1. Default: none.
        probes: How many probes the ratio looks at, >= 1. Default 10.

    >>> rule = HalfOpen(success_ratio=0.6, probes=5)
    >>> rule.judge(successes=2, failures=2), rule.judge(successes=3, failures=2), rule.judge(successes=2, failures=3)
    (None, True, False)
    """

    max_calls: int = 3
    success_threshold: int = 2
    probe_expires_after: float | None = None
    success_ratio: float | None = field(default=None, kw_only=True)
    probes: int = field(default=10, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse settings that could never close the circuit."""
        check_count(self.max_calls, "recovery.max_calls")
        check_count(self.success_threshold, "recovery.success_threshold")
        check_count(self.probes, "recovery.probes")
        if self.probe_expires_after is not None:
            check_above_zero(self.probe_expires_after, "recovery.probe_expires_after")
        if self.success_ratio is not None:
            _check_share(self.success_ratio, "recovery.success_ratio")

    def judge(self, successes: int, failures: int) -> bool | None:
        """Say what settled probes mean: True to close, False to reopen, None to go on probing."""
        if self.success_ratio is None:
            needed, bearable = self.success_threshold, 0
        else:
            needed = math.ceil(self.success_ratio * self.probes - ROUNDING)
            bearable = self.probes - needed
        if failures > bearable:
            return False
        return True if successes >= needed else None


@dataclass(frozen=True, slots=True)
class ResetAfterCooldown:
    """Recover by closing at once when the open time is over, with an empty window and without probes."""


@dataclass(frozen=True, slots=True)
class GradedRecovery:
    """Recover by degrees: admit a share of the calls that grows evenly to all of them, and judge by the trip rule.

    Meanwhile the state is half-open; the trip rule has an empty window and opens the circuit again when it tips.
    For a dependency that falls over when all its callers come back at once.

    Args:
        over_seconds: How long it takes until every call is admitted, > 0. Default 30.
        start: The share admitted at first, above 0, at most 1. Default 0.1.

    >>> rule = GradedRecovery(over_seconds=10.0, start=0.5)
    >>> rule.fraction(0.0), rule.fraction(5.0), rule.fraction(99.0)
    (0.5, 0.75, 1.0)
    """

    over_seconds: float = 30.0
    start: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a recovery that would never begin, or never end."""
        check_above_zero(self.over_seconds, "recovery.over_seconds")
        _check_share(self.start, "recovery.start")

    def fraction(self, since: float) -> float:
        """Return the share of calls to admit so many seconds after the open time."""
        return min(1.0, self.start + (1.0 - self.start) * since / self.over_seconds)


RecoveryRule = HalfOpen | ResetAfterCooldown | GradedRecovery


def _check_share(value: object, name: str) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= 1:
        raise ConfigError(f"must be a number above 0 and at most 1, not {value!r}", path=name)
