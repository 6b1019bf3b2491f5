from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from outlast.sync_engine import FeedStore, Rung

CUTS = 50
CLIENT = Path(__file__).with_name("client.py")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("rung", list(Rung))
async def test_no_event_is_lost_or_applied_twice_over_fifty_cuts(feed, until, rung):
    """However often the connection is cut, each event is applied once and in order."""
    async with feed() as world, world.store() as store:
        async with world.channel(store, rungs=[rung], own=lambda key: key.startswith("ours")) as channel:
            await channel.connect()
            await channel.caught_up()
            for number in range(CUTS):
                world.server.append(2, key=f"ours:{number}" if number % 5 == 0 else None)
                if number % 2:
                    await until(lambda: channel.position.seq == world.server.length)
                cutting = asyncio.create_task(world.cut(channel, until))
                world.server.append(1)
                await cutting
            await until(lambda: channel.position.seq == world.server.length)

        assert await world.applied(store) == list(range(1, 3 * CUTS + 1))
        assert channel.stats.own == 2 * CUTS / 5


@pytest.mark.timeout(300)
async def test_a_kill_between_receiving_and_committing_loses_nothing(feed, until):
    """A process that is killed with an event in its hands has not applied it, and the next one does, once."""
    kills = 12
    async with feed() as world, starter(world) as (start, killed):
        for number in range(1, kills + 1):
            world.server.append(1)
            start(list(Rung)[number % 2], 2 * number)  # over a WebSocket and a stream in turn
            world.server.append(1)
            await killed()
            assert await stored(world.path) < 2 * number
        async with world.store() as store, world.channel(store) as channel:
            await channel.connect()
            await channel.caught_up()

            assert await world.applied(store) == list(range(1, 2 * kills + 1))


@contextlib.asynccontextmanager
async def starter(world):
    """Start processes that follow the feed, and kill each at the event that it was told."""
    command = (sys.executable, "-W", "error", str(CLIENT), world.url, str(world.path))
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    children = []

    async def killed():
        async with asyncio.timeout(30):
            children.append(int(await process.stdout.readline()))
        os.kill(children.pop(), signal.SIGKILL)

    try:
        yield lambda rung, stall: process.stdin.write(f"{rung.value} {stall}\n".encode()), killed
    finally:
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 30)


async def stored(path):
    """Return the place that another process has stored."""
    async with await FeedStore.open(path) as store:
        return (await store.position()).seq or 0


@pytest.mark.parametrize("rung", [Rung.WEBSOCKET, Rung.SSE])
async def test_it_needs_a_tenth_of_the_requests_of_polling(feed, until, rung):
    """Each of forty events arrives before the next one happens; polling needs a request for each, at the least."""
    needed = {}
    async with feed() as world:
        for way in (rung, Rung.POLL):
            world.server.tell(reset=True)
            async with world.channel(rungs=[way], limits={"poll_every": 0.005}) as channel:
                await channel.connect()
                world.server.append(1)
                await until(lambda channel=channel: channel.position.seq == 1)
                for length in range(2, 42):
                    world.server.append(1)
                    await until(lambda channel=channel, length=length: channel.position.seq == length)
            needed[way] = sum(world.server.asked.values())

    assert needed[rung] <= 4
    assert needed[rung] <= needed[Rung.POLL] / 10
