import asyncio

import pytest

from outlast.cache import Cache
from outlast.errors import ConfigError
from outlast.registry import Registry


def test_second_loop_is_refused_while_the_first_lives():
    """A cache serves one event loop; another is told what to do instead."""
    cache = Cache("users", registry=Registry())

    async def value(key):
        return "v"

    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(cache.read("k", value))

        with pytest.raises(ConfigError, match="belongs to another event loop"):
            second.run(cache.read("k", value))
        with pytest.raises(ConfigError, match="belongs to another event loop"):
            second.run(cache.aclose())


def test_next_loop_may_go_on_after_the_first_is_closed():
    """One `asyncio.run` after the other may use the same cache, and a load cut off by the first is begun anew."""
    cache = Cache("users", registry=Registry())

    async def hang(key):
        await asyncio.Event().wait()

    async def value(key):
        return "v"

    async def leave_a_load_behind():
        asyncio.get_running_loop().create_task(cache.read("k", hang))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with asyncio.Runner() as first:
        first.run(leave_a_load_behind())
    with asyncio.Runner() as second:
        assert second.run(cache.get_or_load("k", value)) == "v"
        second.run(cache.aclose())


def test_unused_cache_may_be_closed():
    """Closing a cache that was never used does nothing."""
    cache = Cache("users", registry=Registry())

    asyncio.run(cache.aclose())

    assert cache.snapshot().closed
