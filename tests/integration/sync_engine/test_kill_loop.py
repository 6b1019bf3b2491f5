from __future__ import annotations

import asyncio
import importlib.util
import random
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from outlast.lab.proxy import DropAnswer, Healthy
from unmeasured import UNMEASURED

KILLS = 42
PRODUCERS = 2


def observer():
    """Load the observer by its path: it is no part of any package."""
    spec = importlib.util.spec_from_file_location("kill_loop_observer", Path(__file__).with_name("observer.py"))
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # its dataclass looks itself up by name
    spec.loader.exec_module(module)
    return module


class Play:
    """Keep producers and a deliverer alive, and kill them at random moments."""

    def __init__(self, world, ledger, chance):
        self.world = world
        self.ledger = ledger
        self.chance = chance
        self.cast = {}
        self.kills = 0

    async def start(self, role):
        """Start somebody; a deliverer is waited for, as one that is killed before it works proves nothing."""
        if role == "runner":
            self.cast[role] = self.world.start("--url", self.world.url, "--forever", "--concurrency", 4, env=UNMEASURED)
            assert await self.world.says(self.cast[role]) == {"leased": True}
        else:
            self.cast[role] = self.world.start(
                "--produce", f"{self.world.prefix}.{role}", "--ledger", self.ledger, env=UNMEASURED
            )

    async def kill(self, role):
        """Kill somebody who is alive."""
        assert self.cast[role].poll() is None, f"{role} ended by itself"
        self.cast[role].kill()
        await self.world.ended(self.cast[role])

    async def act(self):
        """Kill somebody again and again; the deliverer more often, since it has more to lose."""
        producers = [str(number) for number in range(PRODUCERS)]
        for role in ("runner", *producers):
            await self.start(role)
        while self.kills < KILLS:
            await asyncio.sleep(self.chance.uniform(0.01, 0.15))
            role = self.chance.choice(["runner", "runner", *producers])
            await self.kill(role)
            self.kills += 1
            await self.start(role)
        for role in ("runner", *producers):
            await self.kill(role)


@pytest.mark.timeout(900)
async def test_nothing_is_lost_or_doubled_however_often_anybody_is_killed(world, tmp_path):
    """Producers and a deliverer are killed more than forty times while answers get lost; an observer counts."""
    chance = random.Random(20)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied(chance=chance))
        proxy.set(DropAnswer(0.15))
        play = Play(world, tmp_path / "ledger", chance)
        await play.act()
        proxy.set(Healthy())
        box = await world.open(stack)
        async with world.runner(box, concurrency=8) as runner, asyncio.timeout(300):
            await runner.run_until_idle()
        counts = await box.counts()

    verdict = observer().judge(play.ledger, world.api.db, world.prefix)
    assert play.kills == KILLS
    assert verdict.acknowledged > 100
    assert (verdict.lost, verdict.doubled, verdict.unordered) == ([], [], [])
    assert (counts.open, counts.conflict, counts.dead) == (0, 0, 0)
    assert counts.delivered >= verdict.acknowledged
