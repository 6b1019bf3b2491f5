"""The settings of a circuit breaker, as users give them, and what they mean to the engine and to the judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outlast.config import check_callable, check_known
from outlast.engines import Backoff, BreakerConfig, ConsecutiveFailures, HalfOpen, RecoveryRule, TripRule
from outlast.errors import ConfigError
from outlast.policies._announcer import OnTrip
from outlast.policies._judge import FailureRule, Judge, ResultRule, Weight

INSTEAD_OF = (("trip", "failure_threshold"), ("recovery", "success_threshold"))
"""Pairs of settings that say the same thing."""

Ignored = type[BaseException] | tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Hold what `CircuitBreaker` was given."""

    failure_threshold: int | None = None
    success_threshold: int | None = None
    open_for: float = 30.0
    trip: TripRule | None = None
    recovery: RecoveryRule | None = None
    open_growth: Backoff | None = None
    open_jitter: float = 0.0
    failure_if: FailureRule | None = None
    failed_result: ResultRule | None = None
    ignore: Ignored = ()
    weight: Weight | None = None
    on_trip: OnTrip | None = None
    shadow: bool = False

    def changed(self, settings: Mapping[str, Any]) -> Settings:
        """Return the same settings but for those given; a rule and its short form replace each other.

        Raises:
            ConfigError: A name is unknown; the error suggests the nearest.
        """
        check_known(settings, [field.name for field in dataclasses.fields(self)])
        changes = dict(settings)
        for rule, short in INSTEAD_OF:
            if (short in changes) != (rule in changes):
                changes.setdefault(short, None)
                changes.setdefault(rule, None)
        return dataclasses.replace(self, **changes)

    def config(self) -> BreakerConfig:
        """Return what the engine needs.

        Raises:
            ConfigError: A number makes no sense, or two settings say the same thing.
        """
        for rule, short in INSTEAD_OF:
            if getattr(self, rule) is not None and getattr(self, short) is not None:
                raise ConfigError(f"give either {rule}= or {short}=, not both", path=short)
        self._check_kinds()
        failures, successes = self.failure_threshold, self.success_threshold
        return BreakerConfig(
            trip=self.trip or (ConsecutiveFailures() if failures is None else ConsecutiveFailures(failures)),
            recovery=self.recovery or (HalfOpen() if successes is None else HalfOpen(success_threshold=successes)),
            open_for=self.open_for,
            open_growth=self.open_growth,
            open_jitter=self.open_jitter,
            inspects=self.failed_result is not None,
        )

    def _check_kinds(self) -> None:
        if self.trip is not None and not hasattr(self.trip, "start"):
            raise ConfigError(f"must be a rule such as ConsecutiveFailures(5), not {self.trip!r}", path="trip")
        recovery: Any = self.recovery
        if recovery is not None and not isinstance(recovery, RecoveryRule):
            raise ConfigError(f"must be a rule such as HalfOpen(), not {recovery!r}", path="recovery")
        for name in ("failure_if", "failed_result", "weight", "on_trip"):
            check_callable(name, getattr(self, name))

    def judge(self) -> Judge:
        """Return what rules on the ends of calls.

        Raises:
            ConfigError: What is to be ignored is no exception type.
        """
        ignore = self.ignore if isinstance(self.ignore, tuple) else (self.ignore,)
        return Judge(ignore, self.failure_if, self.failed_result, self.weight)
