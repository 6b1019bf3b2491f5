"""Tokens that are renewed while the old ones are in use, and streams that are resumed."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from outlast.sync_engine import Rung


async def test_a_token_that_was_renewed_in_time_is_tried(feed, until):
    """The server closes the connection of the old token when that runs out; the new one, brought before, goes on."""
    async with feed() as world, world.channel(rungs=[Rung.WEBSOCKET]) as channel:
        world.server.tell(token="old")
        await channel.connect("old")
        await channel.caught_up()
        await channel.connect("new")
        world.server.append(1)
        world.server.tell(token="new", close=4401)
        await until(lambda: channel.state.live and channel.position.seq == 1)

        world.server.tell(token="newer", close=4401)
        await until(lambda: channel.state.phase == "unauthorised")


@pytest.mark.parametrize("provided", [False, True], ids=["brought", "provided"])
async def test_a_late_refusal_of_the_old_token_does_not_stop_the_new_one(feed, until, provided):
    """Who brings a token while a request with the old one is on its way has brought it for the next request."""
    async with feed() as world, world.channel(rungs=[Rung.POLL]) as channel:
        world.server.tell(token="new")
        os.kill(world.server.process.pid, signal.SIGSTOP)
        try:
            await channel.connect("old")
            await until(lambda: channel.state.phase == "catching-up")
            await channel.connect((lambda: "new") if provided else "new")
        finally:
            os.kill(world.server.process.pid, signal.SIGCONT)

        async with asyncio.timeout(15):
            await channel.caught_up()
        assert world.server.asked["poll"] == 2


async def test_a_stream_whose_events_have_no_ids_moves_the_cursor(feed, until):
    """The place of an event stands in for its id, also after the stream was resumed at one."""
    async with feed() as world, world.store() as store:
        world.server.tell(named=False, heartbeat=0.1)
        world.server.append(3)
        for length in (5, 7):
            async with world.channel(store, rungs=[Rung.SSE]) as channel:
                await channel.connect()
                await channel.caught_up()
                pulls = channel.stats.pulls
                world.server.append(2)
                await until(lambda channel=channel, length=length: channel.position.seq == length)

                assert (await store.position()).cursor == str(length)
                assert channel.stats.pulls == pulls
