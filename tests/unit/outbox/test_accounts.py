from __future__ import annotations

import asyncio

from outlast.outbox import Applied, Route
from outlast.outbox._accounts import Accounts
from outlast.sync_engine import CallableTransport


class Ended(asyncio.Future):
    """Stand for a task that has ended before anybody got hold of it, as an eager one of Python 3.12 may."""

    def set_name(self, name):
        """Take the name that a task has."""


def eager(loop, coroutine, **options):
    """Run a coroutine that waits for nothing."""
    ended = Ended(loop=loop)
    try:
        coroutine.send(None)
    except StopIteration as end:
        ended.set_result(end.value)
    return ended


async def test_a_refresh_that_ends_at_once_blocks_nothing():
    """An eager task that waits for nothing is over before the one who starts it knows of it."""
    told = []

    async def send(op):
        return Applied()

    async def refresh():
        told.append("refreshed")

    accounts = Accounts(told.append, lambda: told.append("go on"))
    route = Route(CallableTransport(send, refresh=refresh))
    asyncio.get_running_loop().set_task_factory(eager)
    again = accounts.refused(route, accounts.version(route))
    await asyncio.sleep(0)

    assert (again, accounts.blocked(route), accounts.version(route)) == (True, False, 1)
    assert told == ["refreshed", "go on"]
