"""Tokens of a feed: brought, provided, refused, and renewed while the old ones are in use."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from outlast.errors import ConfigError
from outlast.sync_engine import Rung


async def test_refused_credentials_pause_until_new_ones_are_brought(feed, until):
    """A token that was brought and is refused is not tried again; with a new one it goes on, over a cut as well."""
    async with feed() as world, world.store() as store:
        world.server.tell(token="new")
        world.server.append(1)
        async with world.channel(store) as channel:
            await channel.connect("old")
            await until(lambda: channel.state.phase == "unauthorised")
            asked = sum(world.server.asked.values())
            channel.wake()
            await asyncio.sleep(0.1)
            assert sum(world.server.asked.values()) == asked <= 2
            await channel.connect("new")
            await channel.caught_up()
            assert channel.position.seq == 1
            await world.cut(channel, until)
        assert "new" not in repr(channel)
        assert b"new" not in world.path.read_bytes()


@pytest.mark.parametrize("rung", list(Rung))
async def test_a_provider_is_asked_when_a_token_runs_out(feed, until, rung):
    """On every rung a refusal asks for a new token, once, and the feed goes on."""
    given = []

    async def provide():
        given.append(f"token-{len(given)}")
        return given[-1]

    async with feed() as world:
        world.server.tell(token="token-0")
        async with world.channel(rungs=[rung], token=provide) as channel:
            await channel.connect()
            await channel.caught_up()
            assert given == ["token-0"]
            world.server.tell(token="token-1", close=4401)
            world.server.append(1)
            if rung is not Rung.POLL:
                await world.cut(channel, until) if rung is Rung.SSE else None
            await until(lambda: channel.state.live and channel.position.seq == 1)
            assert given == ["token-0", "token-1"]


async def test_a_close_for_another_reason_is_no_refusal(feed, until):
    """A server that closes with 1008 may mean anything: the feed comes back, and the pull tells of the credentials."""
    async with feed() as world:
        world.server.tell(token="good")
        async with world.channel(rungs=[Rung.WEBSOCKET]) as channel:
            await channel.connect("good")
            await channel.caught_up()
            world.server.tell(close=1008)
            world.server.append(1)
            await until(lambda: channel.state.live and channel.stats.connections == 2 and channel.position.seq == 1)
            world.server.tell(token="better", close=1008)
            await until(lambda: channel.state.phase == "unauthorised")


async def test_a_provider_that_fails_is_asked_again(feed):
    """Who gives out tokens may be away; a token that it gives and that is refused pauses the feed."""
    answers = iter([OSError("away"), "wrong"])

    def provide():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with feed() as world:
        world.server.tell(token="right")
        async with world.channel(token=provide) as channel, channel.states() as states:
            await channel.connect()
            seen = [await anext(states) for _ in range(5)]
            assert [state.phase for state in seen][:3] == ["unauthorised", "waiting", "unauthorised"]
            assert "no new credentials" in seen[1].reason
            while (await anext(states)).phase != "unauthorised":
                pass
            await channel.connect("right")
            await channel.caught_up()


async def test_a_provider_that_hangs_does_not_hold_the_feed(feed, until):
    """It is asked again after the time of a call, and a token that is brought meanwhile counts, whatever it says."""
    asked = []

    async def provide():
        asked.append(1)
        await asyncio.sleep(0.1 if len(asked) > 2 else 3600.0)
        return "late"

    async with feed() as world:
        world.server.tell(token="brought")
        async with world.channel(token=provide, call_timeout=0.3) as channel:
            await channel.connect()
            await until(lambda: "no new credentials: TimeoutError" in channel.state.reason)
            await until(lambda: len(asked) == 3)
            await channel.connect("brought")
            await channel.caught_up()


@pytest.mark.parametrize("token", ["s3cret\n", "s3cret ", "s3cr\u00e9t", "a\r\nX-Role: s3cret"])
async def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(feed, until, token):
    """What was read with the newline at the end of its file is an error at once, which tells nothing of the secret."""
    async with feed() as world, world.channel(token=lambda: token) as channel:
        with pytest.raises(ConfigError, match="token: holds what cannot stand in a header") as refused:
            await channel.connect(token)
        with pytest.raises(ConfigError, match="token: holds"):
            world.channel(token=token)
        await channel.connect()
        await until(lambda: channel.state.phase == "waiting")

        assert "ConfigError: token: holds" in channel.state.reason
        assert not any("s3c" in text for text in (str(refused.value), channel.state.reason, repr(channel)))


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
