"""Both faces of the outbox on both stores: queueing, following, and what closing, forking and failing leave."""

from __future__ import annotations

import os
import threading
import time
import warnings

import pytest

from colours import one_colour
from delivering import SOON
from outlast.errors import ConfigError, ForkedError, ShuttingDownError
from outlast.events import OpEnqueued
from outlast.outbox import Applied, Counts, InDoubt, OpState, Rejected, Verb, Write
from outlast.sync_engine import CallableTransport, Runner


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        pytest.param("create", ({"a": 1},), id="create"),
        pytest.param("put", ({"a": 1},), id="put"),
        pytest.param("patch", ({"a": 1},), id="patch"),
        pytest.param("delete", (), id="delete"),
        pytest.param("post", ({"a": 1},), id="post"),
    ],
)
def test_each_verb_is_queued_and_delivered(face, box, verb, arguments):
    """A ticket follows the write from ready to delivered."""
    ticket = face.do(getattr(box, verb)("note", "n1", *arguments, target="x", if_match='"1"'))
    before = face.do(ticket.status())
    seen = []

    face.deliver(box, lambda op: (seen.append(op), Applied('"2"'))[1])

    after = face.do(ticket.settled(timeout=50))
    (op,) = seen
    assert (before.state, before.verb, before.attempts) == (OpState.READY, Verb(verb), 0)
    assert (after.state, after.etag, after.attempts, after.seq) == (OpState.DELIVERED, '"2"', 1, ticket.seq)
    assert (op.verb, op.target, op.if_match, op.key) == (Verb(verb), "x", '"1"', ticket.key)
    assert op.body == (b'{"a":1}' if arguments else None)


def test_many_writes_are_one_commit(face, box):
    """They are queued whole or not at all, in their order."""
    before = box.core.database.commits
    writes = [Write(verb=Verb.PUT, kind="note", entity=str(number), body=b"x") for number in range(50)]

    tickets = face.do(box.enqueue(*writes))

    assert [ticket.seq for ticket in tickets] == list(range(1, 51))
    assert box.core.database.commits == before + 1


def test_a_name_is_queued_once(face, box):
    """The second time the first ticket comes back, also when the write is delivered, and in the same call."""
    first = face.do(box.put("note", "n1", {"v": 1}, once="row-1"))
    again = face.do(box.put("note", "n1", {"v": 2}, once="row-1"))
    face.deliver(box, lambda op: Applied())
    late = face.do(box.put("note", "n1", {"v": 3}, once="row-1"))
    twins = face.do(box.enqueue(*[Write(verb=Verb.DELETE, kind="k", entity="e", once="x")] * 2))

    assert first.seq == again.seq == late.seq
    assert twins[0].seq == twins[1].seq
    assert face.do(box.counts()) == Counts(ready=1, delivered=1)


def test_a_write_that_cannot_be_encoded_leaves_nothing(face, box):
    """The mistake is the caller's and is told at once."""
    with pytest.raises(ConfigError, match="cannot be written as JSON"):
        face.do(box.put("note", "n1", object()))
    with pytest.raises(ConfigError, match="onse"):
        face.do(box.put("note", "n1", {}, onse="x"))

    assert face.do(box.counts()).total == 0


def test_waiting_for_a_write_ends_in_time(face, box):
    """A ticket that is not settled in time raises, and the write is still there."""
    ticket = face.do(box.put("note", "n1", {}))

    with pytest.raises(TimeoutError, match=r"write 1 is still ready after 0\.15 s; nothing is lost"):
        face.do(ticket.settled(timeout=0.15))

    assert face.do(box.ticket(ticket.seq).status()).state is OpState.READY


def test_a_write_is_looked_at_however_little_time_there_is(face, box):
    """With no time to wait a settled write is told all the same."""
    ticket = face.do(box.put("note", "n1", {}))
    face.deliver(box, lambda op: Applied())

    assert face.do(ticket.settled(timeout=0)).state is OpState.DELIVERED


def test_a_ticket_works_in_any_process_that_has_the_outbox_open(face, box, place):
    """What one handle delivers, another one sees; both share keys and places."""
    ticket = face.do(box.put("note", "n1", {}))
    other = face.open(place)

    face.deliver(other, lambda op: Applied())

    assert face.do(ticket.settled(timeout=50)).state is OpState.DELIVERED
    assert other.ticket(ticket.seq).key == ticket.key
    assert repr(ticket) == f"{type(ticket).__name__}(1, {box.core.name!r})"


def test_what_was_queued_outlives_its_process(face, place):
    """A closed and opened outbox holds the same writes under the same keys."""
    first = face.open(place)
    key = face.do(first.put("note", "n1", {"v": 1})).key
    face.close(first)
    seen = []

    second = face.open(place)
    face.deliver(second, lambda op: (seen.append((op.key, op.body)), Applied())[1])

    assert seen == [(key, b'{"v":1}')]


def test_a_closed_outbox_says_so(face, box):
    """Every call after the closing raises the same clear error; closing twice is fine."""
    ticket = face.do(box.put("note", "n1", {}))
    face.close(box)
    face.close(box)

    for call in (lambda: box.put("note", "n2", {}), box.counts, box.list, lambda: box.replay(1), ticket.status):
        with pytest.raises(ShuttingDownError, match="closed"):
            face.do(call())


def test_an_outbox_is_not_carried_across_a_fork(face, box):
    """The child gets a clear error instead of two processes writing through one connection."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of any fork with threads
        child = os.fork()
    if not child:  # pragma: no cover - another process
        code = 1
        try:
            face.do(box.put("note", "n1", {})) if face.kind.__name__ == "SyncOutbox" else box.core.store([])
        except ForkedError:
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert face.do(box.counts()).total == 0


@pytest.mark.parametrize("durability", ["power", "process"])
def test_durability_is_what_was_asked_for(face, place, durability):
    """Both kinds queue; an unknown one is refused by name."""
    box = face.open(place, durability=durability)

    face.do(box.put("note", "n1", {}))

    assert face.do(box.counts()).ready == 1
    with pytest.raises(ConfigError, match="'paper'"):
        face.open(place.another("b"), durability="paper")


def test_a_queued_write_is_told_before_its_ticket_is_given(face, box):
    """The event is there when the caller goes on."""
    face.do(box.put("note", "n1", {}))

    (event,) = face.seen.of(OpEnqueued)
    assert (event.seq, event.kind, event.entity, event.source) == (1, "note", "n1", box.core.name)


@one_colour
def test_a_body_that_the_transport_leaves_out_stays_left_out(face, box):
    """The second attempt sends what the first one sent: nothing, although the op has a body."""

    class Headless(CallableTransport):
        def seal(self, op):
            return super().seal(op)._replace(body=None)

        async def send(self, op, request):
            bodies.append(request.body)
            return Applied() if len(bodies) > 1 else InDoubt("cut")

    bodies = []
    face.do(box.put("note", "n1", {"v": 1}))

    async def run():
        async with Runner(box, Headless(None), policy=SOON) as runner:
            await runner.run_until_idle()

    face.runner.run(run())

    assert bodies == [None, None]


@one_colour
def test_threads_share_commits(face, box):
    """Those that wait at the same time are flushed together, and each gets its own places."""
    before = box.core.database.commits
    gate = threading.Barrier(16)
    seqs = []

    def produce(number):
        gate.wait(5)
        for n in range(20):
            write = Write(verb=Verb.PUT, kind="n", entity=f"{number}-{n}", body=b"x")
            seqs.append(box.core.store([write])[0].seq)

    # The disk is so fast here that the first job would be done before the second came.
    box.core.database.write(lambda db: time.sleep(0.05))
    threads = [threading.Thread(target=produce, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(seqs) == list(range(1, 321))
    assert box.core.database.commits - before < 320


@one_colour
def test_what_travelled_together_is_settled_together(face, box):
    """A batch takes a commit to be claimed and one to be settled, however many ops are in it."""
    face.do(box.enqueue(*[Write(verb=Verb.PUT, kind="n", entity=str(n), body=b"x") for n in range(60)]))
    commits = []

    async def batch(ops):
        commits.append(box.core.database.commits)
        return {op.seq: Rejected("400") if op.seq == 7 else Applied() for op in ops}

    async def run():
        async with Runner(box, CallableTransport(None, batch=batch), policy=SOON) as runner:
            await runner.run_until_idle()
            commits.append(box.core.database.commits)

    face.runner.run(run())

    assert (len(commits), commits[1] - commits[0]) == (2, 1)
    assert face.do(box.counts()) == Counts(delivered=59, dead=1)
