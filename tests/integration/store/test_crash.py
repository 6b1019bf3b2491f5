"""What a store has after the program that used it was killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import pytest
from store_world import PATIENCE, Note, eventually, quick_config

from outlast.lab.proxy import BlackHole, Healthy, Refuse
from outlast.outbox import OpState
from outlast.store import StoreSource

WRITER = Path(__file__).with_name("writer.py")


@contextlib.asynccontextmanager
async def writer(w, *arguments):
    """Run the program until it has saved; it is killed at the end of the block if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", str(WRITER), str(w.folder), str(w.place), w.url, *arguments,
        stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        async with asyncio.timeout(50):
            assert await process.stdout.readline() == b"saved\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def kill(process):
    """End a program without a last word."""
    process.kill()
    await process.wait()


@pytest.mark.usefixtures("place")
async def test_what_was_saved_before_the_kill_is_read_and_delivered_after_it(world):
    """Writes whose save returned survive SIGKILL: the next program reads them at once and delivers each once."""
    async with world() as w:
        w.somebody_writes("gone", "old")
        w.proxy.set(Refuse())
        async with writer(w, "deliver", "a=one", "a=two", "b=three", "gone=") as process:
            await kill(process)
        async with w.store() as store:
            seen = {key: await store.read(key) for key in ("a", "b", "gone")}
            w.proxy.set(Healthy())
            await store.delivered(PATIENCE)

            assert {result.source for result in seen.values()} == {StoreSource.PENDING}
            assert [result.value and result.value.text for result in seen.values()] == ["two", "three", None]
            assert (w.effects("a"), w.effects("b")) == (["w-one", "w-two"], ["w-three"])
            assert w.book.read("gone") is None


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["not-applied", "applied"])
async def test_what_was_on_the_wire_at_the_kill_takes_effect_once(world, share):
    """A write that was sent and not answered when the program died is delivered once, applied before or not."""
    async with world() as w:
        w.proxy.set(BlackHole(share))
        async with writer(w, "deliver", "a=one") as process:
            await eventually(lambda: w.asked("PUT") and (share == 0 or w.effects("a")))
            await kill(process)
        w.proxy.set(Healthy())
        async with w.store() as store:
            before = await store.read("a")
            await store.delivered(PATIENCE)

            assert before.value == Note("w-one", "one", "a")
            assert await store.get("a") == before.value
            assert w.effects("a") == ["w-one"]


@pytest.mark.usefixtures("place")
async def test_the_watching_store_takes_over_from_a_killed_one(world):
    """Of two programs on one outbox the second sees its own writes all the time, and delivers when the first dies."""
    async with world() as w:
        w.proxy.set(BlackHole(1.0))
        async with writer(w, "deliver", "a=one") as process:
            await eventually(lambda: w.effects("a"))
            async with w.cache("other.db") as cache, w.store(cache=cache) as store:
                await eventually(lambda: "another process" in store.trouble)
                ticket = await store.save(Note("w-two", "two", "a"))
                other = await store.save(Note("w-three", "three", "b"))
                assert (await store.get("a")).text == "two"
                await kill(process)
                w.proxy.set(Healthy())
                seen = set()
                async with asyncio.timeout(PATIENCE):
                    while len(store._pending):
                        seen.add((await store.get("a")).text)
                        await asyncio.sleep(0.005)
                seen.add((await store.get("a")).text)

                assert seen == {"two"}
                assert (await ticket.status()).state is OpState.DELIVERED
                assert (await other.status()).state is OpState.DELIVERED
                assert w.effects("a") == ["w-one", "w-two"]
                assert store.trouble == ""


async def test_a_watching_program_is_served_by_a_delivering_one(world):
    """A program that never delivers has its writes delivered by another, and the other reads them."""
    async with world() as w, w.store(config=quick_config()) as store:
        async with writer(w, "watch", "a=one"):
            await eventually(lambda: w.effects("a"))

        assert (await store.get("a")).text == "one"
