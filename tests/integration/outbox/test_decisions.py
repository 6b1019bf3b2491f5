"""Decisions about parked writes while others fly: nothing comes back, and nothing is overlooked."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from delivering import Server, deliver, opened, put, runner, until
from outlast.outbox import Counts, OpState, Rejected
from outlast.testing import ManualClock


@pytest.mark.timeout(600)
async def test_decisions_made_while_ops_fly_do_no_harm(place):
    """What is settled while the file is read after a decision does not come back as waiting."""
    dead = [f"dead{number}" for number in range(40)]
    server = Server(**{entity: [Rejected("400")] for entity in dead})
    async with opened(place) as box:
        await box.enqueue(*[put(entity) for entity in dead])
        await box.enqueue(*[put(str(number)) for number in range(1000)])
        async with runner(box, server, concurrency=32) as run:
            running = asyncio.create_task(run.run_forever())
            for number in range(1, 41):
                await box.ticket(number).settled(timeout=50)
                await (box.replay(number) if number % 2 else box.discard(number))
            running.cancel()
            async with asyncio.timeout(100):
                await run.run_until_idle()

        counts = await box.counts()
        assert counts == Counts(delivered=1020)
        assert len(server.seen) == 1060


async def test_a_replay_does_not_disturb_the_op_that_flies(place):
    """Where lanes are not parked, a later op may fly when an earlier one comes back; both are delivered."""
    go = asyncio.Event()
    server = Server(a=[Rejected("400")])

    async def act(op):
        answer = await server(op)
        if op.seq == 2:
            await go.wait()
        return answer

    async with opened(place) as box:
        await box.enqueue(put("a"), put("a"), put("a"))
        async with runner(box, act, park_lanes=False) as run:
            running = asyncio.create_task(run.run_until_idle())
            await until(lambda: len(server.seen) == 2)
            await box.replay(1)
            await asyncio.sleep(0.05)
            go.set()
            async with asyncio.timeout(50):
                await running

        assert [op.seq for op in server.seen] == [1, 2, 1, 3]
        assert await box.counts() == Counts(delivered=3)


async def test_a_poisoned_lane_holds_back_only_itself(place):
    """With parked lanes idle is reached, and a decision of another process lets the rest of the lane go."""
    server = Server(a=[Rejected("400")])
    async with opened(place) as box, opened(place) as other:
        await box.enqueue(put("a"), put("a"), put("b"))
        async with runner(box, server) as run:
            await run.run_until_idle()
            parked = await box.counts()
            await other.discard(1)
            forever = asyncio.create_task(run.run_forever())
            await box.ticket(2).settled(timeout=50)
            forever.cancel()

    assert parked == Counts(ready=1, dead=1, delivered=2 - 1)
    assert [(op.entity, op.seq) for op in server.seen] == [("a", 1), ("b", 3), ("a", 2)]


def while_reading(monkeypatch, box, *, before=None, after=None):
    """Do something in the moment before, or after, the loop reads what a decision has changed; once."""
    read, result, turns = box.core.changes, box.core.result, []

    async def slowly(arguments):
        if before is not None and not turns and box.core.decisions().result(5) != arguments[1]:
            turns.append(1)
            await before()
        found = await result(read(*arguments))
        if after is not None and not turns and found.parked is not None:
            turns.append(1)
            await after()
        return found

    async def either(future):
        return await (future if asyncio.isfuture(future) else result(future))

    monkeypatch.setattr(box.core, "changes", lambda *arguments: asyncio.ensure_future(slowly(arguments)))
    monkeypatch.setattr(box.core, "result", either)
    return turns


class Holding(Server):
    """Hold the answers about "a" until told."""

    def __init__(self, **script):
        super().__init__(**script)
        self.go = asyncio.Event()

    async def __call__(self, op):
        answer = await super().__call__(op)
        if op.entity == "a":
            await self.go.wait()
        return answer


@contextlib.asynccontextmanager
async def holding(box, server):
    """Deliver until the first write is refused and one of "a" is held; behind the block, until nothing is left."""
    async with runner(box, server) as run:
        running = asyncio.create_task(run.run_until_idle())
        await box.ticket(1).settled(timeout=50)
        await until(lambda: len(server.seen) == 2)
        yield run
        async with asyncio.timeout(50):
            await running


async def test_what_lands_while_the_file_is_read_does_not_come_back(place, monkeypatch):
    """A decision makes the loop read all places; one that is settled in just that moment is not taken for new."""
    server = Holding(dead=[Rejected("400")])
    async with opened(place) as box:
        await box.enqueue(put("dead"), put("a"))
        async with holding(box, server) as run:

            async def let_it_land():
                server.go.set()
                await until(lambda: run.stats.delivered == 1)

            turns = while_reading(monkeypatch, box, after=let_it_land)
            await box.discard(1)

        assert turns == [1]
        assert await box.counts() == Counts(delivered=1)


@pytest.mark.parametrize("decision", ["replay", "discard"])
async def test_a_decision_about_what_was_parked_just_now_is_not_overlooked(place, monkeypatch, decision):
    """An op that dies and is decided upon while the file is read comes back, or lets its lane go."""
    server = Holding(first=[Rejected("400")], a=[Rejected("400")])
    async with opened(place) as box:
        await box.enqueue(put("first"), put("a"), put("a"))
        async with holding(box, server):

            async def die_and_decide():
                server.go.set()
                await box.ticket(2).settled(timeout=50)
                await (box.replay(2) if decision == "replay" else box.discard(2))

            turns = while_reading(monkeypatch, box, before=die_and_decide)
            await box.discard(1)

        assert turns == [1]
        assert await box.counts() == Counts(delivered=2 if decision == "replay" else 1)


async def test_what_has_expired_goes_when_somebody_sends_it_again(place):
    """A decision to send an expired write holds; one that has not expired yet still may."""
    clock = ManualClock()
    server = Server(b=[Rejected("422")])
    async with opened(place, clock=clock) as box:
        late, later = await box.enqueue(put("a", expires=5.0), put("b", expires=60.0))
        clock.advance(10.0)
        await deliver(box, server)
        states = [(await ticket.status()).state for ticket in (late, later)]
        for ticket in (late, later):
            await box.replay(ticket.seq)
        left = [op.expires_at is None for op in await box.pending("note")]
        await deliver(box, server)

        assert (states, left, server.entities) == ([OpState.DEAD] * 2, [True, False], ["b", "a", "b"])
