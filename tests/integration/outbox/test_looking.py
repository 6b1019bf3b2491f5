"""Counts, lists, tickets and listeners of both faces tell what there is, of one moment and without reading all."""

from __future__ import annotations

import asyncio
import threading
import time
import types

import pytest

from colours import one_colour
from outlast.outbox import Applied, Counts, OpState, Outbox, Rejected, Stale, Verb, Write, _outbox
from outlast.outbox import _queries as sql


def states(face, box):
    """Return the place and state of each write."""
    return [(status.seq, status.state) for status in face.do(box.list())]


def test_writes_are_counted_and_listed_by_state(face, box):
    """Each state has its number and its list, oldest first, no longer than asked for."""
    for entity in ("ok", "conflict", "dead", "waits"):
        face.do(box.put("note", entity, {}))
    answers = {"ok": Applied(), "conflict": Stale("412"), "dead": Rejected("400 no"), "waits": Applied()}

    async def crash(op, step):
        if op.entity == "waits":
            raise RuntimeError("my own mistake")

    with pytest.raises(RuntimeError, match="my own mistake"):
        face.deliver(box, lambda op: answers[op.entity], concurrency=1, before_settle=crash)
    face.do(box.put("note", "new", {}))

    assert face.do(box.counts()) == Counts(ready=1, waiting=1, conflict=1, dead=1, delivered=1)
    assert states(face, box) == [
        (1, OpState.DELIVERED),
        (2, OpState.CONFLICT),
        (3, OpState.DEAD),
        (4, OpState.WAITING),
        (5, OpState.READY),
    ]
    assert [status.reason for status in face.do(box.list(OpState.DEAD))] == ["400 no"]
    assert [status.seq for status in face.do(box.list(limit=2))] == [1, 2]
    assert [op.entity for op in face.do(box.pending("note"))] == ["waits", "new"]
    assert face.do(box.pending("other")) == []


def test_listeners_hear_of_every_change(face, box):
    """Queueing, replaying and discarding are told; one that has stopped hears nothing, one that raises harms nobody."""
    heard = []
    stop_bad = box.on_change(lambda: 1 / 0)
    stop = box.on_change(lambda: heard.append(1))

    ticket = face.do(box.put("note", "n1", {}))
    until(lambda: len(heard) == 1)
    face.deliver(box, lambda op: Rejected("400"))
    face.do(box.replay(ticket.seq))
    until(lambda: len(heard) == 2)
    stop()
    stop()
    stop_bad()
    face.do(box.put("note", "n2", {}))

    assert len(heard) == 2


def until(condition, seconds=5.0):
    """Wait for what another thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


@one_colour
def test_counts_are_of_one_moment(face, box):
    """While writes move from table to table their sum never changes, and no number is ever negative."""
    face.do(box.enqueue(*[Write(verb=Verb.PUT, kind="n", entity=str(n), body=b"") for n in range(150)]))
    found = []

    def act(op):
        found.append(box.core.counts())
        return Applied()

    face.deliver(box, act, concurrency=16)

    counts = [future.result() for future in found]
    statements = []
    sql.counts(
        types.SimpleNamespace(
            execute=lambda text: statements.append(text) or types.SimpleNamespace(fetchone=lambda: [0] * 6)
        )
    )
    assert len(statements) == 1, "each statement reads the file at another moment"
    assert {count.total for count in counts} == {150}
    assert min(min(count.ready, count.waiting, count.delivered) for count in counts) >= 0


@one_colour
def test_looking_at_one_write_does_not_read_all(face, box, place):
    """A ticket finds its row by its place, however many receipts there are."""
    face.do(box.put("note", "n1", {}))

    wanted = []

    class Spy:
        def execute(self, statement, bindings=()):
            wanted.append((statement, bindings))
            return iter(())

    sql.statuses(Spy(), None, 1, 1)

    assert place.plan(*wanted[0]) == []


def test_who_knows_what_waits_is_told_what_is_otherwise(face, box):
    """New ops and those that do something else are shown, known ones are not, and what is gone is named."""
    for entity in ("merged", "sent"):
        face.do(box.put("note", entity, {"n": 1}))
    face.do(box.enqueue(Write(verb=Verb.PUT, kind="note", entity="kept", body=b"{}", after=1)))
    face.do(box.put("other", "o1", {}))
    first = box.core.diff_pending("note", {}, []).result(30)
    assert [op.entity for op in first.changed] == ["merged", "sent", "kept"]
    assert first.contents == {op.seq: (op.verb.value, op.body) for op in first.changed}

    face.deliver(box, lambda op: Stale("412") if op.entity == "merged" else Applied())
    face.do(box.replay(1, body={"n": 2}))
    face.do(box.put("note", "new", {}))
    second = box.core.diff_pending("note", first.contents, [2, 1, 99]).result(30)

    assert [(op.seq, op.body) for op in second.changed] == [(1, b'{"n":2}'), (5, b"{}")]
    assert second.absent == [2, 99]
    known = first.contents | second.contents
    assert box.core.diff_pending("note", known, [1, 3, 5]).result(30) == ([], {}, [])


async def test_a_look_that_never_ends_does_not_outlast_the_patience(place, monkeypatch):
    """A database that does not answer is given up on, and nothing is lost."""
    monkeypatch.setattr(_outbox, "_ONE_LOOK", 0.05)
    async with await Outbox.open(place) as box:
        ticket, answers = await box.put("note", "n1", {}), threading.Event()
        busy = [box.core.database.read(lambda _: answers.wait(60)) for _ in range(8)]
        with pytest.raises(TimeoutError):
            await ticket.settled(timeout=0.01)
        answers.set()
        await asyncio.gather(*map(asyncio.wrap_future, busy))
        assert (await ticket.status()).state is OpState.READY
