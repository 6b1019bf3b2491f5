"""A known sync engine took its lock by get, compare and put over wall clocks, without a fence: two could hold it."""

import asyncio
import threading

import pytest

from outlast.engines.lease import LeaseConfig
from outlast.engines.op import Deliver
from outlast.errors import LeaseHeldError, LeaseLostError
from outlast.outbox import Counts, Outbox, ProcessingLease, SyncOutbox
from outlast.sync_engine import CallableTransport
from outlast.testing import ManualClock

FROZEN = LeaseConfig(beat_every=3600.0, ttl=10_800.0)


def test_of_many_that_contend_at_once_one_wins(place):
    """However many find the lease free or stale at the same moment, one of them gets it."""
    clock = ManualClock(auto_advance=False)
    boxes = [SyncOutbox.open(place, clock=clock) for _ in range(6)]
    fences = []
    for _ in range(5):
        leases = [ProcessingLease(box.core.database, FROZEN, clock=clock) for box in boxes]
        barrier, won = threading.Barrier(len(leases)), []

        def contend(lease, barrier=barrier, won=won):
            barrier.wait(5)
            try:
                won.append((lease.acquire(), lease))
            except LeaseHeldError:
                return

        threads = [threading.Thread(target=contend, args=(lease,)) for lease in leases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

        assert len(won) == 1
        fences.append(won[0][0])
        won[0][1].release()
    for box in boxes:
        box.close()

    assert fences == [1, 2, 3, 4, 5]


async def test_the_loser_learns_of_it_and_can_record_nothing(place):
    """After a takeover the old holder's beat raises, and what it settles late is refused."""
    clock = ManualClock(auto_advance=False)
    async with (
        await Outbox.open(place, clock=clock) as box,
        await Outbox.open(place, clock=clock) as other,
    ):
        await box.put("note", "n1", {})
        old = ProcessingLease(box.core.database, FROZEN, clock=clock)
        fence = await asyncio.to_thread(old.acquire)
        claim = box.core.claim(fence, [1], CallableTransport(None).seal)
        (claimed,) = await asyncio.wrap_future(claim)
        clock.jump_wall(10_000_000.0)  # a wall clock proves nothing
        heir = ProcessingLease(other.core.database, FROZEN, clock=clock)
        with pytest.raises(LeaseHeldError):
            await asyncio.to_thread(heir.acquire)
        place.execute("UPDATE $lease SET beat = beat - 10800")
        await asyncio.to_thread(heir.acquire)

        with pytest.raises(LeaseLostError):
            await asyncio.wrap_future(box.core.settle(fence, claimed, Deliver(), None))
        with pytest.raises(LeaseLostError):
            await asyncio.to_thread(old.heartbeat)
        assert await box.counts() == Counts(waiting=1)
        await asyncio.to_thread(old.release)
        assert heir.held
        await asyncio.to_thread(heir.release)
