from __future__ import annotations

import os
import threading
import time
import types
import warnings

import pytest

from outlast.engines.backoff import Backoff
from outlast.errors import ConfigError, ForkedError, ShuttingDownError
from outlast.events import OpEnqueued
from outlast.outbox import Applied, Counts, DeliveryPolicy, InDoubt, OpState, Rejected, Stale, Verb, Write
from outlast.outbox import _queries as sql
from outlast.sync_engine import CallableTransport, Runner

SOON = DeliveryPolicy(backoff=Backoff.fixed(0.01))


def deliver(face, box, act, **options):
    """Deliver everything by a function that is told the op and returns the answer."""

    async def function(op):
        return act(op)

    async def run():
        async with Runner(box, CallableTransport(function), policy=SOON, **options) as runner:
            await runner.run_until_idle()
        return runner.stats

    return face.runner.run(run())


def states(face, box):
    """Return the place and state of each write."""
    return [(status.seq, status.state) for status in face.do(box.list())]


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

    deliver(face, box, lambda op: (seen.append(op), Applied('"2"'))[1])

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
    deliver(face, box, lambda op: Applied())
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


def test_writes_are_counted_and_listed_by_state(face, box):
    """Each state has its number and its list, oldest first, no longer than asked for."""
    for entity in ("ok", "conflict", "dead", "waits"):
        face.do(box.put("note", entity, {}))
    answers = {"ok": Applied(), "conflict": Stale("412"), "dead": Rejected("400 no"), "waits": Applied()}

    async def crash(op, step):
        if op.entity == "waits":
            raise RuntimeError("my own mistake")

    with pytest.raises(RuntimeError, match="my own mistake"):
        deliver(face, box, lambda op: answers[op.entity], concurrency=1, before_settle=crash)
    face.do(box.put("note", "new", {}))

    assert face.do(box.counts()) == Counts(ready=1, waiting=1, conflict=1, dead=1, delivered=1)
    assert states(face, box) == [
        (1, OpState.DELIVERED),
        (2, OpState.CONFLICT),
        (3, OpState.DEAD),
        (4, OpState.SENT),
        (5, OpState.READY),
    ]
    assert [status.reason for status in face.do(box.list(OpState.DEAD))] == ["400 no"]
    assert [status.seq for status in face.do(box.list(limit=2))] == [1, 2]
    assert [op.entity for op in face.do(box.pending("note"))] == ["waits", "new"]
    assert face.do(box.pending("other")) == []


def test_a_dead_write_is_replayed_under_a_new_key(face, box):
    """It keeps its place, gets a new generation, and may get another body."""
    ticket = face.do(box.put("note", "n1", {"v": 1}))
    later = face.do(box.put("note", "n1", {"v": 2}))
    deliver(face, box, lambda op: Rejected("400"))
    seen = []

    again = face.do(box.replay(ticket.seq, {"v": 9}))
    deliver(face, box, lambda op: (seen.append((op.seq, op.generation, op.key, op.body)), Applied())[1])

    store = box.core.store_id
    assert again.seq == ticket.seq
    assert seen == [(1, 1, f"{store}:1:1", b'{"v":9}'), (2, 0, f"{store}:2:0", b'{"v":2}')]
    assert face.do(later.settled(timeout=50)).state is OpState.DELIVERED


@pytest.mark.parametrize(
    ("options", "if_match"),
    [
        pytest.param({}, '"1"', id="as-it-was"),
        pytest.param({"if_match": '"7"'}, '"7"', id="a-newer-version"),
        pytest.param({"if_match": None}, None, id="whatever-is-there"),
    ],
)
def test_a_conflict_is_replayed_on_another_version(face, box, options, if_match):
    """Whoever resolves a conflict says which version the write is based on now."""
    ticket = face.do(box.put("note", "n1", {"v": 1}, if_match='"1"'))
    deliver(face, box, lambda op: Rejected("409"))
    seen = []

    face.do(box.replay(ticket.seq, **options))
    deliver(face, box, lambda op: (seen.append((op.if_match, op.body)), Applied())[1])

    assert seen == [(if_match, b'{"v":1}')]


def test_a_write_is_discarded(face, box):
    """It is forgotten, what it held back goes on, and its ticket says so."""
    ticket = face.do(box.put("note", "n1", {}))
    face.do(box.put("note", "n1", {"v": 2}))
    deliver(face, box, lambda op: Rejected("400"))

    face.do(box.discard(ticket.seq))
    deliver(face, box, lambda op: Applied())

    assert face.do(box.counts()) == Counts(delivered=1)
    with pytest.raises(LookupError, match="discarded"):
        face.do(ticket.settled(timeout=50))


@pytest.mark.parametrize("order", ["replay", "discard"])
def test_only_what_waits_for_a_decision_can_be_decided(face, box, order):
    """A write that is on its way, delivered or unknown is left alone."""
    ticket = face.do(box.put("note", "n1", {}))

    for seq in (ticket.seq, 99):
        with pytest.raises(ConfigError, match=f"no write {seq} lies in the conflicts or dead letters"):
            face.do(getattr(box, order)(seq))

    assert face.do(ticket.status()).state is OpState.READY


def test_waiting_for_a_write_ends_in_time(face, box):
    """A ticket that is not settled in time raises, and the write is still there."""
    ticket = face.do(box.put("note", "n1", {}))

    with pytest.raises(TimeoutError):
        face.do(ticket.settled(timeout=0.15))

    assert face.do(box.ticket(ticket.seq).status()).state is OpState.READY


def test_a_ticket_works_in_any_process_that_has_the_outbox_open(face, box, place):
    """What one handle delivers, another one sees; both share keys and places."""
    ticket = face.do(box.put("note", "n1", {}))
    other = face.open(place)

    deliver(face, other, lambda op: Applied())

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
    deliver(face, second, lambda op: (seen.append((op.key, op.body)), Applied())[1])

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
            face.do(box.put("note", "n1", {})) if face.kind.__name__ == "SyncOutbox" else box.core.enqueue([])
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


def test_listeners_hear_of_every_change(face, box):
    """Queueing, replaying and discarding are told; one that has stopped hears nothing, one that raises harms nobody."""
    heard = []
    stop_bad = box.on_change(lambda: 1 / 0)
    stop = box.on_change(lambda: heard.append(1))

    ticket = face.do(box.put("note", "n1", {}))
    until(lambda: len(heard) == 1)
    deliver(face, box, lambda op: Rejected("400"))
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


def test_a_queued_write_is_told_before_its_ticket_is_given(face, box):
    """The event is there when the caller goes on."""
    face.do(box.put("note", "n1", {}))

    (event,) = face.seen.of(OpEnqueued)
    assert (event.seq, event.kind, event.entity, event.source) == (1, "note", "n1", box.core.name)


def test_counts_are_of_one_moment(face, box):
    """While writes move from table to table their sum never changes, and no number is ever negative."""
    face.do(box.enqueue(*[Write(verb=Verb.PUT, kind="n", entity=str(n), body=b"") for n in range(400)]))
    found = []

    def act(op):
        found.append(box.core.counts())
        return Applied()

    deliver(face, box, act, concurrency=16)

    counts = [future.result() for future in found]
    statements = []
    sql.counts(
        types.SimpleNamespace(
            execute=lambda text: statements.append(text) or types.SimpleNamespace(fetchone=lambda: [0] * 6)
        )
    )
    assert len(statements) == 1, "each statement reads the file at another moment"
    assert {count.total for count in counts} == {400}
    assert min(min(count.ready, count.waiting, count.delivered) for count in counts) >= 0


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


def test_threads_share_commits(face, box):
    """Those that wait at the same time are flushed together, and each gets its own places."""
    before = box.core.database.commits
    gate = threading.Barrier(16)
    seqs = []

    def produce(number):
        gate.wait(5)
        for n in range(20):
            write = Write(verb=Verb.PUT, kind="n", entity=f"{number}-{n}", body=b"x")
            seqs.append(box.core.enqueue([write]).result(10)[0].seq)

    # The disk is so fast here that the first job would be done before the second came.
    box.core.database.write(lambda db: time.sleep(0.05))
    threads = [threading.Thread(target=produce, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(seqs) == list(range(1, 321))
    assert box.core.database.commits - before < 320


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
