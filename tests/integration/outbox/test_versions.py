"""The version that a write makes goes to the one behind it, and a refused version is looked into."""

from __future__ import annotations

import asyncio

import pytest

from delivering import LATE, Server, opened, put, runner, until
from outlast.outbox import Applied, Found, InDoubt, Missing, OpState, Rejected, Stale, Verb, Write
from outlast.sync_engine import CallableTransport


async def test_the_version_of_an_ack_goes_to_the_follower(place):
    """The next write of the entity is based on what this one made, and only that one."""
    seen = []

    async def act(op):
        seen.append((op.seq, op.if_match))
        return Applied(f'"{op.seq}"')

    async with opened(place) as box:
        await box.enqueue(put("a", if_match='"0"'), put("a", if_match='"0"'), put("a"), put("b", if_match='"0"'))
        async with runner(box, act, concurrency=1) as run:
            await run.run_until_idle()

    assert sorted(seen) == [(1, '"0"'), (2, '"1"'), (3, '"2"'), (4, '"0"')]


@pytest.mark.parametrize(
    ("second", "etag", "expected"),
    [
        pytest.param(Write(verb=Verb.PUT, kind="list", entity="a", body=b"", lane="x"), '"1"', None, id="another-kind"),
        pytest.param(put("b", lane="x"), '"1"', None, id="another-entity"),
        pytest.param(Write(verb=Verb.CREATE, kind="note", entity="a", body=b"", lane="x"), '"1"', None, id="a-create"),
        pytest.param(put("a", lane="x"), 'W/"1"', None, id="a-weak-version"),
        pytest.param(put("a", lane="x"), None, None, id="no-version"),
        pytest.param(put("a", lane="x"), '"1"', '"1"', id="its-own"),
    ],
)
async def test_only_a_true_follower_gets_the_version(place, second, etag, expected):
    """A version of something else, or one that If-Match never accepts, would make a conflict of it."""
    seen = []

    async def act(op):
        seen.append(op.if_match)
        return Applied(etag)

    async with opened(place) as box:
        await box.enqueue(put("a", lane="x"), second)
        async with runner(box, act) as run:
            await run.run_until_idle()

    assert seen == [None, expected]


async def test_a_follower_that_came_late_gets_the_version_too(place):
    """One that was queued while its predecessor flew, and that the loop has not seen yet, is found by the commit."""
    seen = []

    async def act(op):
        seen.append((op.seq, op.if_match))
        return Applied('"new"')

    async with opened(place) as box:
        await box.enqueue(put("a", if_match='"old"'))

        async def queue_another(op, step):
            if op.seq == 1:
                box.core.store([put("b"), put("a", if_match='"old"')])

        async with runner(box, act, before_settle=queue_another) as run:
            await run.run_until_idle()

    assert sorted(seen) == [(1, '"old"'), (2, None), (3, '"new"')]


@pytest.mark.parametrize(
    ("found", "state", "reason"),
    [
        pytest.param(Found(True, '"7"'), OpState.DELIVERED, "", id="our-own"),
        pytest.param(Found(False), OpState.CONFLICT, "412; the server holds other content", id="somebody-elses"),
        pytest.param(Missing(), OpState.CONFLICT, "412; the entity is gone on the server", id="gone"),
    ],
)
async def test_a_refused_precondition_is_settled_by_reading_back(place, found, state, reason):
    """Equal is delivered, different is a conflict, and neither is sent again."""
    server = Server(a=[Stale("412")])

    async def read_back(op):
        return found

    async with opened(place) as box:
        (ticket,) = await box.enqueue(put("a"))
        async with runner(box, CallableTransport(server, read_back=read_back)) as run:
            await run.run_until_idle()
        status = await ticket.status()

    assert (status.state, status.reason, len(server.seen)) == (state, reason, 1)


async def test_the_version_passes_writes_of_other_entities_in_a_lane(place):
    """It is for the next write of the entity, whatever lies between the two."""
    seen = []

    async def act(op):
        seen.append((op.entity, op.if_match))
        if op.seq == 1:
            box.core.store([put("a", if_match='"0"', lane="x")])
        return Applied(f'"{op.seq}"')

    async with opened(place) as box:
        await box.enqueue(put("a", if_match='"0"', lane="x"), put("b", lane="x"))
        async with runner(box, act) as run:
            await run.run_until_idle()
        first = seen.copy()
        await box.enqueue(put("c", if_match='"0"', lane="x"), put("b", lane="x"), put("c", if_match='"0"', lane="x"))
        async with runner(box, act) as run:
            await run.run_until_idle()

    assert first == [("a", '"0"'), ("b", None), ("a", '"1"')]
    assert seen[3:] == [("c", '"0"'), ("b", None), ("c", '"4"')]


async def test_a_version_never_reaches_a_write_that_was_sent(place):
    """One that passed the write in front of it is based on what it was sent with, which its key stands for."""
    server = Server(a=[Rejected("422"), InDoubt("cut"), Applied('"1"')])
    async with opened(place) as box:
        first, _ = await box.enqueue(put("a"), put("a"))
        async with runner(box, server, park_lanes=False, policy=LATE) as run:
            running = asyncio.create_task(run.run_forever())
            await until(lambda: len(server.seen) == 2)
            await box.replay(first.seq)
            await first.settled(timeout=60)
            running.cancel()
        (second,) = await box.pending("note")

    assert [op.seq for op in server.seen] == [1, 2, 1]
    assert (second.seq, second.if_match) == (2, None)
