"""Concurrent calls of one decorated function shared their attempt counter (tenacity #93, #701)."""

import asyncio

import pytest

from outlast.policies import Retry
from outlast.testing import ManualClock, run_virtual


def test_each_call_counts_for_itself():
    """Ten calls at once make three attempts each."""
    clock, calls = ManualClock(), []

    @Retry(attempts=3, clock=clock)
    async def load(key):
        calls.append(key)
        await asyncio.sleep(0.1)
        raise ConnectionError

    async def main():
        return await asyncio.gather(*(load(key) for key in range(10)), return_exceptions=True)

    errors = run_virtual(main(), clock=clock)

    assert sorted(calls) == sorted(list(range(10)) * 3)
    assert all("3 attempts" in error.__notes__[0] for error in errors)


def test_a_sync_call_may_nest():
    """A retried function that calls itself counts each level on its own."""
    calls = []

    @Retry(attempts=2, stand_down=False, clock=ManualClock())
    def load(depth):
        calls.append(depth)
        if depth:
            load(depth - 1)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        load(1)

    assert calls == [1, 0, 0, 1, 0, 0]
