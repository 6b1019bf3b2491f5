"""The settings of a store."""

from __future__ import annotations

from dataclasses import dataclass, field

from outlast.engines.lease import LeaseConfig
from outlast.engines.op import DeliveryPolicy
from outlast.engines.reconcile_records import ConflictPolicy
from outlast.policies import CircuitBreaker, Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """Hold the settings of a store.

    Args:
        circuit_breaker: The circuit that reads and deliveries share. Default: opens after 5 failures in a
            row, probes after 1 s, then after 2, 4, ... up to 30 s.
        retry: How a load that failed is tried again, inside the cache's `load_timeout`. Readers of what is
            stored do not wait for it. Default: 6 attempts, waits from 0.25 s to 2 s with full jitter.
        deliver: Whether this store delivers what it queues. False where another process does. Default True.
        concurrency: Deliveries at once, >= 1. Default 8.
        delivery: Backoff and limits of delivery.
        conflicts: What is done when the server holds something else than what was seen. Default: what only one side
            changed is merged, everything else goes to the conflict inbox. What the server adds of its own is sent back
            with a merged write, unless it is among the policy's `server_fields`.
        lease: Seconds between beats of the delivery lease and until a frozen holder may be replaced.
    """

    circuit_breaker: CircuitBreaker | None = None
    retry: Retry | None = None
    deliver: bool = True
    concurrency: int = 8
    delivery: DeliveryPolicy = field(default_factory=DeliveryPolicy)
    conflicts: ConflictPolicy = field(default_factory=ConflictPolicy)
    lease: LeaseConfig = field(default_factory=LeaseConfig)
