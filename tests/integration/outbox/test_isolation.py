"""A caller's transaction on PostgreSQL that sees what was there when it began changes nothing that it cannot see."""

import asyncio
from contextlib import closing

import psycopg
import pytest

from delivering import put
from outlast.events import EventBus
from outlast.outbox import Applied, Coalescing, Counts, Outbox
from outlast.sync_engine import CallableTransport, Runner
from stores import PostgresPlace


@pytest.fixture
def place(postgres_server):
    """A schema that does not exist yet."""
    return PostgresPlace(postgres_server)


@pytest.fixture(params=[psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE])
def connection(request, place):
    """A connection of the caller's that sees no commits since it began."""
    with closing(psycopg.connect(place.libpq)) as connection:
        connection.isolation_level = request.param
        yield connection


async def test_what_was_sent_since_the_snapshot_is_not_folded_into(place, connection):
    """A write is not lost with the one before it that seems to wait, but is on its way."""
    seen, sent, go = [], asyncio.Event(), asyncio.Event()

    async def act(op):
        seen.append(op.body)
        sent.set()
        await go.wait()
        return Applied()

    async with await Outbox.open(place, bus=EventBus(), coalescing=Coalescing()) as box:
        await box.put("note", "a", b'{"v":1}')
        connection.execute("SELECT 1")
        async with Runner(box, CallableTransport(act)) as runner:
            running = asyncio.create_task(runner.run_until_idle())
            await sent.wait()
            await box.enqueue_in(connection, put("a", body=b'{"v":2}'))
            connection.commit()
            go.set()
            await running
            await runner.run_until_idle()

        assert await box.counts() == Counts(delivered=2)
    assert seen == [b'{"v":1}', b'{"v":2}']


async def test_what_was_folded_away_since_the_snapshot_is_not_come_after(place, connection):
    """The server refuses it, and the next try comes after the write that has taken it up."""
    async with await Outbox.open(place, bus=EventBus(), coalescing=Coalescing()) as box:
        await box.patch("note", "a", {"tags": 5})
        second = await box.patch("note", "a", {"tags": {"z": 1}})
        connection.execute("SELECT 1")
        await box.put("note", "a", {})
        with pytest.raises(psycopg.errors.SerializationFailure):
            await box.enqueue_in(connection, put("b", after=second.seq))
        connection.rollback()
        await box.enqueue_in(connection, put("b", after=second.seq))
        connection.commit()

        waiting = await box.core.result(box.core.pending("note"))
    assert [(op.entity, op.after) for op in waiting] == [("a", None), ("b", 1)]


async def test_what_an_open_transaction_comes_after_can_be_delivered(place, connection):
    """Its delivery is recorded while that transaction is still open."""
    seen = []

    async def act(op):
        seen.append(op.entity)
        return Applied()

    async with await Outbox.open(place, bus=EventBus()) as box:
        first = await box.put("note", "a", {})
        async with Runner(box, CallableTransport(act)) as runner:
            await box.enqueue_in(connection, put("b", after=first.seq))
            await runner.run_until_idle()
            during = list(seen)
            connection.commit()
            await runner.run_until_idle()
    assert (during, seen) == (["a"], ["a", "b"])
