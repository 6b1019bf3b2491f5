"""No more waits in an outbox than its bounds allow, whoever queues, and whatever becomes of what waits."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import closing

import apsw
import psycopg
import pytest

from delivering import Server, deliver, opened, put, until
from outlast.errors import ConfigError, OutboxFullError
from outlast.events import EventBus
from outlast.outbox import (
    Coalescing,
    Counts,
    InDoubt,
    Outbox,
    OutboxLimits,
    Rejected,
    Stale,
    SyncOutbox,
    aenqueue_in,
    enqueue_in,
)
from outlast.testing import ManualClock

one_colour = pytest.mark.parametrize("face", [SyncOutbox], ids=["sync"], indirect=True)
"""For what is decided below the faces, inside the commit."""


def limited(face, place, *, options=None, **limits):
    """Open an outbox with bounds."""
    return face.open(place, durability="process", limits=OutboxLimits(**limits), **(options or {}))


def delivered(place, server=None, **options):
    """Deliver what waits, from another handle."""

    async def run():
        async with opened(place) as box:
            await deliver(box, server or Server(), **options)

    asyncio.run(run())


def counted(place):
    """Return what the triggers have counted, and what there is."""
    size = "coalesce(length(body), 0) + coalesce(length(base), 0)"
    (found,) = place.execute("SELECT CAST(sum(ops) AS BIGINT), CAST(sum(bytes) AS BIGINT) FROM $backlog")
    (real,) = place.execute(f"SELECT count(*), CAST(coalesce(sum({size}), 0) AS BIGINT) FROM $op")
    return tuple(found), tuple(real)


def test_no_more_writes_wait_than_allowed(face, place):
    """One too many is refused with what is full and by how much, and fits once another one is delivered."""
    box = limited(face, place, max_ops=3)
    for entity in "abc":
        face.do(box.put("note", entity, {}))

    with pytest.raises(OutboxFullError, match="4 writes would wait, 1 above max_ops=3") as found:
        face.do(box.put("note", "d", {}))
    assert (found.value.what, found.value.limit, found.value.found, found.value.never) == ("ops", 3, 4, False)
    assert face.do(box.counts()) == Counts(ready=3)
    delivered(place)

    assert face.do(box.put("note", "d", {})).seq > 3
    assert face.do(box.counts()) == Counts(ready=1, delivered=3)


@one_colour
def test_no_more_bytes_wait_than_allowed(face, place):
    """Bodies and bases count together, and what takes none still fits."""
    box = limited(face, place, max_bytes=20)
    face.do(box.put("note", "a", b"12345678", base=b"12345678"))

    with pytest.raises(OutboxFullError, match="22 bytes would wait, 2 above max_bytes=20"):
        face.do(box.put("note", "b", b"123456"))
    face.do(box.put("note", "c", b"1234"))
    face.do(box.delete("note", "d"))

    assert counted(place) == ((3, 20), (3, 20))


def test_a_call_fits_in_whole_or_not_at_all(face, place):
    """Of several writes in one call or transaction none is queued when not all fit."""
    box = limited(face, place, max_ops=3)
    face.do(box.put("note", "a", {}))

    with pytest.raises(OutboxFullError):
        face.do(box.enqueue(put("b"), put("c"), put("d")))
    with pytest.raises(OutboxFullError, match="it never fits"):
        face.do(box.enqueue(*[put(str(number)) for number in range(9)]))
    face.do(box.enqueue(put("b"), put("c")))

    assert [op.entity for op in face.do(box.pending("note"))] == ["a", "b", "c"]


@one_colour
@pytest.mark.parametrize("coalescing", [None, Coalescing(["other"]), Coalescing()], ids=["plain", "others", "folding"])
def test_each_call_in_a_commit_is_judged_by_itself(face, place, coalescing):
    """Callers that share a commit get what fits in their order, and a large one in front of a small one fails alone."""
    box = limited(face, place, max_ops=5, options={"coalescing": coalescing})
    box.core.database.write(lambda db: time.sleep(0.05))
    before = box.core.database.commits
    calls = [2, 2, 2, 1, 1]

    futures = [box.core.enqueue([put(f"{number}-{one}") for one in range(size)]) for number, size in enumerate(calls)]

    outcomes = [type(future.exception(20)) for future in futures]
    none = type(None)
    assert outcomes == [none, none, OutboxFullError, none, OutboxFullError]
    assert [op.entity for op in box.core.pending("note").result(20)] == ["0-0", "0-1", "1-0", "1-1", "3-0"]
    assert box.core.database.commits <= before + 2


@one_colour
def test_what_lies_there_already_counts(face, place):
    """Bounds that come later count what was queued without any, and so do writes of others who have none."""
    plain = face.open(place)
    face.do(plain.enqueue(put("a"), put("b")))
    box = limited(face, place, max_ops=4)
    face.do(plain.enqueue(put("c"), put("d")))

    with pytest.raises(OutboxFullError, match="5 writes would wait"):
        face.do(box.put("note", "e", {}))
    face.do(plain.put("note", "e", {}))

    assert counted(place) == ((5, 10), (5, 10))


@one_colour
def test_lower_bounds_touch_nothing_that_waits(face, place):
    """What is above a bound already stays; only what is new is refused."""
    face.do(limited(face, place, max_ops=9).enqueue(*[put(str(number)) for number in range(6)]))
    box = limited(face, place, max_ops=2)

    with pytest.raises(OutboxFullError, match="7 writes would wait, 5 above max_ops=2"):
        face.do(box.put("note", "x", {}))
    delivered(place)

    face.do(box.enqueue(put("x"), put("y")))
    assert face.do(box.counts()).ready == 2


@one_colour
def test_a_known_name_takes_no_room(face, place):
    """A write that was queued before gives its old ticket back, also when nothing else would fit."""
    box = limited(face, place, max_ops=2)
    first = face.do(box.put("note", "a", {}, once="a"))

    again = face.do(box.enqueue(put("a", once="a"), put("b", once="b"), put("b", once="b")))

    assert [ticket.seq for ticket in again] == [first.seq, first.seq + 1, first.seq + 1]
    with pytest.raises(OutboxFullError):
        face.do(box.enqueue(put("a", once="a"), put("c", once="c")))
    assert face.do(box.put("note", "a", {}, once="a")).seq == first.seq


@one_colour
def test_what_is_folded_takes_no_room(face, place):
    """A full outbox takes edits of what waits, as long as the bytes fit, and what undoes something."""
    box = limited(face, place, max_ops=2, max_bytes=40, options={"coalescing": Coalescing()})
    face.do(box.create("note", "a", {"n": 1}))
    face.do(box.create("note", "b", {"n": 1}))

    face.do(box.patch("note", "a", {"n": 2}))
    with pytest.raises(OutboxFullError, match="max_bytes=40"):
        face.do(box.patch("note", "a", {"text": "x" * 40}))
    with pytest.raises(OutboxFullError, match="max_ops=2"):
        face.do(box.put("note", "c", {}))
    assert [op.body for op in face.do(box.pending("note"))] == [b'{"n":2}', b'{"n":1}']
    face.do(box.delete("note", "b"))
    face.do(box.put("note", "c", {}))

    assert counted(place) == ((2, 9), (2, 9))


@one_colour
def test_a_folded_body_keeps_to_the_bound_of_a_body(face, place):
    """What would become too large together is queued apart."""
    box = limited(face, place, max_body=20, options={"coalescing": Coalescing()})

    face.do(box.put("note", "a", {"n": 1}))
    face.do(box.patch("note", "a", {"m": 2}))
    face.do(box.patch("note", "a", {"text": "12345"}))

    assert [op.body for op in face.do(box.pending("note"))] == [b'{"n":1,"m":2}', b'{"text":"12345"}']


@one_colour
def test_too_old_a_write_lets_nothing_in(face, place):
    """When the oldest write waits for too long nothing new is taken until it is delivered."""
    clock = ManualClock()
    box = limited(face, place, max_age=60.0, options={"clock": clock})
    face.do(box.put("note", "a", {}))
    clock.advance(60.0)
    face.do(box.put("note", "b", {}))
    clock.advance(10.0)

    with pytest.raises(OutboxFullError, match="waits for 70 s, 10 s longer than max_age=60"):
        face.do(box.put("note", "c", {}))
    delivered(place)

    face.do(box.put("note", "c", {}))


def test_a_large_body_is_refused(face, place):
    """The caller is told where, how large, and what to do; a decision cannot bring one in either."""
    box = limited(face, place, max_body=5, when_full="wait")
    face.do(box.put("note", "a", b"12345"))
    delivered(place, Server(a=[Rejected("400")]))

    for name, options in (("body", {}), ("base", {"base": b"123456"})):
        with pytest.raises(ConfigError, match=rf"write\.{name}: has 6 bytes, and max_body is 5"):
            face.do(box.put("note", "b", b"123456" if name == "body" else b"1", **options))
    with pytest.raises(ConfigError, match="body: has 7 bytes"):
        face.do(box.replay(1, b"1234567"))

    assert face.do(box.counts()) == Counts(dead=1)


@one_colour
def test_the_count_follows_all_that_becomes_of_a_write(face, place):
    """Deliveries, dead letters, replays with another body, merges, folds and failed commits keep it exact."""
    box = limited(face, place, max_ops=99, options={"coalescing": Coalescing(["fold"])})
    for entity in ("a", "b", "c", "d"):
        face.do(box.put("note", entity, {"n": 1}, base={"n": 0}))
    face.do(box.create("fold", "x", {"n": 1}))
    face.do(box.patch("fold", "x", {"text": "longer"}))
    face.do(box.create("fold", "y", {"n": 1}))
    face.do(box.delete("fold", "y"))
    with pytest.raises(ConfigError, match="there is no write"):
        face.do(box.put("note", "e", {}, after=77))
    assert counted(place) == ((5, 4 * 14 + 23), (5, 4 * 14 + 23))

    delivered(place, Server(a=[Rejected("400")], b=[Rejected("400")], c=[InDoubt("cut")], d=[Stale("412")]))
    dead = [status.seq for status in face.do(box.list())][:2]
    face.do(box.replay(dead[0], {"text": "another one"}))
    face.do(box.discard(dead[1]))

    found, real = counted(place)
    assert found == real == (1, len(b'{"text":"another one"}') + 7)


def test_many_producers_never_go_beyond(place):
    """Threads with a handle each fill an outbox to its bound, exactly on SQLite and by one commit each at most else."""
    bound, producers = 60, 4
    barrier, refused = threading.Barrier(producers), []

    def produce(number):
        with SyncOutbox.open(place, bus=EventBus(), durability="process", limits=OutboxLimits(max_ops=bound)) as box:
            barrier.wait(30)
            for n in range(40):
                try:
                    box.put("note", f"{number}-{n}", {})
                except OutboxFullError as error:
                    refused.append(error)

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(producers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    found, real = counted(place)
    assert found == real
    assert bound <= real[0] <= bound + (0 if place.kind == "sqlite" else producers - 1)
    assert len(refused) == producers * 40 - real[0]


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


def test_postgres_adds_up_what_connections_have_counted(postgres_server):
    """Each opening with bounds makes one row of all that nobody is writing to."""
    address, limits = postgres_server.fresh(), OutboxLimits(max_ops=99)
    schema = address.partition("schema=")[2]
    for number in range(3):
        with SyncOutbox.open(address, bus=EventBus(), limits=limits) as box:
            box.put("note", str(number), {})
    rows = postgres_server.execute(f"SELECT shard, ops FROM {schema}.backlog ORDER BY shard")
    with psycopg.connect(address.partition("?")[0]) as busy:
        busy.execute(f"SELECT 1 FROM {schema}.backlog WHERE shard > 0 FOR UPDATE")
        SyncOutbox.open(address, bus=EventBus(), limits=limits).close()

    assert [ops for _, ops in rows] == [2, 1]
    assert postgres_server.execute(f"SELECT ops FROM {schema}.backlog ORDER BY shard") == [(2,), (1,)]
