"""How long a write waits before it is sent again: for its server, its circuit, and over a restart."""

from __future__ import annotations

import asyncio
import time

import pytest

from delivering import LATE, Server, opened, put, runner, until
from outlast.engines.backoff import Backoff
from outlast.events import OriginPaused
from outlast.outbox import Applied, Busy, Counts, DeliveryPolicy, InDoubt, NotApplied, OpState
from outlast.policies import CircuitBreaker, HalfOpen
from outlast.testing import ManualClock, Recorder


async def test_a_quota_pauses_the_whole_origin(place):
    """Nothing is sent for as long as the server asks, not even what is not concerned; then all of it is."""
    at = {}

    async def act(op):
        at.setdefault(op.entity, []).append(time.monotonic())
        return Busy("429", 0.4, whole_origin=True) if len(at) == 1 and len(at[op.entity]) == 1 else Applied()

    async with opened(place) as box:
        await box.enqueue(put("a"), *[put(str(number)) for number in range(5)])
        with Recorder(box.core.bus, OriginPaused) as seen:
            async with runner(box, act, concurrency=1) as run:
                await run.run_until_idle()

    first, *others = sorted(moment for moments in at.values() for moment in moments)
    assert min(others) - first >= 0.39
    assert [(event.origin, event.wait, event.reason) for event in seen.events] == [("callable", 0.4, "429")]


async def test_what_the_server_asks_to_wait_is_a_floor(place):
    """Retry-After is not undercut by a short backoff, nor by a recovery of the circuit."""
    at = []

    async def act(op):
        if op.entity == "slow":
            at.append(time.monotonic())
            return Busy("503", 0.5) if len(at) == 1 else Applied()
        return (
            InDoubt("cut")
            if at and len(at) == 1 and op.entity == "x" and not tripped.append(1) and len(tripped) < 2
            else Applied()
        )

    tripped = []
    breaker = CircuitBreaker(failure_threshold=1, open_for=0.05, recovery=HalfOpen(max_calls=1, success_threshold=1))
    async with opened(place) as box:
        await box.enqueue(put("slow"), put("x"))
        async with runner(box, act, concurrency=1, breaker=breaker) as run:
            await run.run_until_idle()

    assert at[1] - at[0] >= 0.49


async def test_an_open_circuit_spends_no_attempts_and_a_recovery_hurries(place):
    """During an outage few requests are made; the first success lets all that wait go at once."""
    down = True

    async def act(op):
        return NotApplied("refused") if down else Applied()

    breaker = CircuitBreaker(failure_threshold=5, open_for=0.1, recovery=HalfOpen(max_calls=1, success_threshold=1))
    async with opened(place) as box:
        await box.enqueue(*[put(str(number)) for number in range(30)])
        async with runner(box, act, policy=LATE, breaker=breaker, concurrency=5) as run:
            began = time.monotonic()
            running = asyncio.create_task(run.run_until_idle())
            await asyncio.sleep(0.6)
            attempts = [status.attempts for status in await box.list()]
            probes = (time.monotonic() - began) / 0.1 + 1
            down = False
            async with asyncio.timeout(50):
                await running

        assert max(attempts) == 1
        assert sum(attempts) <= 5 + probes
        assert await box.counts() == Counts(delivered=30)


async def test_a_probe_that_is_cut_leaves_the_gate_usable(place):
    """A runner that ends while its probe is on the wire gives the probe's place back to the shared circuit."""
    breaker = CircuitBreaker(
        failure_threshold=1,
        open_for=0.01,
        recovery=HalfOpen(max_calls=1, success_threshold=1, probe_expires_after=3600.0),
    )
    hanging = asyncio.Event()

    async def hang(op):
        hanging.set()
        await asyncio.sleep(3600)

    async with opened(place) as box:
        await box.enqueue(put("a"))
        breaker.record_failure()
        async with runner(box, hang, breaker=breaker, drain=0.0) as run:
            running = asyncio.create_task(run.run_forever())
            async with asyncio.timeout(50):
                await hanging.wait()
            running.cancel()
        async with runner(box, Server(), breaker=breaker) as run, asyncio.timeout(50):
            await run.run_until_idle()

        assert await box.counts() == Counts(delivered=1)


async def test_a_clock_set_back_does_not_stretch_a_stored_wait(place):
    """A wait that was planned for 50 ms is at most that after a restart, although the wall clock says a year."""
    clock = ManualClock(wall=1.8e9)
    async with opened(place, clock=clock) as box:
        await box.enqueue(put("a"))
        async with runner(box, Server(a=[InDoubt("cut")]), policy=DeliveryPolicy(backoff=Backoff.fixed(0.05))) as run:
            running = asyncio.create_task(run.run_forever())
            await until(lambda: run.stats.postponed == 1)
            running.cancel()
    clock = ManualClock(wall=1.7e9)
    async with opened(place, clock=clock) as box, runner(box, Server()) as run:
        assert run._loop._lanes.next_due() - clock.now() == pytest.approx(0.05)
        clock.advance(0.06)
        async with asyncio.timeout(2):
            await run.run_until_idle()

        assert await box.counts() == Counts(delivered=1)


async def test_a_stored_wait_outlives_a_restart(place):
    """What was to wait an hour is not sent at once because the process was started again."""
    async with opened(place) as box:
        await box.enqueue(put("a"), put("a"), put("b"))
        async with runner(box, Server(a=[InDoubt("cut")]), policy=LATE) as run:
            running = asyncio.create_task(run.run_forever())
            await box.ticket(3).settled(timeout=50)
            await until(lambda: run.stats.postponed == 1)
            running.cancel()
    server = Server()
    async with opened(place) as box, runner(box, server) as run:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.4):
                await run.run_until_idle()

        assert server.seen == []
        assert run._loop._lanes.next_due() - box.core.clock.now() > 3000
        assert [status.state for status in await box.list(OpState.WAITING)] == [OpState.WAITING]


async def test_what_is_due_waits_asleep_until_a_slot_is_free(place, monkeypatch):
    """While as many are on the wire as may be, a write whose time has come keeps no processor busy."""
    arrived, free, looks = asyncio.Event(), asyncio.Event(), []

    async def act(op):
        if op.entity == "a" and not arrived.is_set():
            return InDoubt("cut")
        arrived.set()
        await free.wait()
        return Applied()

    async with opened(place) as box, runner(box, act, concurrency=1) as run:
        moved = box.core.database.moved
        await box.enqueue(put("a"), put("b"))
        running = asyncio.create_task(run.run_forever())
        await arrived.wait()
        monkeypatch.setattr(box.core.database, "moved", lambda: looks.append(1) or moved())
        await asyncio.sleep(0.3)  # the time of the first comes after 10 ms
        free.set()
        await until(lambda: run.stats.delivered == 2)
        running.cancel()

    assert len(looks) < 30
