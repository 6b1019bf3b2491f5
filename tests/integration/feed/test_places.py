"""Where a feed goes on: behind a stream without ids, and after its store was set back."""

from __future__ import annotations

import pytest

from outlast.sync_engine import Rung


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


@pytest.mark.parametrize("seq", [{}, {"seq": None}], ids=["numbered", "cursor"])
async def test_a_feed_that_is_reset_while_it_is_live_begins_anew(feed, until, seq):
    """The rows come back with the next event, and none of them is missing after a restart."""
    async with feed() as world, world.store(apply=None) as store:
        world.server.append(3, **seq)
        async with world.channel(store, rungs=[Rung.LONG_POLL]) as channel:
            await channel.connect()
            await channel.caught_up()
            await store.reset()
            world.server.append(1, **seq)
            await until(lambda: channel.position.cursor == "4" and channel.stats.applied == 7)

        assert [row.entity for row in await store.rows()] == ["note/0", "note/1", "note/2", "note/3"]


async def test_a_poll_notices_a_reset_without_any_event(feed, until):
    """Each pull begins at the place that is stored then."""
    async with feed() as world, world.store(apply=None) as store:
        world.server.append(3)
        async with world.channel(store, rungs=[Rung.POLL]) as channel:
            await channel.connect()
            await channel.caught_up()
            await store.reset()
            await until(lambda: channel.stats.applied == 6)

        assert len(await store.rows()) == 3
