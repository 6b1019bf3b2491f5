"""A known sync engine slept when the oldest op was not due: one bad entity stopped every other one."""

import asyncio

from outlast.engines.backoff import Backoff
from outlast.outbox import Applied, Busy, Counts, DeliveryPolicy, OpState, Outbox, Rejected
from outlast.sync_engine import CallableTransport, Runner


async def test_what_waits_or_died_holds_back_only_its_own_entity(place):
    """The others go while one waits for an hour and another lies in the dead letters."""

    async def server(op):
        return {"slow": Busy("503", 3600.0), "bad": Rejected("400")}.get(op.entity, Applied())

    async with await Outbox.open(place) as box:
        for entity in ("slow", "bad", "slow", "bad"):
            await box.put("note", entity, {})
        tickets = [await box.put("note", f"n{number}", {}) for number in range(20)]
        policy = DeliveryPolicy(backoff=Backoff.fixed(3600.0))
        async with Runner(box, CallableTransport(server), policy=policy, concurrency=2) as runner:
            running = asyncio.create_task(runner.run_forever())
            found = {(await ticket.settled(timeout=50)).state for ticket in tickets}
            running.cancel()

        assert found == {OpState.DELIVERED}
        assert await box.counts() == Counts(ready=2, waiting=1, dead=1, delivered=20)
