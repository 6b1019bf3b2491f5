"""Whoever does not fit waits for room if that is wanted: in a row, for a time, and never inside a transaction."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing

import apsw
import psycopg
import pytest

from colours import one_colour
from delivering import opened, put, until
from limiting import delivered, limited
from outlast.errors import ConfigError, OutboxFullError
from outlast.events import EventBus
from outlast.outbox import Coalescing, Counts, Outbox, OutboxLimits, SyncOutbox, aenqueue_in, enqueue_in


def queue_behind(face, place, **limits):
    """Queue into a full outbox from a thread; return it and what comes of it."""
    box = limited(face, place, max_ops=2, when_full="wait", **limits)
    face.do(box.enqueue(put("a"), put("b")))
    outcome = []

    def run():
        try:
            outcome.append(face.do(box.put("note", "c", {})).seq)
        except OutboxFullError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def test_whoever_waits_gets_room(face, place):
    """A call that does not fit is made to wait, and queued once there is room."""
    thread, outcome = queue_behind(face, place)
    thread.join(0.05)
    assert (outcome, place.execute("SELECT count(*) FROM $op")[0][0]) == ([], 2)

    delivered(place)
    thread.join(60)

    # It may have been delivered as well by now.
    places = "SELECT seq FROM $op UNION ALL SELECT seq FROM $receipt"
    assert sorted(place.execute(places)) == [(1,), (2,), (outcome[0],)]


def test_waiting_ends_in_time(face, place):
    """After `wait_for` seconds the error is raised as it would be without waiting, and nothing was queued."""
    thread, outcome = queue_behind(face, place, wait_for=0.05)
    thread.join(60)

    assert [(type(error), error.what) for error in outcome] == [(OutboxFullError, "ops")]
    assert place.execute("SELECT count(*) FROM $op") == [(2,)]


@one_colour
def test_what_never_fits_does_not_wait(face, place):
    """A call that is too large for an empty outbox is refused at once."""
    box = limited(face, place, max_ops=2, when_full="wait")

    with pytest.raises(OutboxFullError, match="never fits"):
        face.do(box.enqueue(put("a"), put("b"), put("c")))


async def test_a_cancelled_wait_leaves_nothing(place):
    """Whoever gives up, first in the row or later, has queued nothing, and the next one gets the room."""
    limits = OutboxLimits(max_ops=1, when_full="wait")
    async with opened(place, limits=limits) as box:
        await box.put("note", "a", {})
        waiting = [asyncio.create_task(box.put("note", entity, {})) for entity in "bcde"]
        await until(lambda: len(box._turn._waiters or ()) == 3)
        for task in (waiting[0], waiting[2]):
            task.cancel()
        await asyncio.wait([waiting[0], waiting[2]])

        await asyncio.to_thread(place.execute, "DELETE FROM $op")
        async with asyncio.timeout(30):
            await waiting[1]
        assert [op.entity for op in await box.pending("note")] == ["c"]
        await asyncio.to_thread(place.execute, "DELETE FROM $op")
        async with asyncio.timeout(30):
            await waiting[3]
        assert [op.entity for op in await box.pending("note")] == ["e"]


def test_threads_wait_in_a_row(place):
    """One that cannot even look for room in time is refused like the one in front of it."""
    limits = OutboxLimits(max_ops=1, when_full="wait", wait_for=0.1)
    outcome = []
    with SyncOutbox.open(place, bus=EventBus(), durability="process", limits=limits) as box:
        box.put("note", "a", {})

        def run():
            try:
                box.put("note", "b", {})
            except OutboxFullError as error:
                outcome.append(error.what)

        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert outcome == ["ops"] * 3
        assert box.counts() == Counts(ready=1)


def connection_to(place):
    """Return a connection of a caller, in a transaction."""
    if place.kind == "postgres":
        return psycopg.connect(place.libpq)
    connection = apsw.Connection(str(place))
    connection.execute("BEGIN IMMEDIATE")
    return connection


def test_writes_in_a_callers_transaction_keep_to_the_bounds(face, place):
    """They are counted, judged in whole, and never wait for room."""
    inside = {"inside": True} if place.kind == "sqlite" else {}
    box = limited(face, place, max_ops=3, max_body=9, when_full="wait", options={**inside, "coalescing": Coalescing()})
    face.do(box.put("note", "a", {}, once="a"))

    with closing(connection_to(place)) as connection:
        face.do(box.enqueue_in(connection, put("a", once="a"), put("b"), put("c")))
        with pytest.raises(OutboxFullError, match="4 writes would wait"):
            face.do(box.enqueue_in(connection, put("d")))
        with pytest.raises(ConfigError, match="max_body is 9"):
            face.do(box.enqueue_in(connection, put("d", body=b"x" * 10)))
        connection.execute("COMMIT")
    with closing(connection_to(place)) as connection:
        with pytest.raises(OutboxFullError):
            enqueue_in(connection, put("d"), schema=place.schema, limits=OutboxLimits(max_ops=3))
        enqueue_in(connection, put("d"), schema=place.schema)
        connection.execute("COMMIT")

    assert [op.entity for op in face.do(box.pending("note"))] == ["a", "b", "c", "d"]


async def test_an_awaited_transaction_keeps_to_the_bounds(postgres_server):
    """The awaited function judges as the blocking one does."""
    address = postgres_server.fresh()
    async with await Outbox.open(address, bus=EventBus(), limits=OutboxLimits(max_ops=1)):
        schema = address.partition("schema=")[2]
        async with await psycopg.AsyncConnection.connect(address.partition("?")[0]) as connection:
            await aenqueue_in(connection, put("a"), schema=schema, limits=OutboxLimits(max_ops=1))
            with pytest.raises(OutboxFullError):
                await aenqueue_in(connection, put("b"), schema=schema, limits=OutboxLimits(max_ops=1))


def test_bounds_need_a_count(place):
    """In a transaction, where nothing can be set up, an outbox that does not count is refused by name."""
    options = {"inside": True} if place.kind == "sqlite" else {}
    SyncOutbox.open(place, bus=EventBus(), **options).close()

    with closing(connection_to(place)) as connection, pytest.raises(ConfigError, match="open it once with limits"):
        enqueue_in(connection, put("a"), schema=place.schema, limits=OutboxLimits(max_ops=1))
