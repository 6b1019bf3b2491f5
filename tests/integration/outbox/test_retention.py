"""What is done is forgotten after a while, in small portions, and a ticket says so instead of guessing."""

from __future__ import annotations

import asyncio

import pytest

from colours import one_colour
from delivering import Server, deliver, opened, put, runner, until
from outlast.errors import ConfigError, ReceiptPrunedError, StorageBusyError
from outlast.outbox import (
    Applied,
    Coalescing,
    Counts,
    OpState,
    Pruned,
    Rejected,
    Retention,
)
from outlast.outbox import _queries as sql
from outlast.testing import ManualClock

DAY = 86_400.0


@pytest.fixture
def clock():
    """A wall clock that goes on by hand."""
    return ManualClock(wall=2e9)


@pytest.fixture
def box(face, place, clock):
    """Open an outbox of the present colour on the present store."""
    return face.open(place, clock=clock, durability="process", coalescing=Coalescing(["fold"]))


def delivered(place, clock, server=None, **options):
    """Deliver what waits, from another handle, and forget nothing."""

    async def run():
        async with opened(place, clock=clock) as box:
            await deliver(box, server or Server(), retention=None, **options)

    asyncio.run(run())


def insert(box, statement, rows):
    """Put rows into a table, all in one commit."""
    text = box.core.database.dialect.text(statement)
    box.core.database.write(lambda db: [db.execute(text, row) for row in rows]).result(30)


RECEIPT = (
    "INSERT INTO $receipt (seq, generation, attempts, kind, entity, done, outcome) VALUES (?, 0, 0, 'note', 'e', ?, ?)"
)
SHADOW = "INSERT INTO $shadow (kind, entity, etag, seq, known, body) VALUES ('note', ?, '\"1\"', 1, ?, ?)"


def places(place, table):
    """Return the places in a table."""
    return [row[0] for row in place.execute(f"SELECT seq FROM ${table} ORDER BY seq")]


def test_old_receipts_go(face, box, place, clock):
    """After 30 days they are forgotten; the counts know of them, and a ticket says what is known."""
    old = face.do(box.put("note", "a", {}))
    delivered(place, clock)
    clock.advance(20 * DAY)
    young = face.do(box.put("note", "a", {}))
    delivered(place, clock)
    clock.advance(10 * DAY + 1)

    assert face.do(box.prune()) == Pruned(receipts=1)
    assert face.do(box.prune()) == Pruned()

    assert face.do(box.counts()) == Counts(delivered=2)
    assert face.do(young.status()).state is OpState.DELIVERED
    with pytest.raises(ReceiptPrunedError, match="write 1 waits no longer, and its receipt is gone"):
        face.do(old.settled(timeout=50))
    with pytest.raises(LookupError, match="it was discarded"):
        face.do(box.ticket(9).status())
    assert face.do(box.put("note", "c", {}, after=old)).seq == 3


@one_colour
def test_too_many_receipts_go(face, box, place, clock):
    """The oldest ones go first, in several portions, but none within its first minute."""
    number = sql.PORTION + 20
    insert(box, RECEIPT, [(seq, clock.wall(), "delivered") for seq in range(1, number + 1)])

    clock.advance(59)
    assert face.do(box.prune(Retention(max_receipts=10))) == Pruned()
    clock.advance(2)
    before = box.core.database.commits
    assert face.do(box.prune(Retention(max_receipts=10))) == Pruned(receipts=number - 10)

    assert places(place, "receipt") == list(range(number - 9, number + 1))
    assert box.core.database.commits == before + 2
    assert face.do(box.counts()) == Counts(delivered=number)


@one_colour
def test_what_leads_to_a_write_that_waits_stays(face, box, place, clock):
    """The receipt of a folded write is kept until the one that took it up is done, however it leads there."""
    face.do(box.enqueue(put("dead"), put("done")))
    delivered(place, clock, Server(dead=[Rejected("400")]))
    face.do(box.put("note", "waits", {}))
    merged = ((101, 1), (102, 2), (103, 3), (104, 99), (105, 103))
    insert(box, RECEIPT, [(seq, clock.wall(), f"merged:{into}") for seq, into in merged])
    clock.advance(61)

    assert face.do(box.prune(Retention(max_receipts=0))).receipts == 3

    assert places(place, "receipt") == [101, 103, 105]
    assert face.do(box.ticket(101).status()).state is OpState.DEAD
    assert face.do(box.ticket(103).status()).state is OpState.READY
    assert face.do(box.ticket(105).status()).state is OpState.READY
    assert face.do(box.counts()) == Counts(ready=1, dead=1, delivered=1, folded=5)


@one_colour
def test_names_stay_unless_told_otherwise(face, box, place, clock):
    """A `once` name is remembered for ever by default; else until it is old and its write is done."""
    for entity in ("done", "dead", "waits"):
        face.do(box.put("note", entity, {}, once=entity))
    delivered(place, clock, Server(dead=[Rejected("400")]))
    face.do(box.put("note", "waits", {}, once="still"))
    clock.advance(100 * DAY)
    face.do(box.put("note", "young", {}, once="young"))

    assert face.do(box.prune()).names == 0
    assert face.do(box.prune(Retention(names_for=99 * DAY))).names == 2

    assert [name for (name,) in place.execute("SELECT name FROM $once ORDER BY name")] == ["dead", "still", "young"]
    assert face.do(box.put("note", "done", {}, once="done")).seq == 6


@one_colour
def test_shadows_go_when_nothing_needs_them(face, box, place, clock):
    """What an entity held is forgotten after 90 days, unless a write of it waits or lies in the dead letters."""
    versions = {name: [Applied('"1"')] for name in ("old", "waits", "dead")}
    face.do(box.enqueue(*[put(name) for name in versions]))
    delivered(place, clock, Server(**versions))
    face.do(box.put("note", "dead", {}))
    delivered(place, clock, Server(dead=[Rejected("400")]))
    clock.advance(80 * DAY)
    face.do(box.put("other", "young", {}))
    delivered(place, clock, Server(young=[Applied('"1"')]))
    face.do(box.put("note", "waits", {}))
    clock.advance(11 * DAY)

    assert face.do(box.prune()).shadows == 1

    assert sorted(row[0] for row in place.execute("SELECT entity FROM $shadow")) == ["dead", "waits", "young"]


@one_colour
def test_many_shadows_are_looked_at_in_portions(face, box, place, clock):
    """All old ones go, however many, and none while very much waits."""
    old, young = clock.wall() - 91 * DAY, clock.wall()
    insert(box, SHADOW, [(f"{number:03}", old if number % 2 else young, b"{}") for number in range(250)])
    face.do(box.enqueue(*[put(f"x{n}") for n in range(1001)]))

    assert face.do(box.prune()).shadows == 0
    place.execute("DELETE FROM $op")
    assert face.do(box.prune()).shadows == 125


@pytest.fixture
def eager(monkeypatch):
    """Let runners look at the clock all the time, for here it jumps."""
    monkeypatch.setattr("outlast.outbox._retention._LOOK_EVERY", 0.01)


@pytest.mark.usefixtures("eager")
async def test_whoever_delivers_prunes(place):
    """A runner forgets by itself, at its start and every now and then."""
    clock = ManualClock(wall=2e9)

    async def until_pruned():
        await until(lambda: not place.execute("SELECT 1 FROM $receipt"))

    async with opened(place, clock=clock) as box:
        await box.put("note", "a", {})
        await deliver(box, Server(), retention=None)
        clock.advance(61)
        async with runner(box, Server(), retention=Retention(max_receipts=0)) as run:
            await until_pruned()
            await box.put("note", "b", {})
            async with asyncio.timeout(50):
                await run.run_until_idle()
            clock.advance(61)
            await until_pruned()

        assert await box.counts() == Counts(delivered=2)


@pytest.mark.usefixtures("eager")
async def test_pruning_that_fails_is_tried_again(place, monkeypatch, caplog):
    """What goes wrong is logged, and neither stops the delivery nor the next attempt."""
    clock = ManualClock(wall=2e9)
    async with opened(place, clock=clock) as box:
        steps, real = [], box.core.step

        def step(job, *, write):
            steps.append(job)
            if len(steps) == 1:
                raise StorageBusyError("locked")
            return real(job, write=write)

        monkeypatch.setattr(box.core, "step", step)
        async with runner(box, Server()):
            await until(lambda: steps)
            clock.advance(61)
            await until(lambda: len(steps) > 1)

    assert "could not be pruned: locked" in caplog.text


@pytest.mark.parametrize(
    ("name", "value"),
    [("receipts_for", 59), ("max_receipts", -1), ("shadows_for", 0), ("names_for", "1"), ("every", 0.5)],
)
def test_a_retention_that_means_nothing_is_refused(name, value):
    """The error names the number."""
    with pytest.raises(ConfigError, match=f"retention.{name}"):
        Retention(**{name: value})
