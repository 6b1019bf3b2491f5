"""What waits for a person, in both colours and on both stores."""

import pytest

from outlast.engines.backoff import Backoff
from outlast.outbox import Applied, DeliveryPolicy, Found, OpState, Rejected, Stale
from outlast.sync_engine import CallableTransport, ConflictPolicy, Runner

SOON = DeliveryPolicy(backoff=Backoff.fixed(0.01))


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
