"""Only one delivers at a time, and whoever was replaced can do nothing more."""

from __future__ import annotations

import asyncio

import pytest

from delivering import Server, opened, put, runner, until
from outlast.errors import ConfigError, LeaseHeldError, LeaseLostError, ShuttingDownError
from outlast.events import LeaseLost
from outlast.outbox import Applied, Counts, LeaseConfig, ProcessingLease, Report, SyncOutbox, Terms
from outlast.outbox._records import Withdrawn
from outlast.sync_engine import CallableTransport
from outlast.testing import ManualClock, Recorder


async def test_a_second_runner_is_refused(place):
    """It is told when to ask again, and may take over when the first has left, also in this process."""
    async with opened(place) as box, opened(place) as other:
        async with runner(box, Server()):
            with pytest.raises(LeaseHeldError, match="another process delivers") as refused:
                async with runner(other, Server()):
                    pass
        async with runner(other, Server()) as run:
            await run.run_until_idle()

    assert 0 < refused.value.retry_after <= 120.0


async def test_a_runner_may_be_entered_again(place):
    """Each block is a new term that reads the file anew."""
    async with opened(place) as box:
        run = runner(box, Server())
        for number in range(3):
            await box.put("note", str(number), {})
            async with run:
                await run.run_until_idle()

        assert await box.counts() == Counts(delivered=3)


async def test_who_delivers_outside_of_the_block_is_told_what_is_missing(place):
    """No lease was lost where none was ever taken, or where it was given back."""
    async with opened(place) as box:
        run = runner(box, Server())
        with pytest.raises(ConfigError, match="inside its block"):
            await run.run_until_idle()
        async with run:
            await run.run_until_idle()
        with pytest.raises(ConfigError, match="inside its block"):
            await run.run_forever()


async def test_a_cancelled_start_leaves_no_lease_behind(place):
    """The thread that takes the lease cannot be cancelled, so what it took is given back."""
    async with opened(place) as box, opened(place) as other:
        for turns in range(8):
            task = asyncio.create_task(runner(box, Server()).__aenter__())
            for _ in range(turns):
                await asyncio.sleep(0.001 if turns > 3 else 0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                async with runner(other, Server()):
                    pass
            else:
                return


async def test_a_start_that_cannot_read_leaves_no_lease_behind(place, monkeypatch):
    """An error between taking the lease and the block gives it back."""
    async with opened(place) as box:
        broken = runner(box, Server())
        monkeypatch.setattr(broken._loop, "load", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await broken.__aenter__()

        async with runner(box, Server()) as run:
            await run.run_until_idle()


def test_a_lease_that_cannot_be_written_leaves_no_lock_behind(place):
    """After a failed start another handle of the same process can deliver."""
    with SyncOutbox.open(place) as box:
        broken = ProcessingLease(box.core.database)
    with pytest.raises(ShuttingDownError):
        broken.acquire()

    with SyncOutbox.open(place) as box:
        lease = ProcessingLease(box.core.database)
        assert lease.acquire() == 1
        lease.release()
        lease.release()


def test_a_lease_of_a_closed_outbox_frees_its_lock(place):
    """Closing in the wrong order is the caller's mistake, and yet the next one can take over at once."""
    box = SyncOutbox.open(place)
    lease = ProcessingLease(box.core.database)
    lease.acquire()
    box.close()
    with pytest.raises(ShuttingDownError):
        lease.release()

    with SyncOutbox.open(place) as box:
        again = ProcessingLease(box.core.database)
        assert (again.acquire(), again.reason) == (2, "the holder's process has ended")
        again.release()


async def test_whoever_took_over_from_a_frozen_holder_is_safe(place):
    """When the frozen one ends, its lock is free; a third contender must not take that for the new holder's death."""
    clock = ManualClock(auto_advance=False)
    lost = []
    with SyncOutbox.open(place, clock=clock) as box, SyncOutbox.open(place) as other, SyncOutbox.open(place) as third:
        config = LeaseConfig(beat_every=3600.0, ttl=10_800.0)
        frozen = ProcessingLease(box.core.database, config, clock=clock, on_lost=lambda: lost.append(1))
        frozen.acquire()
        place.execute("UPDATE $lease SET beat = beat - 10800")
        heir = ProcessingLease(other.core.database, config, clock=clock)
        heir.acquire()
        with pytest.raises(LeaseLostError):
            frozen.heartbeat()
        frozen_held = frozen.held
        frozen.release()
        contender = ProcessingLease(third.core.database, config, clock=clock)
        with pytest.raises(LeaseHeldError):
            contender.acquire()
        heir.heartbeat()
        with pytest.raises(LeaseHeldError):
            contender.acquire()

        assert (heir.fence, heir.reason, heir.held, frozen_held) == (2, "no beat for 10800 s", True, False)
        heir.release()


async def test_a_holder_that_was_replaced_stops_and_says_so(place):
    """The event names the term that was lost; the runner ends, and the op is delivered once by the heir."""
    hang = asyncio.Event()

    async def slow(op):
        await hang.wait()
        return Applied()

    async with opened(place) as box, opened(place) as other:
        await box.enqueue(put("a"))
        with Recorder(box.core.bus, LeaseLost) as seen:
            async with runner(box, slow, lease=LeaseConfig(beat_every=0.05, ttl=3600.0)) as run:
                running = asyncio.create_task(run.run_forever())
                await until(lambda: run.stats.sent == 1)
                takeover = "UPDATE lease SET holder = 'other', fence = fence + 1"
                await asyncio.wrap_future(other.core.database.write(lambda db: db.execute(takeover)))
                with pytest.raises(LeaseLostError):
                    async with asyncio.timeout(50):
                        await running
                hang.set()

        assert [event.fence for event in seen.events] == [1]
        assert (await box.counts()).waiting == 1


async def test_a_process_that_was_frozen_after_its_claim_sends_nothing(place):
    """It finds out that its beat is too old before a byte leaves."""
    clock = ManualClock(auto_advance=False)
    server = Server()
    async with opened(place, clock=clock) as box:
        await box.enqueue(put("a"))
        async with runner(box, server) as run:
            box.core.bus.subscribe(lambda event: clock.advance(100.0) if event.event_type == "OpSent" else None)
            with pytest.raises(LeaseLostError, match="has stopped sending"):
                async with asyncio.timeout(50):
                    await run.run_until_idle()

    assert server.seen == []


async def test_a_settlement_of_an_old_term_is_refused(place):
    """The fence and the number of the attempt guard what is recorded."""
    from outlast.engines.op import Deliver

    async with opened(place) as box:
        core = box.core
        await box.enqueue(put("a"))
        lease = ProcessingLease(core.database)
        fence = await asyncio.to_thread(lease.acquire)
        transport = CallableTransport(None)
        (first,) = await asyncio.wrap_future(core.claim(fence, [1], Terms(seal=transport.seal)))
        (second,) = await asyncio.wrap_future(core.claim(fence, [1], Terms(seal=transport.seal)))
        for claimed, term in [(first, fence), (second, fence + 1), (second, 0)]:
            with pytest.raises(LeaseLostError):
                await asyncio.wrap_future(core.settle(term, claimed, Report(step=Deliver())))
        waiting = await box.counts()
        await asyncio.wrap_future(core.settle(fence, second, Report(step=Deliver())))
        gone = await asyncio.wrap_future(core.claim(fence, [1], Terms(seal=transport.seal)))
        await asyncio.to_thread(lease.release)

        assert gone == [Withdrawn(seq=1)]

        assert (waiting, await box.counts()) == (Counts(waiting=1), Counts(delivered=1))
