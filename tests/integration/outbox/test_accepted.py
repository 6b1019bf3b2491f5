"""What a server accepts and does later."""

import asyncio

import pytest

from delivering import SOON, Server, deliver, opened, put, runner, until
from outlast.engines.backoff import Backoff
from outlast.outbox import (
    Accepted,
    Applied,
    AuthNeeded,
    Busy,
    Counts,
    DeliveryPolicy,
    Found,
    Gone,
    InDoubt,
    Missing,
    OpState,
    Rejected,
    Stale,
)
from outlast.sync_engine import CallableTransport
from outlast.testing import ManualClock


class Later:
    """Accept each op, and say by a script what became of it when asked."""

    def __init__(self, *said, found=None):
        self.said = list(said)
        self.found = found
        self.sent, self.asked = [], []

    async def __call__(self, op):
        self.sent.append(op.entity)
        return Accepted(f"status/{op.entity}")

    async def poll(self, op, url):
        """Say the next thing; the last one stays."""
        self.asked.append(url)
        return self.said.pop(0) if len(self.said) > 1 else self.said[0]

    async def read_back(self, op):
        """Say what the server holds."""
        return self.found

    @property
    def transport(self):
        """Make a transport of it."""
        return CallableTransport(self, poll=self.poll, read_back=self.read_back)


@pytest.mark.parametrize(
    ("said", "found", "state", "reason"),
    [
        pytest.param(Applied('"3"'), None, OpState.DELIVERED, "", id="done"),
        pytest.param(
            Rejected("no seat left"),
            None,
            OpState.DEAD,
            "the server had accepted it, and then: no seat left",
            id="failed",
        ),
        pytest.param(Gone("404"), Found(True), OpState.DELIVERED, "", id="monitor-gone-but-done"),
        pytest.param(
            Gone("404"),
            Found(False),
            OpState.CONFLICT,
            "the server had accepted it, and then: 404; the server holds other content",
            id="monitor-gone-and-not-done",
        ),
        pytest.param(Stale("409"), Found(True), OpState.DELIVERED, "", id="clash-with-itself"),
    ],
)
async def test_what_is_accepted_is_asked_about_until_it_is_settled(place, said, found, state, reason):
    """It is sent once and asked about: still at it, no answer, busy, and then the outcome."""
    server = Later(Accepted(), InDoubt("cut"), Busy("503", retry_after=0.01), said, found=found)
    async with opened(place) as box:
        await box.enqueue(put("a"))
        await deliver(box, server.transport)
        status = await box.ticket(1).status()

        assert (server.sent, server.asked) == (["a"], ["status/a"] * 4)
        assert (status.state, status.reason) == (state, reason)


async def test_an_acceptance_survives_a_restart(place):
    """The next runner asks at the same place instead of sending again; its lane waits meanwhile."""
    server, policy = Later(Accepted()), DeliveryPolicy(backoff=Backoff.fixed(0.01))
    async with opened(place) as box:
        await box.enqueue(put("a"), put("a"))
        async with runner(box, server.transport, policy=policy) as run:
            running = asyncio.create_task(run.run_forever())
            await until(lambda: len(server.asked) > 2)
            running.cancel()
        state = (await box.ticket(1).status()).state
    server.said = [Applied()]
    async with opened(place) as box:
        await deliver(box, server.transport)

        assert (state, server.sent, await box.counts()) == (OpState.ACCEPTED, ["a", "a"], Counts(delivered=2))


@pytest.mark.parametrize(
    ("found", "state"),
    [
        pytest.param(Found(True), OpState.DELIVERED, id="done-after-all"),
        pytest.param(Missing(), OpState.CONFLICT, id="never-done"),
    ],
)
async def test_an_acceptance_has_a_deadline_of_its_own(place, found, state):
    """A server that never says that it is done is not asked for ever; what it holds decides."""
    clock, server = ManualClock(wall=1.8e9), Later(Accepted(), found=found)
    policy = DeliveryPolicy(backoff=Backoff.fixed(0.01), accepted_for=600.0)
    async with opened(place, clock=clock) as box:
        await box.enqueue(put("a"))
        async with runner(box, server.transport, policy=policy) as run:
            running = asyncio.create_task(run.run_forever())
            await until(lambda: server.sent)
            await until(lambda: run.stats.sent == 1 and len(run._loop._flying) == 0)
            running.cancel()
        clock.advance(601.0)
        asked = len(server.asked)
        await deliver(box, server.transport, policy=policy)

        assert ((await box.ticket(1).status()).state, len(server.asked)) == (state, asked)


async def test_credentials_that_run_out_while_it_is_asked_about_are_refreshed(place):
    """The op stays accepted, and is asked about with the new ones."""
    server, refreshed = Later(AuthNeeded("401"), Applied()), []

    async def refresh():
        refreshed.append(1)

    async with opened(place) as box:
        await box.enqueue(put("a"))
        await deliver(box, CallableTransport(server, poll=server.poll, refresh=refresh))

        assert (server.sent, len(server.asked), refreshed, await box.counts()) == (["a"], 2, [1], Counts(delivered=1))


async def test_who_cannot_ask_looks(place):
    """Without a way to ask, what the server holds decides."""

    async def read_back(op):
        return Found(True)

    async with opened(place) as box:
        await box.enqueue(put("a"))
        await deliver(box, CallableTransport(Server(a=[Accepted()]), read_back=read_back), policy=SOON)

        assert await box.counts() == Counts(delivered=1)


async def test_a_server_that_wants_a_rest_when_it_is_asked_is_given_one(place):
    """A 429 to the asking pauses the origin as one to a sending does, also across a restart."""
    server = Later(Busy("429", 3000.0, whole_origin=True))
    for entity in "ab":
        async with opened(place) as box, runner(box, CallableTransport(server, poll=server.poll)) as run:
            await box.enqueue(put(entity))
            running = asyncio.create_task(run.run_forever())
            await until(lambda: run._loop.gates.closed_for() > 2000.0)
            await asyncio.sleep(0.05)
            running.cancel()

            assert (server.sent, len(server.asked)) == (["a"], 1)
