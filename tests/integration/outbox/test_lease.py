"""A holder's death shows at once, also when it had not got the lock at the moment of the taking."""

import asyncio

import pytest

from delivering import opened, until
from outlast.engines.lease import LeaseConfig
from outlast.errors import LeaseHeldError
from outlast.outbox import ProcessingLease

SELDOM = LeaseConfig(beat_every=3600.0, ttl=10_800.0)


async def test_who_took_the_lease_beside_another_contender_gets_the_lock_soon(place):
    """Two begin at the same moment: the one without the lock is first, and does not wait for its beat to get it."""
    async with opened(place) as box:
        lease, contender = (ProcessingLease(box.core.database, SELDOM) for _ in range(2))
        lock = box.core.database.lock("lease")
        assert lock.try_acquire()  # as somebody does who is about to contend
        await asyncio.to_thread(lease.acquire)
        assert not place.execute("SELECT locked FROM $lease")[0][0]
        lock.release()
        await until(lambda: place.execute("SELECT locked FROM $lease")[0][0])

        with pytest.raises(LeaseHeldError):
            await asyncio.to_thread(contender.acquire)
        # What the kernel does when its process is killed: no beat comes any more, and the lock is free. PostgreSQL
        # hears of that a moment later.
        lease._stop.set()
        lease._beats.join()
        lease._lock.release()
        await until(contender.try_acquire)
        assert (contender.fence, contender.reason) == (2, "the holder's process has ended")
        for one in (lease, contender):
            await asyncio.to_thread(one.release)
