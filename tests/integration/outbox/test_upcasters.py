"""Writes that an older version of the program has queued are delivered in the shape of today."""

import asyncio
import json

import pytest

from delivering import Server, deliver, opened, put, runner, until
from outlast.outbox import (
    Coalescing,
    Counts,
    Found,
    Missing,
    NotApplied,
    OpState,
    Rejected,
    Stale,
    SyncOutbox,
    Upcasters,
)
from outlast.sync_engine import CallableTransport

CUT = [NotApplied("cut")] * 100


@pytest.fixture
def upcasters():
    """Rename a member, from version 0 to 1."""
    found = Upcasters()
    found.register("note", 0)(lambda body, op: {"text": body["body"]})
    return found


async def send_once(box, server):
    """Let an op be on its way when the process ends."""
    async with runner(box, server) as run:
        running = asyncio.create_task(run.run_forever())
        await until(lambda: run.stats.postponed)
        running.cancel()


def bodies(server):
    """Return what the server got, by request."""
    return [json.loads(op.body) for op in server.seen]


async def test_what_waits_is_led_when_it_is_first_sent(place, upcasters):
    """The old program queues and dies, the new one delivers; what it queues itself is left as it is."""
    server = Server()
    async with opened(place) as old:
        await old.enqueue(put("a", b'{"body": "x"}'))
    async with opened(place, upcasters=upcasters) as box:
        await box.enqueue(put("b", b'{"text": "y"}', schema=1))
        assert [json.loads(op.body) for op in await box.pending("note")] == [{"text": "x"}, {"text": "y"}]
        await deliver(box, server)

        assert sorted(bodies(server), key=str) == [{"text": "x"}, {"text": "y"}]
        assert await box.counts() == Counts(delivered=2)


async def test_what_was_sent_before_goes_on_as_it_was_sent(place, upcasters):
    """Its bytes are known under its key; a refusal and a replay make another request of it, under another key."""
    before, after = Server(a=CUT), Server(a=[Rejected("400 no text")])
    async with opened(place) as old:
        ticket = (await old.enqueue(put("a", b'{"body": "x"}')))[0]
        await send_once(old, before)
    async with opened(place, upcasters=upcasters) as box:
        await deliver(box, after)
        assert (await box.ticket(ticket.seq).status()).state is OpState.DEAD
        await box.replay(ticket.seq)
        await deliver(box, after)

        assert bodies(after) == [{"body": "x"}, {"text": "x"}]
        assert after.seen[0].key != after.seen[1].key
        assert await box.counts() == Counts(delivered=1)


async def test_what_is_newer_than_the_program_is_parked(place, upcasters):
    """A downgrade guesses nothing: the newer program can replay it, or this one with a body that it understands."""
    server = Server()
    async with opened(place, upcasters=upcasters) as box:
        (ticket, other) = await box.enqueue(put("a", b'{"title": "x"}', schema=2), put("b", b'{"t": 1}', schema=2))
        await deliver(box, server)
        assert (await box.counts()).dead == 2
        assert (await ticket.status()).reason.startswith("schema: the write has version 2 of 'note'")
        await box.replay(ticket.seq, {"text": "x"}, schema=1)
        await deliver(box, server)
        assert bodies(server) == [{"text": "x"}]
    upcasters.register("note", 1)(lambda body, op: {"title": body["text"]})
    async with opened(place, upcasters=upcasters) as box:
        await box.replay(other.seq)
        await deliver(box, server)

        assert bodies(server)[1:] == [{"t": 1}]
        assert await box.counts() == Counts(delivered=2)


async def test_a_function_that_fails_costs_only_its_own_write(place, upcasters):
    """The write lies in the dead letters, as it was queued, with the reason."""
    server = Server()
    async with opened(place, upcasters=upcasters) as box:
        bad, _ = await box.enqueue(put("a", b'{"title": "x"}'), put("b", b'{"body": "y"}'))
        await deliver(box, server)
        status = await bad.status()

        assert (status.state, bodies(server)) == (OpState.DEAD, [{"text": "y"}])
        assert status.reason == "schema: version 0 of 'note' cannot be led to 1: KeyError: 'body'"
        assert place.execute("SELECT body, schema_v FROM $parked") == [(b'{"title": "x"}', 0)]


async def test_a_conflict_of_the_old_shape_is_not_merged(place, upcasters):
    """Ours would be compared with another shape; after a replay it is."""

    async def missing(op):
        return Missing()

    server = Server(a=[Stale("412")])
    async with opened(place) as old:
        (ticket,) = await old.enqueue(put("a", b'{"body": "x"}', if_match='"1"', base=b'{"body": "w"}'))
        await send_once(old, Server(a=CUT))
    async with opened(place, upcasters=upcasters) as box:
        await deliver(box, CallableTransport(server, read_back=missing))

        assert (await box.ticket(ticket.seq).status()).state is OpState.CONFLICT
        assert len(server.seen) == 1


async def test_a_conflict_of_the_old_shape_is_replayed_on_what_the_server_holds(place, upcasters):
    """That is of the new shape, through which no function leads; the decision was buried for it."""

    async def theirs(op):
        return Found(False, '"2"', b'{"text": "theirs"}')

    async with opened(place) as old:
        await old.enqueue(put("a", b'{"body": "x"}', if_match='"1"', base=b'{"body": "w"}'))
        await deliver(old, CallableTransport(Server(a=[Stale("412")]), read_back=theirs))
        await old.replay(1, if_match='"2"')
    server = Server()
    async with opened(place, upcasters=upcasters) as box:
        await deliver(box, server)

        assert (await box.counts(), bodies(server)) == (Counts(delivered=1), [{"text": "x"}])


async def test_versions_are_not_folded_into_each_other(place, upcasters):
    """A body of one shape is no patch of another."""
    server = Server()
    async with opened(place, upcasters=upcasters, coalescing=Coalescing()) as box:
        await box.enqueue(put("a", b'{"body": "x"}'))
        await box.enqueue(put("a", b'{"text": "y"}', schema=1))
        await deliver(box, server)

        assert bodies(server) == [{"text": "x"}, {"text": "y"}]


def test_the_sync_outbox_has_them_too(place, upcasters):
    """It shows what waits in the newest shape."""
    with SyncOutbox.open(place, durability="process", upcasters=upcasters) as box:
        box.put("note", "a", {"body": "x"})
        (ticket,) = box.enqueue(put("b", b'{"title": "x"}', schema=7))
        assert [json.loads(op.body) for op in box.pending("note")] == [{"text": "x"}, {"title": "x"}]
        assert ticket.status().state is OpState.READY
