"""A plain function that returns coroutines, behind a full bulkhead: it blocked the loop's thread to wait for a slot."""

import asyncio

import pytest

from outlast.errors import BulkheadFullError
from outlast.policies import AdaptiveLimit, Bulkhead


async def test_calls_wait_in_the_loop_and_not_for_its_thread():
    """Six calls of a lambda through one slot run one after the other; nobody holds up the loop."""
    running, peak = 0, 0

    async def work():
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.001)
        running -= 1
        return "fine"

    ask = Bulkhead(1)(lambda: work())  # noqa: PLW0108 - a lambda is what this is about

    async def call():
        return await ask()

    assert await asyncio.gather(*[call() for _ in range(6)]) == ["fine"] * 6
    assert peak == 1


@pytest.mark.parametrize(
    "policy",
    [Bulkhead(1, max_wait=0.01), AdaptiveLimit(1, max_waiting=5, max_wait=0.01)],
    ids=["bulkhead", "adaptive limit"],
)
async def test_the_first_call_does_not_block_the_loop_either(policy):
    """That such a function returns coroutines is known only after a call; into a full one it is refused at once."""
    ask = policy(lambda: asyncio.sleep(0, "fine"))

    async with policy.guard():
        with pytest.raises(BulkheadFullError, match="would block the event loop, so await it"):
            ask()

    assert await ask() == "fine"
    assert policy.snapshot().running == 0
