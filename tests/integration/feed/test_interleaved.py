"""Two intakes on one store, whatever comes between the steps of either: the rows end as the feed has told."""

import asyncio
import contextlib
import random

import pytest

from outlast.clock import SYSTEM_CLOCK, SYSTEM_RANDOM
from outlast.events import EventBus
from outlast.sync_engine import FeedEvent, FeedPage, FeedStore
from outlast.sync_engine._feed_intake import FeedIntake


class Log:
    """A feed that is pulled in small pages, each of which may take its time."""

    def __init__(self, chance, *, numbered):
        self.chance = chance
        self.numbered = numbered
        self.events = []

    def add(self):
        """Let something change."""
        place = len(self.events) + 1
        entity, deleted = self.chance.choice("abc"), self.chance.random() < 0.2
        seq = place if self.numbered else None
        self.events.append(FeedEvent(seq=seq, cursor=str(place), entity=entity, body=place, deleted=deleted))

    async def pull(self, position):
        """Return what lies behind a position, as it was before somebody else had a turn."""
        after = int(position.cursor or 0)
        events = tuple(self.events[after : after + self.chance.randint(1, 4)])
        last = after + len(events)
        page = FeedPage(events, str(last), last < len(self.events))
        await asyncio.sleep(self.chance.choice([0, 0, 0.001]))
        return page

    @property
    def rows(self):
        """Return what the events add up to."""
        last = {event.entity: event for event in self.events}
        return {event.entity: event.body for event in last.values() if not event.deleted}


async def live(intake, log, store):
    """Pull, be pushed to, and be killed in between; now and then the store is reset."""
    for _ in range(12):
        match log.chance.choice(["add", "push", "page", "pull", "reset", "kill"]):
            case "add":
                log.add()
            case "push":
                await intake.take(log.events[-1:])
            case "page":
                await intake.take(await log.pull(intake.position))
            case "pull":
                await intake.catch_up("test")
            case "reset":
                await store.reset()
            case _:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(log.chance.random() * 0.002):
                        await intake.catch_up("test")


@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "cursor"])
@pytest.mark.parametrize("seed", range(13))
async def test_two_intakes_on_one_store(tmp_path, seed, numbered):
    """Pages come late, steps are cut off and the store is reset, and in the end each row is that of the last event."""
    log = Log(random.Random(seed), numbered=numbered)
    async with await FeedStore.open(tmp_path / "feed.db", durability="process") as store:
        intakes = [
            FeedIntake(
                log, store, own=None, retry_apply=None, name="feed", bus=EventBus(), clock=SYSTEM_CLOCK,
                random=SYSTEM_RANDOM,
            )
            for _ in range(2)
        ]  # fmt: skip
        await asyncio.gather(*(live(intake, log, store) for intake in intakes))
        log.add()
        for intake in intakes:
            await intake.catch_up("test")

        assert {row.entity: row.body for row in await store.rows()} == log.rows
        assert (await store.position()).cursor == str(len(log.events))
