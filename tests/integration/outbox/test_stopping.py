"""A run that ends, by its user or because it cannot go on, loses nothing and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from delivering import Server, opened, put, runner, until
from outlast.errors import AuthenticationError, ConfigError, LeaseLostError, StorageFullError
from outlast.outbox import Applied, AuthNeeded, Counts, LeaseConfig, Outbox, SealedRequest
from outlast.sync_engine import CallableTransport


async def test_refused_credentials_stop_everything_and_lose_nothing(place):
    """One round is sent, no more; with new credentials the same runner delivers it all."""
    good, asked = asyncio.Event(), []

    async def act(op):
        asked.append(op.seq)
        return Applied() if good.is_set() else AuthNeeded("401")

    async with opened(place) as box:
        await box.enqueue(*[put(str(number)) for number in range(40)])
        async with runner(box, act, concurrency=4) as run:
            with pytest.raises(AuthenticationError, match="refuses the credentials"):
                await run.run_until_idle()
            sent, counts = len(asked), await box.counts()
            good.set()
            async with asyncio.timeout(50):
                await run.run_until_idle()

        assert sent <= 4
        assert (counts.open, counts.dead, counts.conflict) == (40, 0, 0)
        assert await box.counts() == Counts(delivered=40)


async def test_leaving_lets_requests_finish(place):
    """What is on the wire when the run is cancelled is waited for and recorded; nothing new is sent."""
    started, tasks = asyncio.Event(), asyncio.all_tasks()

    async def act(op):
        started.set()
        await asyncio.sleep(0.1)
        return Applied()

    async with opened(place) as box:
        await box.enqueue(*[put(str(number)) for number in range(9)])
        async with runner(box, act, concurrency=3) as run:
            running = asyncio.create_task(run.run_forever())
            await started.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

        assert await box.counts() == Counts(ready=6, delivered=3)
        assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize("impatient", [False, True], ids=["drain-is-over", "cancelled-again"])
async def test_leaving_cuts_what_takes_too_long(place, impatient):
    """After the drain no task is left, also when the drain itself is cut, and the lease is free."""
    started, tasks = asyncio.Event(), asyncio.all_tasks()

    async def act(op):
        started.set()
        await asyncio.sleep(3600)

    async with opened(place) as box:
        await box.enqueue(put("a"))

        async def program():
            async with runner(box, act, drain=3600.0 if impatient else 0.05) as run:
                await run.run_forever()

        task = asyncio.create_task(program())
        await started.wait()
        task.cancel()
        await asyncio.sleep(0.02)
        if impatient:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
        async with runner(box, Server()) as run:
            await run.run_until_idle()

        assert asyncio.all_tasks() == tasks
        assert await box.counts() == Counts(delivered=1)


async def test_a_full_disk_stops_the_run_clearly_and_loses_nothing(place):
    """The outcome that could not be recorded is found out again once there is room, by the same runner."""
    keys, empty = [], [1]

    async def act(op):
        keys.append(op.key)
        if empty:
            empty.clear()
            await asyncio.to_thread(place.fill, box, "receipt")
        return Applied('"1"')

    async with opened(place) as box:
        # Receipts fill whole pages, so that the next one needs a new page.
        await box.enqueue(*[put(f"{number}" + "x" * 900) for number in range(40)])
        async with runner(box, act, concurrency=1) as run:
            with pytest.raises(StorageFullError, match="free some and run again"):
                await run.run_until_idle()
            await asyncio.to_thread(place.free, box, "receipt")
            async with asyncio.timeout(50):
                await run.run_until_idle()

        assert await box.counts() == Counts(delivered=40)
        assert len(set(keys)) == 40


async def test_a_claim_that_fails_leaves_everything_as_it_was(place):
    """A disk that is full before anything is sent stops the run; with room the same runner goes on."""

    class Large(CallableTransport):
        def seal(self, op):
            return SealedRequest(method="put", url="x" * 3000, body=op.body)

    server = Server()
    async with opened(place) as box:
        await box.enqueue(*[put(str(number)) for number in range(8)])
        async with runner(box, Large(server)) as run:
            await asyncio.to_thread(place.fill, box, "seal")
            with pytest.raises(StorageFullError):
                await run.run_until_idle()
            await asyncio.to_thread(place.free, box, "seal")
            async with asyncio.timeout(50):
                await run.run_until_idle()

        assert len(server.seen) == 8
        assert await box.counts() == Counts(delivered=8)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_loop_that_ends_while_the_lease_is_taken_leaves_it_free(place):
    """Whoever is cancelled together with all other tasks gives back what a thread takes for him."""

    async def enter(box):
        async with runner(box, Server()):
            raise AssertionError("it was cancelled before")

    async def end_early():
        box = await Outbox.open(str(place))
        held, free = threading.Event(), threading.Event()
        box.core.database.write(lambda db: (held.set(), free.wait(60)))
        asyncio.get_running_loop().call_later(0.05, free.set)
        await asyncio.to_thread(held.wait, 60)
        tasks.append(asyncio.create_task(enter(box)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return box

    async def later(box):
        async with box, runner(box, Server()) as run:
            return run._lease.fence

    tasks = []

    assert asyncio.run(later(asyncio.run(end_early()))) > 0
    assert tasks[0].cancelled()


async def test_a_run_that_is_cancelled_while_it_claims_takes_the_claim_back(place):
    """The process did not die of it, nothing counts as sent, and a write that it buried holds back its lane."""
    sealing, go = threading.Event(), threading.Event()

    class Sealing(CallableTransport):
        def seal(self, op):
            if op.entity == "bad":
                raise ConfigError("no such route")
            sealing.set()
            assert go.wait(60)
            return super().seal(op)

    server = Server()
    async with opened(place) as box:
        await box.enqueue(put("bad", lane="l"), put("behind", lane="l"), put("a"))
        async with runner(box, Sealing(server)) as run:
            running = asyncio.create_task(run.run_until_idle())
            await until(sealing.is_set)
            running.cancel()
            asyncio.get_running_loop().call_later(0.02, go.set)
            with pytest.raises(asyncio.CancelledError):
                await running
            claimed = place.execute("SELECT seq, due IS NULL, unreported, doubt FROM $seal")
            async with asyncio.timeout(50):
                await run.run_until_idle()

        assert [tuple(map(int, row)) for row in claimed] == [(3, 0, 0, 0)]
        assert (server.entities, await box.counts()) == (["a"], Counts(ready=1, dead=1, delivered=1))


async def test_who_is_cancelled_while_he_leaves_has_given_the_lease_back(place):
    """Another runner may come at once, however long the giving back took."""
    free, runs = threading.Event(), []

    async def leave(box):
        async with runner(box, Server()) as run:
            runs.append(run)
            box.core.database.write(lambda db: free.wait(60))

    async with opened(place) as box:
        leaving = asyncio.create_task(leave(box))
        await until(lambda: runs and runs[0]._lease.fence == 0)
        leaving.cancel()
        asyncio.get_running_loop().call_later(0.02, free.set)
        await asyncio.wait([leaving])

        assert leaving.cancelled()
        async with runner(box, Server()) as run:
            assert run._lease.held


async def test_a_lease_that_could_not_be_kept_is_no_death_of_what_was_sent(place):
    """Who stops because the store kept his beats waiting says of his requests that they did not kill him."""
    started = asyncio.Event()

    async def act(op):
        started.set()
        await asyncio.sleep(3600)

    async with opened(place) as box:
        await box.enqueue(put("a"))
        async with runner(box, act, lease=LeaseConfig(beat_every=0.05, ttl=0.2), drain=0.0) as run:
            running = asyncio.create_task(run.run_forever())
            await started.wait()
            place.lock(box, 0.3)
            with pytest.raises(LeaseLostError, match="could not keep its lease"):
                await running

        assert [due for (due,) in place.execute("SELECT due FROM $seal")] != [None]


async def test_who_enters_twice_is_told_and_the_first_goes_on(place):
    """A runner that has the lease does not take it from itself."""

    async def act(op):
        return Applied()

    async with opened(place) as box:
        await box.put("note", "n1", {})
        async with runner(box, act) as run, asyncio.timeout(50):
            with pytest.raises(ConfigError, match="entered already"):
                await run.__aenter__()
            await run.run_until_idle()

        assert await box.counts() == Counts(delivered=1)


@pytest.mark.parametrize("seconds", [0.0, 0.002, 0.02])
async def test_an_opening_that_is_cancelled_leaves_nothing_open(place, seconds):
    """Whoever could close the outbox has never got it, so its threads end by themselves."""
    before = set(threading.enumerate())
    with ThreadPoolExecutor(1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        opening = asyncio.create_task(Outbox.open(place))
        await asyncio.sleep(seconds)
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await opening).aclose()
        await asyncio.to_thread(int)  # behind what is still opening

        assert [one for one in set(threading.enumerate()) - before if one.name.startswith("outlast-")] == []
        async with opened(place) as box:
            assert await box.counts() == Counts()
