"""What goes past a write that waits for its next attempt, and what does not."""

from __future__ import annotations

import asyncio

import pytest

from delivering import LATE, Server, opened, put, runner
from outlast.outbox import InDoubt


async def deliver(box, server, number):
    """Deliver until so many are, and the first one waits for its next attempt."""
    async with runner(box, server, policy=LATE, drain=0.0) as run:
        task = asyncio.create_task(run.run_forever())
        async with asyncio.timeout(60):
            while ((counts := await box.counts()).delivered, counts.waiting) != (number, 1):  # noqa: ASYNC110 - it comes from threads
                await asyncio.sleep(0.005)
        task.cancel()


@pytest.mark.parametrize(("order", "passed"), [("strict", []), ("mutex", ["second", "third"])])
async def test_what_may_be_passed(place, order, passed):
    """In a strict lane those behind a write that waits do so too; in a mutex lane they go, also after a restart."""
    server = Server(first=[InDoubt("cut")])
    async with opened(place) as box:
        await box.enqueue(*[put(name, lane="jobs", order=order) for name in ("first", "second")], put("elsewhere"))
        await deliver(box, server, 1 + len(passed[:1]))
    async with opened(place) as box:
        await box.enqueue(put("third", lane="jobs", order=order), put("beside"))
        await deliver(box, server, 2 + len(passed))

    assert [entity for entity in server.entities if entity not in {"elsewhere", "beside"}] == ["first", *passed]
