"""What waits for a person, and what becomes of it, in both colours and on both stores."""

import pytest

from delivering import SOON
from outlast.errors import ConfigError
from outlast.outbox import Applied, Counts, Found, OpState, Rejected, Stale
from outlast.sync_engine import CallableTransport, ConflictPolicy, Runner


def deliver(face, box, answers):
    """Deliver to a server that gives each entity its answer, and holds `{"n": 3}`, version 9, of all of them."""

    async def send(op):
        return answers[op.entity]

    async def read_back(op):
        return Found(equal=False, etag='"9"', body=b'{"n":3}')

    async def run():
        transport = CallableTransport(send, read_back=read_back)
        async with Runner(box, transport, policy=SOON, conflicts={"note": ConflictPolicy()}) as runner:
            await runner.run_until_idle()

    face.runner.run(run())


def test_the_inbox_shows_both_sides(face, box):
    """A conflict comes with base, ours, theirs and the report; a dead letter with its reason; each by its place."""
    face.do(box.put("note", "a", {"n": 2}, if_match='"1"', base={"n": 1}))
    face.do(box.put("note", "b", {"n": 2}))
    face.do(box.put("note", "c", {"n": 2}))
    deliver(face, box, {"a": Stale("412"), "b": Rejected("422 no"), "c": Applied()})

    (conflict,) = face.do(box.conflicts())
    (dead,) = face.do(box.dead())

    assert (conflict.seq, conflict.state, conflict.attempts) == (1, OpState.CONFLICT, 1)
    assert (conflict.base, conflict.ours, conflict.theirs) == (b'{"n":1}', b'{"n":2}', b'{"n":3}')
    assert (conflict.found, conflict.etag) == (True, '"9"')
    assert [field["source"] for field in conflict.report["fields"]] == ["open"]
    assert (dead.seq, dead.reason, dead.theirs, dead.report) == (2, "422 no", None, None)
    assert [face.do(box.conflict(seq)) for seq in (1, 2)] == [conflict, dead]
    assert face.do(box.dead(limit=0)) == []


def test_what_waits_for_nobody_is_not_in_the_inbox(face, box):
    """A write that is on its way, or that nobody knows, is asked for in vain and by name."""
    face.do(box.put("note", "a", {"n": 2}))

    for seq in (1, 99):
        with pytest.raises(LookupError, match=f"no write {seq} lies in the conflicts"):
            face.do(box.conflict(seq))


def test_a_dead_write_is_replayed_under_a_new_key(face, box):
    """It keeps its place, gets a new generation, and may get another body."""
    ticket = face.do(box.put("note", "n1", {"v": 1}))
    later = face.do(box.put("note", "n1", {"v": 2}))
    face.deliver(box, lambda op: Rejected("400"))
    seen = []

    again = face.do(box.replay(ticket.seq, {"v": 9}))
    face.deliver(box, lambda op: (seen.append((op.seq, op.generation, op.key, op.body)), Applied())[1])

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
    face.deliver(box, lambda op: Rejected("409"))
    seen = []

    face.do(box.replay(ticket.seq, **options))
    face.deliver(box, lambda op: (seen.append((op.if_match, op.body)), Applied())[1])

    assert seen == [(if_match, b'{"v":1}')]


def test_a_write_is_discarded(face, box):
    """It is forgotten, what it held back goes on, and its ticket says so."""
    ticket = face.do(box.put("note", "n1", {}))
    face.do(box.put("note", "n1", {"v": 2}))
    face.deliver(box, lambda op: Rejected("400"))

    face.do(box.discard(ticket.seq))
    face.deliver(box, lambda op: Applied())

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
