"""A call that waited for a slot of a bulkhead blocked its whole event loop (resilience4j #1592)."""

import asyncio

from outlast.policies import Bulkhead


async def test_the_loop_goes_on_while_a_task_waits():
    """While one task waits for a slot that another loop or thread holds, other tasks run."""
    bulkhead, ticks = Bulkhead(1), []
    holder = bulkhead.guard()
    holder.__enter__()

    async def work():
        return "ran"

    waiting = asyncio.create_task(bulkhead.acall(work))
    for tick in range(10):
        await asyncio.sleep(0)
        ticks.append(tick)
    assert not waiting.done()
    holder.__exit__(None, None, None)

    assert await waiting == "ran"
    assert len(ticks) == 10
