"""SyncMetrics beside an outbox that really delivers, through a network that fails."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import httpx2

from outlast.events import EventBus
from outlast.lab.proxy import DropAnswer, Healthy, Refuse
from outlast.outbox import Coalescing, SyncOutbox
from outlast.policies import CircuitBreaker, HalfOpen
from outlast.sync_engine import SyncMetrics


async def test_the_counts_are_those_of_the_outbox_and_of_the_wire(world, until):
    """Writes of several tasks, lost answers, an outage that trips the circuit, a conflict and a dead write."""
    trips = []
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        metrics = stack.enter_context(SyncMetrics(world.bus, on_trip=trips.append))
        proxy.set(DropAnswer(0.3))
        await asyncio.gather(*(box.put("notes", world.note(f"n{n}"), world.body(f"w{n}")) for n in range(20)))
        assert metrics.snapshot().queue_depth == 20
        await world.deliver(box, breaker=CircuitBreaker(failure_threshold=1000))

        proxy.set(Refuse())
        for number in range(3):
            await box.put("notes", world.note(f"late{number}"), world.body(f"late{number}"))
        recovery = HalfOpen(max_calls=1, success_threshold=1)
        breaker = CircuitBreaker(failure_threshold=3, open_for=0.05, recovery=recovery, bus=world.bus)
        async with world.runner(box, breaker=breaker) as runner:
            running = asyncio.create_task(runner.run_until_idle())
            await until(lambda: trips)
            proxy.set(Healthy())
            async with asyncio.timeout(30):
                await running

        url = f"http://127.0.0.1:{world.api.port}/notes/{world.note('taken')}"
        async with httpx2.AsyncClient(trust_env=False) as http:
            await http.put(url, json={"write": f"{world.prefix}-theirs", "text": "theirs"})
        await box.create("notes", world.note("taken"), world.body("ours"))
        await box.put("notes", world.note("bad"), {"no": "write"})
        await world.deliver(box, breaker=breaker)

        counts, now = await box.counts(), metrics.snapshot()
        assert (counts.delivered, counts.conflict, counts.dead, counts.open) == (23, 1, 1, 0)
        assert (now.enqueued, now.succeeded, now.conflicts, now.failed, now.queue_depth) == (25, 23, 1, 1, 0)
        assert now.sent == now.succeeded + now.conflicts + now.failed + now.retried
        assert now.retried >= 3
        assert now.success_rate == 23 / 24
        assert now.breaker_trips == len(trips) >= 1
        assert now.breaker_recoveries >= 1
        assert now.leases_taken == 3
        assert 0.0 < now.network_health < 1.0
        assert 0.0 < now.latency_avg <= now.latency_p95 * 20


def test_what_is_folded_needs_no_request(tmp_path):
    """The depth is that of what waits, also where a write takes several with it."""
    bus = EventBus()
    with SyncOutbox.open(tmp_path / "a.db", bus=bus, coalescing=Coalescing()) as box, SyncMetrics(bus) as metrics:
        box.put("note", "a", {"n": 1})
        box.put("note", "a", {"n": 2})
        box.create("note", "b", {"n": 1})
        assert (metrics.snapshot().queue_depth, box.counts().open) == (2, 2)
        box.delete("note", "b")

        assert (metrics.snapshot().queue_depth, box.counts().open) == (1, 1)
        assert metrics.summary()["operations"]["coalesced"] == 2
        assert metrics.snapshot().enqueued == 2

        box.patch("note", "c", {"tags": 5})
        box.patch("note", "c", {"tags": {"z": 1}})  # no patch says that a number becomes an object
        assert (metrics.snapshot().queue_depth, box.counts().open) == (3, 3)
        box.put("note", "c", {})

        assert (metrics.snapshot().queue_depth, box.counts().open) == (2, 2)
