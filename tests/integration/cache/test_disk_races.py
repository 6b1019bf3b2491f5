"""A file that is being read or written, by this process or another, brings nothing back and holds nobody up."""

import asyncio
import time
from concurrent.futures import Future

import pytest
from cache_files import hold_writer, never, reopen

from cache_faces import Script
from outlast.cache import Cache, Memory, SqliteTier
from outlast.registry import Registry


def test_evicted_value_is_the_newest_even_before_it_is_written(face, path):
    """A value that waits for the writer is read in place of the older one in the file."""
    tier = SqliteTier(path)
    cache = face.make(disk=tier, memory=Memory(max_items=1), ttl=0.0)
    face.read(cache, "a", Script("old"))
    go = hold_writer(tier)
    face.read(cache, "a", Script("new"))
    face.read(cache, "b", Script("other"))

    assert face.peek(cache, "a").value == "new"
    go.set()


def test_reads_do_not_wait_for_the_writer(face, path):
    """A load is answered while the file is still busy with something else."""
    tier = SqliteTier(path)
    cache = face.make(disk=tier)
    go = hold_writer(tier)

    assert face.read(cache, "k", Script("v")).value == "v"
    go.set()


def begin_read(face, path, monkeypatch, load):
    """Begin to read what the file has an old value of; return the cache, the reader, and what lets the file answer."""
    cache = face.make(disk=SqliteTier(path))
    face.put(cache, "k", "old")
    face.close(cache)
    face.registry, tier, slow = Registry(), SqliteTier(path), Future()
    cache, row = face.make(disk=tier), tier.lookup("users", "k").result()
    monkeypatch.setattr(tier, "lookup", lambda *_: slow)
    reader = face.start(cache.read, "k", face.loader(load))
    while not cache._core._shelf._board._leases:
        time.sleep(0.001)
    return cache, reader, lambda: slow.set_result(row)


def test_removal_while_the_file_is_read(face, path, monkeypatch):
    """A value that is removed after the file was read and before its answer arrived is not answered, nor kept."""
    cache, reader, answer = begin_read(face, path, monkeypatch, Script("new"))

    face.remove(cache, "k")
    answer()

    assert reader.result().value == "new"


def test_put_while_the_file_is_read(face, path, monkeypatch):
    """A value that is put while the file is read is the answer, not the older one of the file."""
    cache, reader, answer = begin_read(face, path, monkeypatch, never)

    face.put(cache, "k", "mine")
    answer()

    assert reader.result().value == "mine"


def test_load_from_before_another_process_removed_is_not_stored(face, path):
    """A removal by another process voids a load under way here: neither file nor memory keeps its value."""
    mine, gate = face.make(disk=SqliteTier(path)), face.gate()
    face.registry = Registry()
    other = face.make(disk=SqliteTier(path))
    reader = face.start(mine.read, "k", gate.load)
    gate.wait_entered()

    face.remove(other, "k")
    gate.end("gone")

    assert reader.result().value == "gone"
    face.run(mine.remove, "unrelated")  # by then the file has refused the value
    assert mine.snapshot().items == 0
    assert face.peek(other, "k") is None


def test_of_two_loads_the_one_that_began_later_wins(face, path):
    """A slow load of another process does not replace what a later one stored."""
    slow, gate = face.make(disk=SqliteTier(path)), face.gate()
    face.registry = Registry()
    quick = face.make(disk=SqliteTier(path))
    reader = face.start(slow.read, "k", gate.load)
    gate.wait_entered()
    face.clock.advance(1.0)
    face.read(quick, "k", Script("later"))
    gate.end("earlier")
    reader.result()
    face.close(quick)

    assert face.peek(reopen(face, slow, path), "k").value == "later"


async def test_tier_opens_without_blocking_the_loop(path):
    """The file may be opened from a running event loop."""
    tier = await SqliteTier.open(path, max_items=5)

    assert (tier.max_items, tier.is_open) == (5, True)
    tier.close()


async def test_cancelled_removal_is_durable(path):
    """Cancelling whoever waits for a removal does not cancel the removal."""
    tier = SqliteTier(path)
    async with Cache("users", disk=tier, registry=Registry()) as cache:
        await cache.put("k", "v")
        go = hold_writer(tier)
        removal = asyncio.create_task(cache.remove("k"))
        await asyncio.sleep(0.01)
        removal.cancel()
        with pytest.raises(asyncio.CancelledError):
            await removal
        go.set()

    async with Cache("users", disk=SqliteTier(path), registry=Registry()) as cache:
        assert await cache.peek("k") is None


async def test_cancelled_close_still_closes_the_file(path):
    """A close that is cancelled while loads end leaves the file closed."""
    tier = SqliteTier(path)
    cache = Cache("users", disk=tier, registry=Registry())
    entered = asyncio.Event()

    async def stubborn(key):
        entered.set()
        while True:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                if ended:
                    return

    ended = []
    reader = asyncio.create_task(cache.read("k", stubborn))
    await entered.wait()
    closing = asyncio.create_task(cache.aclose())
    await asyncio.sleep(0.01)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    ended.append(True)
    reader.cancel()

    assert "is closed" in str(tier.lookup("users", "k").exception())
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
