import asyncio
import gc

import pytest

from outlast.cache import Cache, Freshness
from outlast.errors import OutlastError, ShuttingDownError
from outlast.policies import deadline, remaining
from outlast.registry import Registry


def make(**numbers):
    """Make a cache of its own registry on the running loop's clock."""
    clock = asyncio.get_running_loop().clock
    return Cache("users", freshness=Freshness(**numbers), clock=clock, registry=Registry())


async def spin():
    """Let every task run until it waits for something."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_cancelled_leader_does_not_cancel_the_load():
    """The reader that started a load may be cancelled; the others get the value of the same load."""
    calls = 0

    async def load(key):
        nonlocal calls
        calls += 1
        await asyncio.sleep(1)
        return "v"

    async with make() as cache:
        leader = asyncio.create_task(cache.read("k", load))
        await spin()
        follower = asyncio.create_task(cache.read("k", load))
        await spin()
        leader.cancel()

        assert (await follower).value == "v"
        assert leader.cancelled()
        assert calls == 1


async def test_load_goes_on_when_the_last_reader_is_gone():
    """A load whose readers were all cancelled is still stored."""

    async def load(key):
        await asyncio.sleep(1)
        return "v"

    async with make() as cache:
        reader = asyncio.create_task(cache.read("k", load))
        await spin()
        reader.cancel()
        await asyncio.sleep(2)

        assert (await cache.peek("k")).value == "v"


async def test_load_of_no_reader_that_fails_warns_of_nothing():
    """An exception that nobody waits for is taken note of, not reported by asyncio."""
    reports = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))

    async def load(key):
        await asyncio.sleep(1)
        raise ConnectionError

    async with make() as cache:
        reader = asyncio.create_task(cache.read("k", load))
        await spin()
        reader.cancel()
        await asyncio.sleep(2)
        gc.collect()

        assert cache.snapshot().load_failures == 1
    assert reports == []


async def test_loader_that_ignores_cancellation_is_left_behind():
    """The limit of a load holds even for a loader that does not let itself be cancelled."""

    async def stubborn(key):
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(3)
        return "late"

    async with make(load_timeout=5.0) as cache:
        start = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await cache.read("k", stubborn)

        assert asyncio.get_running_loop().time() - start == 5.0
        await asyncio.sleep(10)
        assert await cache.peek("k") is None


async def test_loader_cancelled_from_inside_is_a_failure():
    """A loader whose own task is cancelled fails; its reader is not cancelled with it."""

    async def load(key):
        raise asyncio.CancelledError

    async with make() as cache:
        with pytest.raises(OutlastError, match="cancelled from inside"):
            await cache.read("k", load)

        assert cache.snapshot().load_failures == 1


async def test_close_leaves_no_task():
    """Closing cancels every load and waits for it."""
    ended = []

    async def load(key):
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(key)

    cache = make(load_timeout=1000.0)
    reader = asyncio.create_task(cache.read("k", load))
    await spin()

    await cache.aclose()

    assert ended == ["k"]
    with pytest.raises(ShuttingDownError):
        await reader
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_close_before_a_load_has_begun():
    """A load that was started but has not run yet ends too."""

    async def load(key):
        raise AssertionError

    cache = make()
    reader = asyncio.create_task(cache.read("k", load))
    await asyncio.sleep(0)
    await cache.aclose()

    with pytest.raises(ShuttingDownError):
        await reader


async def test_the_deadline_of_the_first_reader_is_not_the_load_s():
    """A load serves whoever joins it, so the little time of the one who began it does not limit it."""

    async def load(key):
        return remaining() or "none"

    async with make() as cache, deadline(5.0, clock=asyncio.get_running_loop().clock):
        assert (await cache.read("k", load)).value == "none"
