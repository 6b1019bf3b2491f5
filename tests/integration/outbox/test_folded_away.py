"""A runner that knows a write which has been folded away since goes on as if it had never known it."""

from __future__ import annotations

import asyncio

from delivering import Server, opened, put, runner, until
from outlast.outbox import Applied, Coalescing, Counts, OpState, Rejected, Verb, Write


def create(entity, **options):
    """Make a note."""
    return Write(verb=Verb.CREATE, kind="note", entity=entity, body=b"{}", **options)


DELETE = Write(verb=Verb.DELETE, kind="note", entity="child")


async def test_what_was_annihilated_holds_nothing_back(place):
    """Its lane goes on, although the write that it came after lies in the dead letters."""
    server = Server(parent=[Rejected("422")])
    async with opened(place, coalescing=Coalescing()) as box, runner(box, server) as run, asyncio.timeout(60):
        (parent,) = await box.enqueue(put("parent"))
        await run.run_until_idle()
        (child,) = await box.enqueue(create("child", after=parent.seq))
        await run.run_until_idle()
        await box.enqueue(DELETE)
        (again,) = await box.enqueue(create("child"))
        await run.run_until_idle()

        states = [(await ticket.status()).state for ticket in (parent, child, again)]
    assert states == [OpState.DEAD, OpState.ANNIHILATED, OpState.DELIVERED]
    assert server.entities == ["parent", "child"]


async def test_the_version_goes_past_what_was_folded_away(place):
    """The next write of the entity gets it, not the place where one lay that the runner still knows."""
    seen, held = [], asyncio.Event()

    async def act(op):
        seen.append((op.entity, op.body, op.if_match))
        if op.entity == "busy":
            await held.wait()
        elif len(seen) == 2:
            await box.enqueue(put("a", b'{"n":4}', if_match='"0"'))
        return Applied(f'"{op.seq}"')

    async with opened(place, coalescing=Coalescing()) as box:
        async with runner(box, act, concurrency=1) as run, asyncio.timeout(60):
            await box.enqueue(put("busy"))
            running = asyncio.create_task(run.run_until_idle())
            await until(lambda: seen)
            patch = Write(verb=Verb.PATCH, kind="note", entity="a", body=b'{"n":1}', if_match='"0"')
            await box.enqueue(patch)
            await box.enqueue(patch._replace(body=b'{"n":2}', if_match=None, expires=3600.0))
            await until(lambda: run._loop._lanes.last_seq == 3)
            await box.enqueue(put("a", b'{"n":3}'))
            held.set()
            await running

        assert seen[1:] == [("a", b'{"n":3}', '"0"'), ("a", b'{"n":4}', '"2"')]
        assert await box.counts() == Counts(delivered=3, folded=1)
