from __future__ import annotations

import asyncio
import os
import signal
import tracemalloc

import pytest

from outlast.engines.backoff import Backoff
from outlast.errors import BadRequestError, Outcome, ShuttingDownError
from outlast.events import FeedApplyFailed
from outlast.outbox import Outbox
from outlast.storage import FileFormat, SqliteDatabase
from outlast.sync_engine import CallableTransport, FeedEvent, FeedStore, JsonFeed, Position, Rung, Runner
from outlast.testing import Recorder


class Failing:
    """Fail at one event, as often as told."""

    def __init__(self, world, seq, times):
        self.world = world
        self.seq = seq
        self.times = times

    def __call__(self, db, event):
        self.world.remember(db, event)
        if event.seq == self.seq and self.times:
            self.times -= 1
            raise LookupError("no such customer")


@pytest.mark.parametrize("rung", list(Rung))
async def test_an_event_that_cannot_be_applied_stops_the_feed(feed, rung):
    """Nothing of its group is stored, the error comes through unchanged, and the next start gets it again."""
    async with feed() as world:
        world.server.append(2)
        failing = Failing(world, 5, 1)
        async with world.store(apply=failing) as store:
            channel = world.channel(store, rungs=[rung])
            with pytest.raises(LookupError, match="no such customer"):
                await fed(channel, lambda: world.server.append(4))
            assert (await store.position()).seq == len(await world.applied(store)) < 5
        async with world.store() as store, world.channel(store, rungs=[rung]) as channel:
            await channel.connect()
            await channel.caught_up()

            assert await world.applied(store) == [1, 2, 3, 4, 5, 6]


async def fed(channel, feed):
    """Follow a feed on which something happens, until it ends."""
    async with channel:
        await channel.connect()
        await channel.caught_up()
        feed()
        await channel.closed()


async def test_an_event_that_cannot_be_applied_is_tried_again(feed, until):
    """As configured the feed waits and applies it again, in order; each failure is an event."""
    async with feed() as world, world.store() as store:
        store._apply = Failing(world, 2, 3)
        with Recorder(world.bus, FeedApplyFailed) as seen:
            async with world.channel(store, retry_apply=Backoff.fixed(0.01)) as channel:
                await channel.connect()
                await channel.caught_up()
                world.server.append(3)
                await until(lambda: channel.position.seq == 3)
                assert channel.stats.connections == 1

        assert [event.error for event in seen.events] == ["LookupError"] * 3
        assert await world.applied(store) == [1, 2, 3]


async def test_rows_and_cursor_live_in_tables_of_yours(feed, until, tmp_path):
    """With a database of the caller both go there, in one commit; two feeds in it do not meet."""
    layout = FileFormat("app", 0x41505031, 1, ("CREATE TABLE note (id TEXT PRIMARY KEY, n INTEGER)",))

    def apply(db, event):
        db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (event.entity, event.body["n"]))

    database = await asyncio.to_thread(SqliteDatabase, tmp_path / "app.db", layout)
    store, other = FeedStore(database, apply=apply), FeedStore(database, feed="other")
    async with feed() as world, store:
        world.server.append(2)
        async with world.channel(store) as channel:
            await channel.connect()
            await channel.caught_up()
        await other.position()
        rows = database.read(lambda db: list(db.execute("SELECT id, n FROM note ORDER BY id"))).result()

        assert rows == [("note/0", 0), ("note/1", 1)]
        assert ((await store.position()).seq, (await other.position()).seq) == (2, None)
        assert await other.rows() == []


async def test_a_database_of_yours_can_be_read_before_the_first_pull(tmp_path):
    """Its feed is empty then, and can be reset; the tables of the feed are made when they are needed."""
    layout = FileFormat("app", 0x41505031, 1, ("CREATE TABLE note (id TEXT PRIMARY KEY, n INTEGER)",))
    for number, look in enumerate([FeedStore.rows, FeedStore.reset, lambda store: store.get("a")]):
        database = await asyncio.to_thread(SqliteDatabase, tmp_path / f"{number}.db", layout)
        async with FeedStore(database) as store:
            assert not await look(store)
    database = await asyncio.to_thread(SqliteDatabase, tmp_path / "app.db", layout)
    async with FeedStore(database) as store:
        assert len(await store.commit([FeedEvent(seq=1, entity="a", body=1)], Position("1", 1))) == 1


async def test_what_is_deleted_is_gone(feed, until):
    """The kept rows follow the feed: the last body of each entity, and nothing of a deleted one."""
    async with feed() as world, world.store(apply=None) as store:
        async with world.channel(store) as channel:
            await channel.connect()
            world.server.append(1, entity="a", body=1)
            world.server.append(1, entity="b", body=2)
            world.server.append(1, entity="a", body=3)
            world.server.append(1, entity="b", deleted=True)
            await until(lambda: channel.position.seq == 4)

        assert [(row.entity, row.seq, row.body) for row in await store.rows()] == [("a", 3, 3)]


async def test_own_echoes_are_stored_and_no_news(feed, until):
    """What our own outbox has caused comes back under its key: the rows advance, and nobody is told."""
    async with (
        feed() as world,
        world.store(apply=None) as store,
        await Outbox.open(world.path.with_name("box.db"), bus=world.bus) as box,
        world.channel(store, own=lambda key: key.startswith(box.core.store_id)) as channel,
        channel.messages() as messages,
    ):
        await channel.connect()
        await channel.caught_up()

        async def send(op):
            world.server.append(1, entity=op.entity, body={"n": 7}, key=op.key)
            return Outcome.APPLIED

        await box.put("note", "mine", {"n": 7})
        async with Runner(box, CallableTransport(send)) as runner:
            await runner.run_until_idle()
        world.server.append(1, entity="theirs")
        theirs = await anext(messages)

        assert (theirs.entity, theirs.own, channel.stats.own) == ("theirs", False, 1)
        assert (await store.get("mine")).body == {"n": 7}


async def test_a_slow_reader_holds_the_feed_back(feed, until):
    """A reader that is behind is waited for: nothing is skipped, and memory stays where it is."""
    async with feed() as world, world.channel(page_limit=10) as channel, channel.messages(max_buffer=5) as messages:
        world.server.append(200, body="x" * 10_000)
        await channel.connect()
        await until(lambda: channel.stats.applied)
        await asyncio.sleep(0.1)
        assert channel.stats.applied == 10
        assert [(await anext(messages)).seq for _ in range(200)] == list(range(1, 201))
        await channel.caught_up()


@pytest.mark.parametrize("rung", [Rung.WEBSOCKET, Rung.SSE])
async def test_a_fast_feed_takes_no_more_memory(feed, until, rung):
    """Pushes that come faster than they are read wait with the server, not here."""
    async with feed() as world:
        world.server.append(1)
        async with world.channel(rungs=[rung]) as channel, channel.messages(max_buffer=2) as messages:
            await channel.connect()
            assert (await anext(messages)).seq == 1
            await channel.caught_up()
            tracemalloc.start()
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            try:
                for _ in range(20):
                    world.server.append(20, body="x" * 50_000)
                await until(lambda: channel.stats.applied > 1)
                await asyncio.sleep(0.2)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert peak - before < 8_000_000
            assert [(await anext(messages)).seq for _ in range(400)] == list(range(2, 402))


async def test_readers_end_with_the_feed(feed, until):
    """Who leaves lets the feed go on; who stays until the end reads what is there, and gets the error."""
    async with feed() as world, world.store() as store:
        store._apply = Failing(world, 4, 1)
        world.server.append(3)
        channel = world.channel(store)
        async with channel.messages(max_buffer=1):
            await channel.connect()
            await until(lambda: channel.stats.applied)
        await channel.caught_up()
        async with channel.messages() as messages:
            world.server.append(1)
            with pytest.raises(LookupError):
                await anext(messages)
        async with channel.messages() as messages:
            await channel.connect()
            assert (await anext(messages)).seq == 4
            await channel.aclose()
            assert [event async for event in messages] == []
        with pytest.raises(ShuttingDownError):
            await channel.connect()


async def test_who_comes_after_the_end_is_told_so(feed):
    """A reader, or who waits, that comes when the feed has failed or was closed does not wait for ever."""
    async with feed() as world:
        world.server.tell(status=404)
        channel = world.channel(rungs=[Rung.POLL])
        await channel.connect()
        with pytest.raises(BadRequestError):
            await channel.closed()
        async with channel.messages() as messages:
            with pytest.raises(BadRequestError):
                await anext(messages)
            world.server.tell(status=None)
            await channel.connect()
            await channel.caught_up()
            reading, ending = asyncio.create_task(anext(messages, "ended")), asyncio.create_task(channel.closed())
            await asyncio.sleep(0)
            await channel.aclose()
            assert (await reading, await ending) == ("ended", None)
        async with channel.messages() as messages:
            assert [event async for event in messages] == []
        with pytest.raises(ShuttingDownError):
            await channel.caught_up()
        await channel.closed()


async def test_closing_twice_leaves_no_connection(feed, until):
    """Who closes a second time waits with the first, also where the server does not answer the goodbye."""
    async with feed() as world:
        channel = world.channel(rungs=[Rung.WEBSOCKET])
        await channel.connect()
        await channel.caught_up()
        socket = channel._loop._line._socket
        os.kill(world.server.process.pid, signal.SIGSTOP)
        try:
            first = asyncio.create_task(channel.aclose())
            await until(lambda: channel._loop._line is None)
            await channel.aclose()
            await first
            assert socket.transport.is_closing()
        finally:
            os.kill(world.server.process.pid, signal.SIGCONT)


class Ending(JsonFeed):
    """Read pages until there is an end to be made; then that happens while the feed puts a failure in order."""

    end = None

    def page(self, body):
        """Read a page."""
        if self.end is None:
            return super().page(body)
        asyncio.get_running_loop().call_soon(self.end)
        raise ValueError("the last page")


async def test_an_end_while_a_failure_is_put_in_order_leaves_no_connection(feed, until):
    """Who is cancelled while a lost rung is being closed closes it all the same."""
    form, limits = Ending(), {"resync_every": 0.2}
    async with feed() as world, world.channel(rungs=[Rung.WEBSOCKET], form=form, limits=limits) as channel:
        await channel.connect()
        await channel.caught_up()
        socket = channel._loop._line._socket
        form.end = channel._task.cancel
        await until(channel._task.done)

        assert socket.transport.is_closing()


@pytest.mark.parametrize("turns", range(4))
async def test_an_end_that_comes_twice_leaves_no_connection(feed, until, turns):
    """A loop that ends cancels every task, also one that is closing its connection because it was cancelled."""
    async with feed() as world, world.channel(rungs=[Rung.WEBSOCKET]) as channel:
        await channel.connect()
        await channel.caught_up()
        socket = channel._loop._line._socket
        channel._task.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        channel._task.cancel()
        await until(channel._task.done)

        assert socket.transport.is_closing()


@pytest.mark.parametrize("moment", ["connecting", "catching-up", "live", "waiting"])
async def test_it_can_be_cancelled_at_any_moment(feed, until, moment):
    """Leaving the block ends everything at once: no task, no socket, and the store goes on where it is."""
    async with feed() as world, world.store() as store:
        world.server.append(5)
        ladder = {"reconnect": Backoff.fixed(60.0)}
        async with world.channel(store, page_limit=1, limits=ladder) as channel, channel.states() as states:
            await channel.connect()
            async for state in states:
                if state.phase == moment:
                    break
                if state.live:
                    world.proxy.set(world.refuse)
        async with world.channel(store) as channel:
            world.proxy.set(world.healthy)
            await channel.connect()
            await channel.caught_up()

        assert await world.applied(store) == [1, 2, 3, 4, 5]


async def test_two_channels_on_one_store_do_no_harm(feed, until):
    """Each event is applied once, whoever brings it."""
    async with feed() as world, world.store() as store:
        async with world.channel(store) as one, world.channel(store, rungs=[Rung.SSE]) as two:
            for channel in (one, two):
                await channel.connect()
                await channel.caught_up()
            for length in range(3, 30, 3):
                world.server.append(3)
                await until(lambda length=length: one.position.seq == two.position.seq == length)

        assert await world.applied(store) == list(range(1, 28))


async def test_a_late_channel_does_not_move_the_cursor_back(tmp_path):
    """One that commits what another has already applied leaves the further place, so that nothing is applied again."""
    async with await FeedStore.open(tmp_path / "feed.db") as store:
        assert await store.position() == Position()
        await store.commit([], Position("nine", 9))
        await store.commit([], Position("eight", 8))

        assert await store.position() == Position("nine", 9)


async def test_two_channels_on_one_store_do_no_harm_without_numbers(feed, until):
    """Where only a cursor tells the place, each event is applied once as well, and the cursor never goes back."""
    applied = []
    async with feed() as world, world.store(apply=lambda db, event: applied.append(event.entity)) as store:
        channels = world.channel(store, rungs=[Rung.LONG_POLL]), world.channel(store, rungs=[Rung.LONG_POLL])
        async with channels[0] as one, channels[1] as two:
            for channel in (one, two):
                await channel.connect()
                await channel.caught_up()
            for length in range(1, 9):
                world.server.append(1, seq=None, entity=f"note/{length}")
                await until(lambda length=str(length): one.position.cursor == two.position.cursor == length)

    assert applied == [f"note/{length}" for length in range(1, 9)]


async def test_a_copy_that_lags_behind_makes_nothing_new_again(feed, until):
    """Pulls may be answered by a copy of the server that knows less: what it then learns is known here already."""
    async with feed() as world, world.channel(rungs=[Rung.POLL]) as channel, channel.messages() as messages:
        world.server.append(5)
        await channel.connect()
        await channel.caught_up()
        world.server.tell(lag=3)
        await until(lambda: channel.position.cursor == "2")
        world.server.tell(lag=0)
        world.server.append(1)

        assert [(await anext(messages)).seq for _ in range(6)] == [1, 2, 3, 4, 5, 6]
        assert channel.stats.applied == 6


async def test_a_late_page_without_numbers_is_not_applied(tmp_path):
    """What follows on a place that is no longer the stored one would put old rows over new ones."""
    async with await FeedStore.open(tmp_path / "feed.db") as store:
        await store.commit([FeedEvent(entity="a", body="new")], Position("nine"), behind=Position())

        assert await store.commit([FeedEvent(entity="a", body="old")], Position("two"), behind=Position("one")) is None
        assert (await store.position(), (await store.get("a")).body) == (Position("nine"), "new")
