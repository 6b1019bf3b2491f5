"""Bulkheads in the world of a scenario, and slots that are held."""

import asyncio

from outlast.policies import Bulkhead


def make(face, slots=1, **options):
    """Make a bulkhead."""
    return Bulkhead(slots, **{**face.around, **options})


def hold(bulkhead):
    """Take a slot and keep it."""
    guard = bulkhead.guard()
    guard.__enter__()
    return guard


def release(guard):
    """Give a slot back."""
    guard.__exit__(None, None, None)


async def until_queued(bulkhead, depth):
    """Let tasks run until that many wait."""
    while bulkhead.queue_depth < depth:  # noqa: ASYNC110 - a bulkhead has no event to wait for
        await asyncio.sleep(0)
