"""What transports and callbacks of the user do wrong harms one write at most, and never silently."""

from __future__ import annotations

import asyncio

import pytest

from delivering import Server, carry, deliver, opened, put, runner
from outlast.errors import ConfigError, OutlastError
from outlast.events import OpEvent
from outlast.outbox import Applied, Busy, Counts, Found, OpState, Rejected, SealedRequest, Stale
from outlast.sync_engine import CallableTransport
from outlast.testing import Recorder


@pytest.mark.parametrize("broken", ["send", "read_back", "garbage", "cancelled", "nothing-read"])
async def test_a_transport_that_breaks_its_promise_is_in_doubt(place, broken):
    """What it raises, or returns instead of an answer, ends neither the loop nor the op; it is tried again."""
    turns = []

    class Breaking(CallableTransport):
        async def send(self, op, request):
            turns.append(1)
            if len(turns) > 1:
                return Applied()
            if broken == "send":
                raise RuntimeError("bug")
            if broken == "cancelled":
                raise asyncio.CancelledError  # of something of its own that it waited for
            return None if broken == "garbage" else Stale("412")

        async def read_back(self, op, request):
            if broken == "nothing-read":
                return
            raise RuntimeError("bug")

    async with opened(place) as box:
        (ticket,) = await box.enqueue(put("a"))
        with Recorder(box.core.bus, OpEvent) as seen:
            async with runner(box, Breaking(None)) as run:
                async with asyncio.timeout(50):
                    await run.run_until_idle()

        assert (await ticket.status()).state is OpState.DELIVERED
        assert len(turns) == 2
        assert next(event.reason for event in seen.events if event.event_type == "OpPostponed")


@pytest.mark.parametrize("error", [ConfigError("no address for it"), KeyError("kind")], ids=["config", "bug"])
async def test_an_op_that_cannot_be_sealed_dies_alone(place, error):
    """The others of its group go out, and its own lane waits for a decision."""

    class Picky(CallableTransport):
        refuses = True

        def seal(self, op):
            if op.seq == 2 and self.refuses:
                raise error
            return super().seal(op)

    server = Server()
    picky = Picky(server)
    async with opened(place) as box:
        await box.enqueue(put("a"), put("bad"), put("bad"), put("b"))
        async with runner(box, picky) as run:
            await run.run_until_idle()
            (dead,) = await box.list(OpState.DEAD)
            parked = await box.counts()
            picky.refuses = False
            await box.replay(dead.seq)
            await run.run_until_idle()

        assert parked == Counts(ready=1, dead=1, delivered=2)
        assert (dead.entity, dead.attempts) == ("bad", 0)
        assert str(error) in dead.reason
        assert server.entities == ["a", "b", "bad", "bad"]
        assert await box.counts() == Counts(delivered=4)


async def test_the_callback_is_told_before_the_commit(place):
    """When it raises, nothing is recorded and the same runner can go on; the write is sent again under its key."""
    states, keys = [], []

    async def act(op):
        keys.append(op.key)
        return Applied()

    async with opened(place) as box:
        (ticket,) = await box.enqueue(put("a"))

        async def note(op, step):
            states.append((await ticket.status()).state)
            if len(states) == 1:
                raise RuntimeError("not yet")

        async with runner(box, act, before_settle=note) as run:
            with pytest.raises(RuntimeError, match="not yet"):
                await run.run_until_idle()
            async with asyncio.timeout(50):
                await run.run_until_idle()

        assert states == [OpState.SENT, OpState.SENT]
        assert keys == [ticket.key] * 2
        assert (await ticket.status()).state is OpState.DELIVERED


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)  # nothing of it reaches a store
@pytest.mark.parametrize(
    ("made", "why"),
    [
        (None, "made a NoneType of it"),
        (SealedRequest(None, "u"), "method, url or body cannot be stored"),
        (SealedRequest("PUT", "u\0"), "method, url or body cannot be stored"),
        (SealedRequest("PUT", "\ud800"), "method, url or body cannot be stored"),
        (SealedRequest("PUT", "u", (), "text"), "method, url or body cannot be stored"),
        (SealedRequest("PUT", "u", (("a", object()),)), "TypeError: Object of type object"),
    ],
)
async def test_what_cannot_be_frozen_dies_alone(place, made, why):
    """A transport that makes no request of a write keeps no other one from going."""

    class Careless(CallableTransport):
        def seal(self, op):
            return made if op.entity == "a" else super().seal(op)

    server = Server()
    async with opened(place) as box:
        await box.enqueue(put("a"), put("b"))
        async with runner(box, Careless(server)) as run, asyncio.timeout(50):
            await run.run_until_idle()
        (dead,) = await box.list(OpState.DEAD)

        assert (server.entities, dead.seq) == (["b"], 1)
        assert why in dead.reason


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_a_callback_that_is_cancelled_ends_the_delivery_as_one_that_raises(place):
    """The write is not sent again and again without a pause, and the caller is told."""

    async def give_up(op, step):
        raise asyncio.CancelledError

    server = Server()
    async with opened(place) as box:
        await box.enqueue(put("a"))
        async with runner(box, server, before_settle=give_up) as run, asyncio.timeout(50):
            with pytest.raises(OutlastError, match="before_settle gave up"):
                await run.run_until_idle()

        assert (server.entities, (await box.counts()).waiting) == (["a"], 1)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)  # nothing of it reaches a store
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (Applied(5), "its etag is of the type int"),
        (Applied('"\0"'), "its etag is no text that can be stored"),
        (Busy("503", "5"), "its retry_after is of the type str"),
        (Rejected(None), "its reason is of the type NoneType"),
        (Rejected(KeyError("x")), "its reason is of the type KeyError"),
        (Found(equal=True, etag=b"5"), "its etag is of the type bytes"),
        (Found(equal=False, body={"a": 1}), "its body is of the type dict"),
    ],
)
async def test_an_answer_with_wrong_fields_harms_its_write_only(place, wrong, why):
    """The others are delivered, the run goes on, and the write says what the transport has returned."""
    found = isinstance(wrong, Found)
    server = Server(a=[Stale("412") if found else wrong])

    async def read_back(op):
        return wrong

    async with opened(place) as box:
        await box.enqueue(put("a"), put("b"))
        with Recorder(box.core.bus, OpEvent) as seen:
            async with runner(box, carry(server, read_back=read_back)) as run, asyncio.timeout(50):
                await run.run_until_idle()

        assert await box.counts() == Counts(delivered=2)
        (reason,) = [event.reason for event in seen.events if event.event_type == "OpPostponed"]
        assert reason.endswith(why)


async def test_a_callback_that_raises_is_no_death_of_the_process(place):
    """However many runners it has ended, the write is not taken for what killed them."""

    async def note(op, step):
        raise RuntimeError("not yet")

    server = Server()
    async with opened(place) as box:
        await box.enqueue(put("a"))
        for _ in range(5):
            with pytest.raises(RuntimeError, match="not yet"):
                await deliver(box, server, before_settle=note)
        await deliver(box, server)

        assert (len(server.seen), await box.counts()) == (6, Counts(delivered=1))
