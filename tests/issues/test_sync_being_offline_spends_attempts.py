"""A known sync engine counted a missing network as one of five attempts: after 15 s offline a write was given up."""

import asyncio

from outlast.engines.backoff import Backoff
from outlast.outbox import Applied, Counts, DeliveryPolicy, InDoubt, NotApplied, Outbox
from outlast.policies import CircuitBreaker
from outlast.sync_engine import CallableTransport, Runner


async def test_no_number_of_missing_answers_gives_a_write_up(place):
    """Long after any budget it waits as before, and goes when the server is there."""
    attempts = 0

    async def server(op):
        nonlocal attempts
        attempts += 1
        return Applied() if attempts > 60 else (NotApplied("refused") if attempts % 2 else InDoubt("cut"))

    # A circuit that never opens, so that each attempt is really made.
    breaker = CircuitBreaker(failure_threshold=1_000_000)
    async with await Outbox.open(place, durability="process") as box:
        await box.put("note", "n1", {})
        policy = DeliveryPolicy(backoff=Backoff.fixed(0.001))
        async with Runner(box, CallableTransport(server), policy=policy, breaker=breaker) as runner:
            async with asyncio.timeout(50):
                await runner.run_until_idle()

        assert attempts == 61
        assert await box.counts() == Counts(delivered=1)
