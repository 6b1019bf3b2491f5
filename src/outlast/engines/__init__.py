"""Pure state machines: no clock, no chance, no I/O, no locks, no loops; `now` and `chance` are parameters."""

from outlast.engines.backoff import Backoff, Jitter
from outlast.engines.breaker import (
    BreakerConfig,
    BreakerEngine,
    BreakerSnapshot,
    CircuitState,
    HalfOpen,
    Permit,
    Refusal,
    Transition,
    Verdict,
)
from outlast.engines.freshness import Freshness, Use
from outlast.engines.lease import LeaseConfig
from outlast.engines.retry import RetryConfig
from outlast.engines.retry_after import parse_retry_after
from outlast.engines.trip import ConsecutiveFailures, TripRule, Window

__all__ = [
    "Backoff",
    "BreakerConfig",
    "BreakerEngine",
    "BreakerSnapshot",
    "CircuitState",
    "ConsecutiveFailures",
    "Freshness",
    "HalfOpen",
    "Jitter",
    "LeaseConfig",
    "Permit",
    "Refusal",
    "RetryConfig",
    "Transition",
    "TripRule",
    "Use",
    "Verdict",
    "Window",
    "parse_retry_after",
]
