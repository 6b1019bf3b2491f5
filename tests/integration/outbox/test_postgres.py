"""What is different where many write at once: places are not in the order of commits, and the server may be away."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import closing

import psycopg
import pytest

from outlast.engines.op import Deliver
from outlast.errors import LeaseHeldError
from outlast.events import EventBus
from outlast.outbox import (
    Applied,
    Coalescing,
    Counts,
    LeaseConfig,
    Outbox,
    ProcessingLease,
    Report,
    SyncOutbox,
    Terms,
    Verb,
    Write,
    enqueue_in,
)
from outlast.outbox import _loop as loop
from outlast.outbox import _queries as sql
from outlast.sync_engine import CallableTransport, Runner
from outlast.testing import ManualClock
from postgres_server import PostgresServer
from stores import PostgresPlace


def put(entity, **options):
    """Make a write of a note."""
    return Write(verb=Verb.PUT, kind="note", entity=entity, body=b"{}", **options)


@pytest.fixture
def place(postgres_server):
    """A schema that does not exist yet."""
    return PostgresPlace(postgres_server)


def opened(place):
    """Open an outbox with a bus of its own."""
    return Outbox.open(place, bus=EventBus())


class Server:
    """Remember what came, in its order."""

    def __init__(self):
        self.seen = []

    async def __call__(self, op):
        self.seen.append((op.entity, op.seq))
        return Applied(f'"{op.seq}"')


async def test_what_is_committed_late_is_not_overlooked(place):
    """A transaction that got its places first and commits last is delivered by a loop that is past those places."""
    server = Server()
    async with await opened(place) as box, Runner(box, CallableTransport(server)) as runner:
        running = asyncio.create_task(runner.run_forever())
        with closing(psycopg.connect(place.libpq)) as late:
            first = enqueue_in(late, put("a"), put("b"), schema=place.schema)
            between = await box.put("note", "c", {})
            await between.settled(timeout=50)
            late.commit()
        for seq in first:
            await box.ticket(seq).settled(timeout=50)
        running.cancel()

    assert first < [between.seq]
    assert [entity for entity, _ in server.seen] == ["c", "a", "b"]


async def test_an_idle_run_does_not_end_before_a_late_commit_is_seen(place):
    """What was committed before the run is delivered by it, whatever its place."""
    server = Server()
    async with await opened(place) as box:
        with closing(psycopg.connect(place.libpq)) as late:
            enqueue_in(late, put("a"), schema=place.schema)
            await box.put("note", "b", {})
            async with Runner(box, CallableTransport(server)) as runner:
                await runner.run_until_idle()
                late.commit()
                await runner.run_until_idle()

        assert await box.counts() == Counts(delivered=2)
    assert [entity for entity, _ in server.seen] == ["b", "a"]


async def test_the_version_of_an_ack_reaches_a_follower_with_any_place(place):
    """The follower is found by its lane, not among the places behind the last one that the loop knows."""
    seen = []
    async with await opened(place) as box:
        with closing(psycopg.connect(place.libpq)) as late:

            async def act(op):
                seen.append((op.entity, op.if_match))
                return Applied('"new"')

            async def commit_late(op, step):
                if op.seq == first.seq:
                    late.commit()

            first = await box.put("note", "a", {}, if_match='"old"')
            enqueue_in(late, put("a", if_match='"old"'), schema=place.schema)
            await box.put("note", "b", {})
            async with Runner(box, CallableTransport(act), concurrency=1, before_settle=commit_late) as runner:
                await runner.run_until_idle()
                await runner.run_until_idle()

    assert sorted(seen, key=str) == [("a", '"new"'), ("a", '"old"'), ("b", None)]


HELD = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%xact_lock_shared%'"


async def after_of(box):
    """Return what waits, and what it comes after."""
    return [(op.entity, op.seq, op.after) for op in await box.core.result(box.core.pending("note"))]


async def test_what_an_open_transaction_comes_after_is_not_folded_away(place):
    """A write that somebody is about to come after stays, as it does for one who has committed that."""
    async with await Outbox.open(place, bus=EventBus(), coalescing=Coalescing()) as box:
        with closing(psycopg.connect(place.libpq)) as late:
            first = await box.create("note", "a", {})
            await box.enqueue_in(late, put("b", after=first.seq))
            await box.delete("note", "a")
            late.commit()

        assert await after_of(box) == [("a", 1, None), ("b", 2, 1), ("a", 3, None)]


async def test_who_comes_after_a_write_that_is_being_folded_waits_and_comes_after_its_heir(place):
    """Whether a write goes into another one is known only when the transaction that does it has ended."""
    async with await Outbox.open(place, bus=EventBus(), coalescing=Coalescing()) as box:
        with closing(psycopg.connect(place.libpq)) as late:
            await box.patch("note", "a", {"tags": 5})
            second = await box.patch("note", "a", {"tags": {"z": 1}})
            await box.enqueue_in(late, put("a"))
            behind = asyncio.create_task(box.put("note", "b", {}, after=second))
            async with asyncio.timeout(50):
                while not behind.done() and not place.server.execute(HELD)[0][0]:  # noqa: ASYNC110 - it comes from the server
                    await asyncio.sleep(0.01)
            waited = not behind.done()
            late.commit()
            ticket = await behind

        assert waited
        assert await after_of(box) == [("a", 1, None), ("b", ticket.seq, 1)]


async def test_producers_of_other_processes_wake_the_loop(place, monkeypatch):
    """A write of somebody else is delivered on his notification, long before the next look."""
    monkeypatch.setattr(loop, "_POLL_EVERY", 3600.0)
    server = Server()
    async with (
        await opened(place) as box,
        await opened(place) as producer,
        Runner(box, CallableTransport(server)) as runner,
    ):
        running = asyncio.create_task(runner.run_forever())
        for number in range(3):
            ticket = await producer.put("note", str(number), {})
            await ticket.settled(timeout=50)
        with closing(psycopg.connect(place.libpq)) as connection:
            (own,) = await box.enqueue_in(connection, put("own"))
            connection.commit()
        await own.settled(timeout=50)
        running.cancel()

    assert [entity for entity, _ in server.seen] == ["0", "1", "2", "own"]


@pytest.fixture(scope="module")
def durable_server():
    """A server of this file's own, which may be stopped and keeps what it has acknowledged."""
    with PostgresServer.running(fsync="on") as server:
        yield server


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["in-order", "dead"])
async def test_a_restart_of_the_server_loses_and_doubles_nothing(durable_server, how):
    """Producers and the runner wait for it, the lease is kept, and each write is recorded once."""
    keys = []

    async def act(op):
        keys.append(op.key)
        return Applied()

    async with await opened(PostgresPlace(durable_server)) as box:
        async with Runner(box, CallableTransport(act)) as runner:
            running = asyncio.create_task(runner.run_forever())
            writes = [asyncio.create_task(box.put("note", str(number), {})) for number in range(50)]
            await writes[0]
            await asyncio.to_thread(durable_server.stop, how)
            writes += [asyncio.create_task(box.put("note", str(number), {})) for number in range(50, 60)]
            await asyncio.to_thread(durable_server.start)
            tickets = [await write for write in writes]
            for ticket in tickets:
                await ticket.settled(timeout=50)
            alive = not running.done()
            running.cancel()

        assert await box.counts() == Counts(delivered=60)
    assert alive
    assert len({ticket.seq for ticket in tickets}) == 60
    assert set(keys) == {ticket.key for ticket in tickets}


async def test_a_server_that_has_forgotten_commits_is_looked_at_anew():
    """Its numbers begin again before those that were seen, and what is queued under them is delivered all the same."""
    server = Server()
    with PostgresServer.running(fsync="on", wal_writer_delay="10s") as forgetful:
        async with await Outbox.open(PostgresPlace(forgetful), bus=EventBus(), durability="process") as box:
            async with Runner(box, CallableTransport(server)) as runner:
                forgetful.execute("CHECKPOINT")
                for entity in "abc":
                    await box.put("note", entity, {})
                await runner.run_until_idle()
                await asyncio.to_thread(forgetful.stop, signal.SIGQUIT)
                await asyncio.to_thread(forgetful.start)
                forgotten = await box.counts()
                await box.put("note", "d", {})
                await runner.run_until_idle()

            assert await box.counts() == Counts(delivered=1)
    assert forgotten == Counts()
    assert [entity for entity, _ in server.seen] == ["a", "b", "c", "d"]


async def test_a_takeover_waits_for_a_settlement_that_has_begun(place):
    """The fence that a settlement has read cannot be raised before it is committed, or it could record too much."""
    async with await opened(place) as box, await opened(place) as other:
        await box.put("note", "a", {})
        config = LeaseConfig(beat_every=3600.0, ttl=10_800.0)
        lease, heir = (ProcessingLease(one.core.database, config) for one in (box, other))
        fence = await asyncio.to_thread(lease.acquire)
        (claimed,) = await box.core.result(box.core.claim(fence, [1], Terms(seal=CallableTransport(None).seal)))
        place.execute("UPDATE $lease SET beat = beat - 10800")
        begun, go = threading.Event(), threading.Event()

        def settle(db):
            sql.settle(sql.Tables(db, box.core.ways), [sql.Settlement(fence, [(claimed, Report(step=Deliver()))], 0.0)])
            begun.set()
            go.wait(50)

        settling = box.core.database.write(settle)
        await asyncio.to_thread(begun.wait, 50)
        taking = asyncio.create_task(asyncio.to_thread(heir.acquire))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
        async with asyncio.timeout(50):
            while not taking.done() and not place.server.execute(waiting, f"%{place.schema}%lease%")[0][0]:  # noqa: ASYNC110 - it comes from the server
                await asyncio.sleep(0.01)
        waited = not taking.done()
        go.set()
        await asyncio.wrap_future(settling)

        assert (waited, await taking) == (True, fence + 1)
        assert await box.counts() == Counts(delivered=1)
        await asyncio.to_thread(heir.release)
        await asyncio.to_thread(lease.release)


def test_the_clock_of_a_lease_is_the_servers(place):
    """Two hosts whose own clocks say different things agree on how old a beat is."""
    early, late = ManualClock(5.0), ManualClock(9e6)
    with SyncOutbox.open(place, clock=early) as box, SyncOutbox.open(place, clock=late) as other:
        holder = ProcessingLease(box.core.database, clock=early)
        holder.acquire()
        contender = ProcessingLease(other.core.database, clock=late)
        with pytest.raises(LeaseHeldError) as held:
            contender.acquire()
        holder.release()

    assert 0 < held.value.retry_after <= 120.0
