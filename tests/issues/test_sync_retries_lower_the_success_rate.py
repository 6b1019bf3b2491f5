"""A known sync engine counted each retry as a failure: every write arrived, and its success rate said 20 %."""

import asyncio

from outlast.engines.backoff import Backoff
from outlast.events import EventBus
from outlast.outbox import Applied, DeliveryPolicy, NotApplied, Outbox
from outlast.policies import CircuitBreaker
from outlast.sync_engine import CallableTransport, Runner, SyncMetrics


async def test_a_write_that_arrives_late_has_arrived(tmp_path):
    """After four attempts in vain and one that succeeds the success rate is 100 %, and the retries are shown."""
    attempts, bus = 0, EventBus()

    async def server(op):
        nonlocal attempts
        attempts += 1
        return Applied() if attempts == 5 else NotApplied("refused")

    breaker = CircuitBreaker(failure_threshold=1000, bus=bus)
    with SyncMetrics(bus) as metrics:
        async with await Outbox.open(tmp_path / "app.db", durability="process", bus=bus) as box:
            await box.put("note", "n1", {})
            policy = DeliveryPolicy(backoff=Backoff.fixed(0.001))
            async with Runner(box, CallableTransport(server), policy=policy, breaker=breaker) as runner:
                async with asyncio.timeout(50):
                    await runner.run_until_idle()

    now = metrics.snapshot()
    assert (now.success_rate, now.retried, now.failed, now.network_health) == (1.0, 4, 0, 0.2)
