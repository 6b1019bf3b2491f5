"""No more waits in an outbox than its bounds allow, whoever queues, and whatever becomes of what waits."""

from __future__ import annotations

import asyncio
import threading

import psycopg
import pytest

from colours import one_colour
from delivering import Server, put
from limiting import counted, delivered, limited
from outlast.errors import ConfigError, OutboxFullError
from outlast.events import EventBus
from outlast.outbox import Coalescing, Counts, InDoubt, OutboxLimits, Rejected, Stale, SyncOutbox
from outlast.testing import ManualClock


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
    before = box.core.database.commits
    calls = [2, 2, 2, 1, 1]

    async def ask():
        asked = (
            box.core.aenqueue([put(f"{number}-{one}") for one in range(size)]) for number, size in enumerate(calls)
        )
        return await asyncio.gather(*asked, return_exceptions=True)

    assert list(map(type, asyncio.run(ask()))) == [list, list, OutboxFullError, list, OutboxFullError]
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


def test_postgres_adds_up_while_it_is_delivered_from(postgres_server):
    """Connections that come and go do not make each write slower: pruning leaves one row of what many have counted."""
    address = postgres_server.fresh()
    schema = address.partition("schema=")[2]
    with SyncOutbox.open(address, bus=EventBus(), limits=OutboxLimits(max_ops=203)) as box:
        box.put("note", "a", {})
        postgres_server.execute(f"INSERT INTO {schema}.backlog SELECT -n, 2, 0 FROM generate_series(1, 101) AS n")
        box.prune()
        with pytest.raises(OutboxFullError, match="203"):
            box.put("note", "b", {})

    assert postgres_server.execute(f"SELECT shard, ops FROM {schema}.backlog") == [(0, 203)]
