"""Call policies: what a call passes through, the first one named outermost.

Each is used in the same ways, around sync, async, generator and async generator functions alike: as a
decorator, with `call` and `acall`, and, where a block can be guarded, with `guard()`.
"""

from typing import TYPE_CHECKING

from outlast._lazy import lazy

if TYPE_CHECKING:
    from outlast.engines import (
        AdaptiveLimitSnapshot,
        AdaptiveThrottleSnapshot,
        AnyOf,
        Backoff,
        BreakerSnapshot,
        BudgetSnapshot,
        CallStats,
        ChaosSnapshot,
        CircuitState,
        ConsecutiveFailures,
        FailureRate,
        FailuresWithin,
        FallbackSnapshot,
        GradedRecovery,
        HalfOpen,
        HedgeSnapshot,
        Jitter,
        Latencies,
        LeakyFailures,
        QueueOrder,
        RateSnapshot,
        ResetAfterCooldown,
        SingleFlightSnapshot,
        SlotsSnapshot,
        SlowCalls,
        Verdict,
    )
    from outlast.policies._adaptive_limit import AdaptiveLimit
    from outlast.policies._adaptive_throttle import AdaptiveThrottle
    from outlast.policies._attempts import Attempt, Attempts
    from outlast.policies._breaker_rules import recovery_from, rule_from, rule_to_plain
    from outlast.policies._budget import RetryBudget
    from outlast.policies._build import load_pipelines
    from outlast.policies._bulkhead import Bulkhead
    from outlast.policies._by_name import (
        depends_on_bulkhead,
        depends_on_circuit_breaker,
        depends_on_slot,
        execute_with_bulkhead,
        execute_with_circuit_breaker,
        named_bulkhead,
        named_circuit_breaker,
    )
    from outlast.policies._chaos import Chaos
    from outlast.policies._circuit_breaker import CircuitBreaker
    from outlast.policies._deadline import Deadline, deadline, remaining
    from outlast.policies._disturbance import ChaosCall
    from outlast.policies._explain import Explanation
    from outlast.policies._fallback import Fallback
    from outlast.policies._hedge import Hedge
    from outlast.policies._hedge_run import HedgeBudget
    from outlast.policies._in_force import no_deadline
    from outlast.policies._keyed import KeyedPipeline, KeyedSnapshot
    from outlast.policies._lint import Finding, Severity
    from outlast.policies._permit import BreakerGuard, BreakerPermit
    from outlast.policies._pipeline import Pipeline, PipelineSnapshot
    from outlast.policies._policy import Guard, Policy
    from outlast.policies._priority import Criticality, current_priority, priority
    from outlast.policies._rate_limit import RateLimit
    from outlast.policies._retry import Retry
    from outlast.policies._single_flight import SingleFlight
    from outlast.policies._stand_down import is_retried_above, retried_above
    from outlast.policies._timeout import Timeout, TimeoutSnapshot
else:
    # Module -> the names that it defines. A new name is added here, above for type checkers, and to `__all__`.
    _HOMES = {
        "outlast.engines": (
            "AdaptiveLimitSnapshot AdaptiveThrottleSnapshot AnyOf Backoff BreakerSnapshot "
            "BudgetSnapshot CallStats ChaosSnapshot CircuitState ConsecutiveFailures FailureRate "
            "FailuresWithin FallbackSnapshot GradedRecovery HalfOpen HedgeSnapshot Jitter Latencies "
            "LeakyFailures QueueOrder RateSnapshot ResetAfterCooldown SingleFlightSnapshot "
            "SlotsSnapshot SlowCalls Verdict"
        ),
        "_adaptive_limit": "AdaptiveLimit",
        "_adaptive_throttle": "AdaptiveThrottle",
        "_attempts": "Attempt Attempts",
        "_breaker_rules": "recovery_from rule_from rule_to_plain",
        "_budget": "RetryBudget",
        "_build": "load_pipelines",
        "_bulkhead": "Bulkhead",
        "_by_name": (
            "depends_on_bulkhead depends_on_circuit_breaker depends_on_slot execute_with_bulkhead "
            "execute_with_circuit_breaker named_bulkhead named_circuit_breaker"
        ),
        "_chaos": "Chaos",
        "_circuit_breaker": "CircuitBreaker",
        "_deadline": "Deadline deadline remaining",
        "_disturbance": "ChaosCall",
        "_explain": "Explanation",
        "_fallback": "Fallback",
        "_hedge": "Hedge",
        "_hedge_run": "HedgeBudget",
        "_in_force": "no_deadline",
        "_keyed": "KeyedPipeline KeyedSnapshot",
        "_lint": "Finding Severity",
        "_permit": "BreakerGuard BreakerPermit",
        "_pipeline": "Pipeline PipelineSnapshot",
        "_policy": "Guard Policy",
        "_priority": "Criticality current_priority priority",
        "_rate_limit": "RateLimit",
        "_retry": "Retry",
        "_single_flight": "SingleFlight",
        "_stand_down": "is_retried_above retried_above",
        "_timeout": "Timeout TimeoutSnapshot",
    }
    __getattr__, __dir__ = lazy(__name__, _HOMES)

__all__ = [
    "AdaptiveLimit",
    "AdaptiveLimitSnapshot",
    "AdaptiveThrottle",
    "AdaptiveThrottleSnapshot",
    "AnyOf",
    "Attempt",
    "Attempts",
    "Backoff",
    "BreakerGuard",
    "BreakerPermit",
    "BreakerSnapshot",
    "BudgetSnapshot",
    "Bulkhead",
    "CallStats",
    "Chaos",
    "ChaosCall",
    "ChaosSnapshot",
    "CircuitBreaker",
    "CircuitState",
    "ConsecutiveFailures",
    "Criticality",
    "Deadline",
    "Explanation",
    "FailureRate",
    "FailuresWithin",
    "Fallback",
    "FallbackSnapshot",
    "Finding",
    "GradedRecovery",
    "Guard",
    "HalfOpen",
    "Hedge",
    "HedgeBudget",
    "HedgeSnapshot",
    "Jitter",
    "KeyedPipeline",
    "KeyedSnapshot",
    "Latencies",
    "LeakyFailures",
    "Pipeline",
    "PipelineSnapshot",
    "Policy",
    "QueueOrder",
    "RateLimit",
    "RateSnapshot",
    "ResetAfterCooldown",
    "Retry",
    "RetryBudget",
    "Severity",
    "SingleFlight",
    "SingleFlightSnapshot",
    "SlotsSnapshot",
    "SlowCalls",
    "Timeout",
    "TimeoutSnapshot",
    "Verdict",
    "current_priority",
    "deadline",
    "depends_on_bulkhead",
    "depends_on_circuit_breaker",
    "depends_on_slot",
    "execute_with_bulkhead",
    "execute_with_circuit_breaker",
    "is_retried_above",
    "load_pipelines",
    "named_bulkhead",
    "named_circuit_breaker",
    "no_deadline",
    "priority",
    "recovery_from",
    "remaining",
    "retried_above",
    "rule_from",
    "rule_to_plain",
]
