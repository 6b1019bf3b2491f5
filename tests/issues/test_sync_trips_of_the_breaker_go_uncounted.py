"""A known sync engine had a counter for trips of its circuit breaker, and nothing that ever raised it."""

import asyncio

from outlast.engines.backoff import Backoff
from outlast.events import EventBus
from outlast.outbox import Applied, DeliveryPolicy, NotApplied, Outbox
from outlast.policies import CircuitBreaker, HalfOpen
from outlast.sync_engine import CallableTransport, Runner, SyncMetrics


async def test_each_trip_is_counted_and_told(tmp_path):
    """Three failures open the circuit: the count says so, and so does the hook."""
    attempts, bus, told = 0, EventBus(), []

    async def server(op):
        nonlocal attempts
        attempts += 1
        return NotApplied("refused") if attempts <= 3 else Applied()

    recovery = HalfOpen(max_calls=1, success_threshold=1)
    breaker = CircuitBreaker(failure_threshold=3, open_for=0.02, recovery=recovery, bus=bus)
    with SyncMetrics(bus, on_trip=told.append) as metrics:
        async with await Outbox.open(tmp_path / "app.db", durability="process", bus=bus) as box:
            await box.put("note", "n1", {})
            policy = DeliveryPolicy(backoff=Backoff.fixed(0.001))
            async with Runner(box, CallableTransport(server), policy=policy, breaker=breaker) as runner:
                async with asyncio.timeout(50):
                    await runner.run_until_idle()

    assert (metrics.snapshot().breaker_trips, metrics.snapshot().breaker_recoveries, len(told)) == (1, 1, 1)
