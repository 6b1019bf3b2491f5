"""Large bodies wait without being in the way of what does not need them."""

from __future__ import annotations

import asyncio

from delivering import opened, put, runner, until
from outlast.outbox import Applied, Counts, OpState


async def test_many_large_bodies_are_never_claimed_together(place):
    """Of five bodies of 4 MiB that could all go at once four are claimed, and the fifth once there is room."""
    body, go, bodies = b"x" * (4 << 20), asyncio.Event(), []

    async def act(op):
        bodies.append(op.body)
        await go.wait()
        return Applied()

    async with opened(place) as box:
        for entity in "abcde":
            await box.enqueue(put(entity, body))
        async with runner(box, act, concurrency=8) as run:
            running = asyncio.create_task(run.run_until_idle())
            await until(lambda: len(bodies) >= 4)
            claimed = len(await box.list(OpState.SENT))
            go.set()
            async with asyncio.timeout(50):
                await running

        assert claimed == 4
        assert [len(one) for one in bodies] == [4 << 20] * 5
        assert await box.counts() == Counts(delivered=5)


def test_what_waits_is_read_in_portions(face, box):
    """Whoever has many large writes need not hold all of them at once."""
    face.do(box.enqueue(*[put(entity) for entity in "abc"], put("x", kind="other"), put("d")))

    first = face.do(box.pending("note", limit=3))
    rest = face.do(box.pending("note", after=first[-1].seq, limit=3))

    assert [[op.entity for op in ops] for ops in (first, rest)] == [["a", "b", "c"], ["d"]]
