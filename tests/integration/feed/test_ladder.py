from __future__ import annotations

import asyncio
import os
import signal

import httpx2
import pytest

from outlast.engines.backoff import Backoff
from outlast.errors import BadRequestError, ConfigError, SyncError
from outlast.events import ConnectionChanged, FeedResynced, FeedStopped
from outlast.lab.proxy import BlackHole, Healthy, Refuse, Status
from outlast.sync_engine import LadderConfig, Position, RealtimeChannel, Rung
from outlast.testing import Recorder


@pytest.mark.parametrize("refused", [0, 1, 2, 3])
async def test_what_is_not_offered_is_left_for_the_next_lower(feed, until, refused):
    """Each rung carries the feed when those above it are not there, and none of them is asked twice."""
    rungs = list(Rung)
    async with feed() as world, world.store() as store:
        world.server.tell(refuse=[rung.value for rung in rungs[:refused]])
        world.server.append(3)
        async with world.channel(store) as channel:
            await channel.connect()
            await channel.caught_up()
            await until(lambda: channel.state.live and channel.state.rung == rungs[refused].value)
            world.server.append(2)
            await until(lambda: channel.position.seq == 5)

        assert await world.applied(store) == [1, 2, 3, 4, 5]
        assert all(world.server.asked[rung.value] == 1 for rung in rungs[:refused])


async def test_from_a_lower_rung_it_climbs_back(feed, until):
    """Once the server offers the quickest way again it is used, and nothing is missed on the way up."""
    async with feed() as world, world.store() as store:
        world.server.tell(refuse=["websocket", "sse"])
        async with world.channel(store, limits={"climb": Backoff.fixed(0.05)}) as channel:
            await channel.connect()
            await channel.caught_up()
            assert channel.state.rung == "long-poll"
            world.server.append(2)
            await until(lambda: world.server.asked["websocket"] >= 3)
            world.server.append(2)
            world.server.tell(refuse=[])
            await until(lambda: channel.state.live and channel.state.rung == "websocket")
            world.server.append(2)
            await until(lambda: channel.position.seq == 6)

        assert await world.applied(store) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("rung", [Rung.WEBSOCKET, Rung.SSE])
async def test_a_peer_that_falls_silent_is_left(feed, until, rung):
    """A server that is frozen, with every connection still open, is noticed by its silence."""
    limits = {"heartbeat_timeout": 0.5}
    async with feed() as world, world.channel(rungs=[rung], limits=limits, call_timeout=0.3) as channel:
        world.server.tell(heartbeat=0.1)
        await channel.connect()
        await channel.caught_up()
        os.kill(world.server.process.pid, signal.SIGSTOP)
        try:
            await until(lambda: not channel.state.live)
        finally:
            os.kill(world.server.process.pid, signal.SIGCONT)
        world.server.append(2)
        await until(lambda: channel.state.live and channel.position.seq == 2)


@pytest.mark.parametrize("rung", [Rung.WEBSOCKET, Rung.SSE])
async def test_a_quiet_peer_that_lives_is_kept(feed, until, rung):
    """Pings and comments are signs of life: a feed on which nothing happens stays connected."""
    async with feed() as world:
        world.server.tell(heartbeat=0.1)
        async with world.channel(rungs=[rung], limits={"heartbeat_timeout": 3.0, "resync_every": 0.25}) as channel:
            await channel.connect()
            await until(lambda: channel.stats.pulls >= 9)

            assert channel.stats.connections == 1


@pytest.mark.parametrize("rung", [Rung.SSE, Rung.LONG_POLL])
async def test_an_impatient_client_of_yours_keeps_a_quiet_feed(feed, until, rung):
    """A client gives up a read after 5 s unless told otherwise; here the limits of the channel count instead."""
    async with feed() as world, httpx2.AsyncClient(timeout=0.1, trust_env=False) as client:
        world.server.tell(heartbeat=0.5)
        async with world.channel(rungs=[rung], client=client, hold=0.5) as channel:
            await channel.connect()
            await channel.caught_up()
            await asyncio.sleep(0.3)
            world.server.append(1)
            await until(lambda: channel.position.seq == 1)

            assert channel.stats.connections == 1


@pytest.mark.parametrize("rung", [Rung.WEBSOCKET, Rung.SSE])
@pytest.mark.parametrize("plan", [{"swallow": 1}, {"twice": True}, {"hint": True}], ids=lambda plan: next(iter(plan)))
async def test_pushes_are_hints(feed, until, rung, plan):
    """Lost, doubled or empty, pushes lead to the same rows, each applied once."""
    async with feed() as world, world.store() as store:
        world.server.tell(**plan)
        world.server.append(2)
        async with world.channel(store, rungs=[rung]) as channel:
            await channel.connect()
            await channel.caught_up()
            for length in (4, 6):
                world.server.append(2)
                await until(lambda length=length: channel.position.seq == length)
            await until(lambda: channel.stats.duplicates or "twice" not in plan)

        assert await world.applied(store) == [1, 2, 3, 4, 5, 6]
        assert (channel.stats.gaps > 0) == ("twice" not in plan)


@pytest.mark.parametrize("rung", [Rung.WEBSOCKET, Rung.SSE])
async def test_a_lost_last_push_is_found(feed, until, rung):
    """A push that nothing later betrays is found by the pull that comes now and then."""
    async with feed() as world, world.store() as store:
        world.server.tell(mute=True)
        async with world.channel(store, rungs=[rung], limits={"resync_every": 0.1}) as channel:
            await channel.connect()
            await channel.caught_up()
            world.server.append(1)
            await until(lambda: channel.position.seq == 1)

            assert channel.stats.connections == 1


async def test_pages_are_pulled_until_there_is_no_more(feed):
    """However much has happened meanwhile, the feed is live only when all of it is stored."""
    async with feed() as world, world.store() as store:
        world.server.append(23)
        with Recorder(world.bus, FeedResynced) as seen:
            async with world.channel(store, page_limit=5) as channel:
                await channel.connect()
                await channel.caught_up()

                assert await world.applied(store) == list(range(1, 24))
        assert [(event.reason, event.events, event.pages) for event in seen.events] == [("connected", 23, 5)]


async def test_a_page_that_takes_too_long_is_asked_for_in_pieces(feed, until):
    """A line that is too slow for what is asked for at once still gets on, and nothing is missed."""
    async with feed() as world, world.store() as store:
        world.server.append(12)
        world.server.tell(drip=0.04)
        async with world.channel(store, rungs=[Rung.POLL], page_limit=16, call_timeout=0.25) as channel:
            await channel.connect()
            await until(lambda: channel.position.seq == 12, seconds=50.0)

        assert await world.applied(store) == list(range(1, 13))


async def test_states_say_what_is_true(feed, until):
    """Callbacks, stream and bus tell the same; live comes after the handshake and the pull, never before."""
    async with feed() as world:
        world.proxy.set(Refuse())
        called = []
        async with world.channel(on_reconnect=lambda: called.append("kicked")) as channel:
            assert channel.state.phase == "stopped"
            with Recorder(world.bus, ConnectionChanged) as bus, channel.on_state(called.append):
                async with channel.states() as states:
                    await channel.connect()
                    assert (await anext(states)).phase == "connecting"
                    waiting = await anext(states)
                    assert (waiting.phase, waiting.wait > 0, waiting.live) == ("waiting", True, False)
                    assert "ConnectionRefused" in waiting.reason or "ConnectError" in waiting.reason
                    world.proxy.set(Healthy())
                    await channel.caught_up()
                assert called.count("kicked") == 1
                called.remove("kicked")
                assert [state.phase for state in called[-3:]] == ["connecting", "catching-up", "live"]
            assert called == bus.events
            await world.cut(channel, until)
            assert called[-1:] == ["kicked"]
        assert channel.state.phase == "stopped"


async def test_a_wait_can_be_ended(feed, until):
    """What knows that the network is back says so, and nobody waits an hour."""
    async with feed() as world:
        world.proxy.set(Refuse())
        async with world.channel(reconnect=Backoff.fixed(3600.0)) as channel:
            await channel.connect()
            await until(lambda: channel.state.phase == "waiting")
            world.proxy.set(Healthy())
            channel.wake()
            await channel.caught_up()


async def test_the_servers_wish_is_honoured(feed, until):
    """Retry-After, and the retry of a stream, are the least that is waited."""
    async with feed() as world:
        world.proxy.set(Status(503, retry_after=60))
        async with world.channel() as channel:
            await channel.connect()
            await until(lambda: channel.state.phase == "waiting")
            assert 50 < channel.state.wait <= 60
            world.server.tell(retry=30_000)
            world.proxy.set(Healthy())
        async with world.channel(rungs=[Rung.SSE]) as channel:
            await channel.connect()
            await channel.caught_up()
            world.server.append(1)
            await until(lambda: channel.position.seq == 1)
            world.proxy.set(Refuse())
            await until(lambda: channel.state.phase == "waiting")
            assert 20 < channel.state.wait <= 30


async def test_a_header_that_comes_twice_is_no_end(until):
    """Two proxies in a row may both say when to come again; the handshake is refused, and the feed goes on."""

    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Away\r\nRetry-After: 30\r\nRetry-After: 40\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        ladder = LadderConfig(rungs=(Rung.WEBSOCKET,))
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/feed"
        async with RealtimeChannel(url, ladder=ladder) as channel:
            await channel.connect()
            await until(lambda: channel.state.phase == "waiting")
            assert 20 < channel.state.wait <= 40


@pytest.mark.parametrize("rung", [Rung.WEBSOCKET, Rung.SSE, Rung.POLL])
async def test_a_black_hole_is_left(feed, until, rung):
    """A network that swallows everything counts as no answer, within the limit of a call."""
    async with feed() as world:
        world.proxy.set(BlackHole(0.0))
        async with world.channel(rungs=[rung], call_timeout=0.1) as channel:
            await channel.connect()
            await until(lambda: channel.state.phase == "waiting")
            assert "Timeout" in channel.state.reason


async def test_giving_up_is_loud(feed):
    """With a bound on attempts the feed ends by an error that says why, everywhere that somebody looks."""
    async with feed() as world:
        world.proxy.set(Refuse())
        channel = world.channel(max_attempts=3)
        with Recorder(world.bus, FeedStopped) as seen, pytest.raises(SyncError, match="gave up after 3 attempts"):
            await follow(channel, channel.caught_up)
        assert "gave up" in seen.events[0].reason
        assert channel.state.phase == "stopped"


async def follow(channel, wait):
    """Connect a channel and wait within its block."""
    async with channel:
        await channel.connect()
        await wait()


async def test_a_failure_that_nobody_waited_for_ends_the_block(feed, until):
    """Who leaves the block without having looked gets the error too."""
    async with feed() as world:
        world.proxy.set(Refuse())
        channel = world.channel(max_attempts=1)
        with pytest.raises(SyncError, match="gave up"):
            await follow(channel, lambda: until(lambda: channel.state.reason == "SyncError"))


async def test_it_can_be_connected_anew_after_it_gave_up(feed):
    """A further `connect` starts afresh."""
    async with feed() as world:
        world.proxy.set(Refuse())
        async with world.channel(max_attempts=1) as channel:
            await channel.connect()
            with pytest.raises(SyncError):
                await channel.closed()
            world.proxy.set(Healthy())
            await channel.connect()
            await channel.caught_up()


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (410, SyncError, "await store.reset"),
        (404, BadRequestError, "cannot be pulled"),
        (308, BadRequestError, "308 and points to http://portal.example/login; no"),
    ],
)
async def test_a_feed_that_cannot_be_pulled_stops(feed, status, error, said):
    """What no repetition changes ends the feed, with what can be done about it."""
    async with feed() as world:
        world.server.tell(status=status)
        channel = world.channel()
        with pytest.raises(error, match=said):
            await follow(channel, channel.closed)


@pytest.mark.parametrize(
    ("plan", "healed", "said"),
    [
        ({"status": 302}, {"status": None}, "302 and points to http://portal.example/login; no redirect is followed"),
        ({"astray": True}, {"astray": False}, "says that there is more, and gives no new cursor"),
    ],
    ids=["login", "astray"],
)
async def test_a_pull_that_leads_nowhere_is_tried_again(feed, until, plan, healed, said):
    """Neither a network that wants a login nor cursors that go round end the feed, or are followed without a pause."""
    async with feed() as world:
        world.server.tell(**plan)
        async with world.channel(rungs=[Rung.POLL], reconnect=Backoff.fixed(3600.0)) as channel:
            await channel.connect()
            await until(lambda: channel.state.phase == "waiting")
            assert said in channel.state.reason
            assert world.server.asked["poll"] <= 3
            world.server.tell(**healed)
            channel.wake()
            await channel.caught_up()


async def test_a_forgotten_cursor_is_pulled_anew(feed, until):
    """After a reset everything comes again from the beginning."""
    async with feed() as world, world.store(apply=None) as store:
        world.server.append(3)
        async with world.channel(store) as channel:
            await channel.connect()
            await channel.caught_up()
        assert [row.body["n"] for row in await store.rows()] == [0, 1, 2]
        await store.reset()
        assert await store.rows() == []
        async with world.channel(store) as channel:
            await channel.connect()
            await channel.caught_up()
        assert (await store.get("note/2")).seq == 3
        assert await store.get("note/7") is None


@pytest.mark.parametrize("mark", ["\u00fc", " ", "\u20ac\u200b"])
async def test_a_stream_is_resumed_at_any_cursor(feed, until, mark):
    """A cursor is text of the server's: what a header cannot hold goes without it."""
    async with feed() as world, world.store() as store, world.channel(store, rungs=[Rung.SSE]) as channel:
        world.server.tell(mark=mark)
        await channel.connect()
        await channel.caught_up()
        world.server.append(2)
        await until(lambda: channel.position.seq == 2)
        await world.cut(channel, until)
        world.server.append(1)
        await until(lambda: channel.position == Position(f"{mark}3", 3))

        assert await world.applied(store) == [1, 2, 3]


async def test_a_page_of_somebody_else_is_no_answer(feed, until):
    """What a login page of a network says is neither applied nor the end."""
    async with feed() as world, world.store() as store:
        world.server.append(2)
        world.server.tell(garbage=True)
        async with world.channel(store) as channel:
            await channel.connect()
            await until(lambda: "no page of a feed" in channel.state.reason)
            world.server.tell(garbage=False)
            await channel.caught_up()
            assert channel.position.seq == 2


@pytest.mark.parametrize("plan", [{"held": False}, {"deaf": True}], ids=lambda plan: next(iter(plan)))
async def test_a_server_that_holds_no_requests_is_not_hammered(feed, until, plan):
    """Answers that come at once without news mean that there is no long poll, and the next lower rung is taken."""
    async with feed() as world:
        world.server.tell(**plan)
        world.server.append(1)
        async with world.channel(rungs=[Rung.LONG_POLL, Rung.POLL], limits={"poll_every": 60.0}) as channel:
            await channel.connect()
            await until(lambda: channel.state.live and channel.state.rung == "poll")
            assert world.server.asked["long-poll"] == 3


@pytest.mark.parametrize("url", ["ftp://x/feed", "/feed", "http://me:secret@x/feed", "http://x/feed#part"])
def test_addresses_that_make_no_sense(url):
    """Each is refused at once, and none shows a secret."""
    with pytest.raises(ConfigError, match="url") as refused:
        RealtimeChannel(url)

    assert "secret" not in str(refused.value)


async def test_it_is_started_first():
    """Who waits for a feed that was not started is told so; one that was closed cannot be started again."""
    async with RealtimeChannel("wss://api.example.org/feed?tenant=7") as channel:
        with pytest.raises(ConfigError, match="connect"):
            await channel.caught_up()
    assert repr(channel) == "RealtimeChannel('https://api.example.org/feed', stopped, websocket)"
    with pytest.raises(Exception, match="is closed"):
        await channel.connect()
