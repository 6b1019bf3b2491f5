"""Pure state machines: no clock, no chance, no I/O, no locks, no loops; `now` and `chance` are parameters."""

from typing import TYPE_CHECKING

from outlast._lazy import lazy

if TYPE_CHECKING:
    from outlast.engines.adaptive_limit import AdaptiveLimitSnapshot
    from outlast.engines.adaptive_throttle import AdaptiveThrottleSnapshot
    from outlast.engines.backoff import Backoff, Jitter
    from outlast.engines.breaker import (
        BreakerConfig,
        BreakerEngine,
        BreakerSnapshot,
        CircuitState,
        Permit,
        Refusal,
        Transition,
        Verdict,
    )
    from outlast.engines.budget import BudgetConfig, BudgetSnapshot
    from outlast.engines.calls import CallStats, Latencies
    from outlast.engines.chaos import ChaosSnapshot
    from outlast.engines.fallback import FallbackSnapshot
    from outlast.engines.freshness import Freshness, Use
    from outlast.engines.hedge import HedgeSnapshot
    from outlast.engines.lease import LeaseConfig
    from outlast.engines.rate import RateConfig, RateSnapshot
    from outlast.engines.recovery import GradedRecovery, HalfOpen, RecoveryRule, ResetAfterCooldown
    from outlast.engines.retry import RetryConfig
    from outlast.engines.retry_after import parse_retry_after
    from outlast.engines.single_flight import SingleFlightSnapshot
    from outlast.engines.slots import QueueOrder, SlotsConfig, SlotsSnapshot
    from outlast.engines.trip import AnyOf, TripRule, Window
    from outlast.engines.trip_count import ConsecutiveFailures, FailuresWithin, LeakyFailures
    from outlast.engines.trip_share import FailureRate, SlowCalls
else:
    # Module -> the names that it defines. A new name is added here, above for type checkers, and to `__all__`.
    _HOMES = {
        "adaptive_limit": "AdaptiveLimitSnapshot",
        "adaptive_throttle": "AdaptiveThrottleSnapshot",
        "backoff": "Backoff Jitter",
        "breaker": "BreakerConfig BreakerEngine BreakerSnapshot CircuitState Permit Refusal Transition Verdict",
        "budget": "BudgetConfig BudgetSnapshot",
        "calls": "CallStats Latencies",
        "chaos": "ChaosSnapshot",
        "fallback": "FallbackSnapshot",
        "freshness": "Freshness Use",
        "hedge": "HedgeSnapshot",
        "lease": "LeaseConfig",
        "rate": "RateConfig RateSnapshot",
        "recovery": "GradedRecovery HalfOpen RecoveryRule ResetAfterCooldown",
        "retry": "RetryConfig",
        "retry_after": "parse_retry_after",
        "single_flight": "SingleFlightSnapshot",
        "slots": "QueueOrder SlotsConfig SlotsSnapshot",
        "trip": "AnyOf TripRule Window",
        "trip_count": "ConsecutiveFailures FailuresWithin LeakyFailures",
        "trip_share": "FailureRate SlowCalls",
    }
    __getattr__, __dir__ = lazy(__name__, _HOMES)

__all__ = [
    "AdaptiveLimitSnapshot",
    "AdaptiveThrottleSnapshot",
    "AnyOf",
    "Backoff",
    "BreakerConfig",
    "BreakerEngine",
    "BreakerSnapshot",
    "BudgetConfig",
    "BudgetSnapshot",
    "CallStats",
    "ChaosSnapshot",
    "CircuitState",
    "ConsecutiveFailures",
    "FailureRate",
    "FailuresWithin",
    "FallbackSnapshot",
    "Freshness",
    "GradedRecovery",
    "HalfOpen",
    "HedgeSnapshot",
    "Jitter",
    "Latencies",
    "LeakyFailures",
    "LeaseConfig",
    "Permit",
    "QueueOrder",
    "RateConfig",
    "RateSnapshot",
    "RecoveryRule",
    "Refusal",
    "ResetAfterCooldown",
    "RetryConfig",
    "SingleFlightSnapshot",
    "SlotsConfig",
    "SlotsSnapshot",
    "SlowCalls",
    "Transition",
    "TripRule",
    "Use",
    "Verdict",
    "Window",
    "parse_retry_after",
]
