"""Stores beside each other on one outbox: one delivers, and each sees its own writes and the others'."""

from __future__ import annotations

import asyncio
import contextlib

from store_world import PATIENCE, Note, eventually, quick_config

from outlast.outbox import OpState
from outlast.store import HttpBackend, StoreSource


async def test_one_delivers_and_the_other_sees_its_own_writes_all_the_time(world):
    """Of two stores on one outbox one delivers both's writes; each reads its own before, while and after."""
    async with (
        world() as w,
        w.outbox() as one_box,
        w.outbox() as other_box,
        w.cache("one.db") as one_cache,
        w.cache("other.db") as other_cache,
        w.store(outbox=one_box, cache=one_cache) as one,
        w.store(outbox=other_box, cache=other_cache) as other,
    ):
        w.somebody_writes("a", "old")
        await other.read("a")
        await eventually(lambda: "another process" in other.trouble)
        await other.save(Note("w1", "mine", "a"))
        seen = []
        async with asyncio.timeout(PATIENCE):
            while not w.effects("a")[1:] or len(other._pending):
                seen.append((await other.get("a")).text)
                await asyncio.sleep(0)
        seen.append((await other.get("a")).text)

        assert set(seen) == {"mine"}
        assert (one.trouble, len(w.asked("PUT"))) == ("", 1)
        assert (await one.get("a")).text == "mine"


async def test_two_kinds_share_an_outbox_and_each_sees_its_own_writes(world):
    """A store whose writes another store's runner delivers reads them all the time."""
    async with (
        world() as w,
        w.outbox() as outbox,
        w.cache("one.db") as one_cache,
        w.cache("other.db") as other_cache,
        contextlib.aclosing(HttpBackend(w.url, "other")) as others,
        w.store(outbox=outbox, cache=other_cache, backend=others),
        w.store(outbox=outbox, cache=one_cache) as one,
    ):
        w.somebody_writes("a", "old")
        await one.read("a")
        await one.save(Note("w1", "mine", "a"))
        seen = []
        async with asyncio.timeout(PATIENCE):
            while len(one._pending):
                seen.append((await one.get("a")).text)
                await asyncio.sleep(0)
        seen.append((await one.get("a")).text)

        assert set(seen) == {"mine"}
        assert w.effects("a") == ["other-old", "w1"]


async def test_another_stores_writes_are_seen_whatever_came_later(world):
    """A write queued elsewhere is seen here, also when this store has queued a later one meanwhile."""
    quiet = quick_config(deliver=False)
    async with (
        world() as w,
        w.outbox() as one_box,
        w.outbox() as other_box,
        w.cache("one.db") as one_cache,
        w.cache("other.db") as other_cache,
        w.store(outbox=one_box, cache=one_cache, config=quiet) as one,
        w.store(outbox=other_box, cache=other_cache, config=quick_config(deliver=False)) as other,
    ):
        await one.save(Note("w1", "first", "a"))
        await other.save(Note("w2", "second", "b"))

        async def reads(store, key):
            return (await store.read(key)).source is StoreSource.PENDING

        assert await eventually(lambda: reads(other, "a"), within=50)
        assert await eventually(lambda: reads(one, "b"), within=50)
        assert not w.asked("PUT")


async def test_a_conflict_that_another_process_found_shows_the_servers_value(world):
    """A store that only watches sees the server's value after its write lost a race."""
    async with world() as w, w.outbox() as outbox, w.cache() as cache:
        w.somebody_writes("a", "old")
        async with w.store(outbox=outbox, cache=cache, config=quick_config(deliver=False)) as watching:
            await watching.read("a")
            w.somebody_writes("a", "theirs")
            ticket = await watching.save(Note("w1", "mine", "a"))
            async with w.cache("other.db") as other_cache, w.store(cache=other_cache):
                assert (await ticket.settled(PATIENCE)).state is OpState.CONFLICT
                await watching.delivered(PATIENCE)

            assert (await watching.get("a")).text == "theirs"
            assert w.effects("a") == ["other-old", "other-theirs"]


async def test_a_store_that_does_not_deliver_leaves_that_to_others(world):
    """With deliver=False nothing is sent and no lease is taken; what others deliver is seen."""
    async with world() as w, w.store(config=quick_config(deliver=False)) as store:
        await store.save(Note("w1", "mine", "a"))
        await asyncio.sleep(0.4)
        assert not w.asked("PUT")
        async with w.cache("other.db") as cache, w.store(cache=cache) as other:
            await other.delivered(PATIENCE)
        await store.delivered(PATIENCE)

        assert (await store.read("a")).source is StoreSource.MEMORY
        assert (await store.get("a")).text == "mine"
