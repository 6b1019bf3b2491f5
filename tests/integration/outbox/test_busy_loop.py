"""An event loop that never rests must not starve the thread that commits."""

import asyncio
import itertools
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from outlast.outbox import Outbox
from outlast.outbox._assist import LoopAssist


class Hog:
    """Compute a little and yield, for ever: the loop polls without ever waiting."""

    def __init__(self):
        self.turns = 0
        self.over = False

    async def work(self):
        """Go on until it is over."""
        while not self.over:
            self.turns += 1
            end = time.perf_counter() + 0.0001
            while time.perf_counter() < end:
                pass
            await asyncio.sleep(0)


@pytest.fixture
def patient_interpreter():
    """Let a thread that waits for the interpreter wait long, so that starving shows at once."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1.0)
    yield
    sys.setswitchinterval(before)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("patient_interpreter")
async def test_writes_are_committed_beside_a_task_that_never_rests(place):
    """No write waits for more than a few hundred turns of a loop that never rests; unaided some wait for thousands."""
    hog, waits = Hog(), []
    async with await Outbox.open(place) as box:
        task = asyncio.create_task(hog.work())
        for number in range(200):
            begun = hog.turns
            await box.put("note", f"n{number}", {"v": number})
            waits.append(hog.turns - begun)
        hog.over = True
        await task

    assert max(waits) < 1500


class Slow:
    """Be work that takes long, and know how often the loop has waited for it."""

    def __init__(self):
        self.over = False
        self.waits = 0

    def done(self):
        """Tell whether it is over."""
        return self.over

    def wait(self, seconds):
        """Be waited for."""
        self.waits += 1
        time.sleep(seconds)


@pytest.mark.skipif(not hasattr(resource, "RUSAGE_THREAD"), reason="nobody counts how often one thread rests")
async def test_a_loop_that_rests_is_never_kept():
    """However long a commit takes, a loop that waits for its sockets now and then is not kept by it."""
    found = {await waits_beside(0.0005) for _ in range(10)}  # a machine that is busy takes a rest or two away
    aided = await waits_beside(0)

    assert 0 in found
    assert aided > 0


async def waits_beside(rest):
    """Return how often a loop waits for slow work while it turns, resting so long in each turn."""
    slow = Slow()
    LoopAssist(asyncio.get_running_loop()).watch(slow)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.02):
            for _ in itertools.count():
                await asyncio.sleep(rest)
    slow.over = True
    return slow.waits


async def test_the_assist_ends_with_what_it_watches():
    """When nothing is waited for any more, no callback of it is left on the loop."""
    assist = LoopAssist(asyncio.get_running_loop())
    with ThreadPoolExecutor(1) as pool:
        slow = [pool.submit(_slowly, number) for number in range(3)]

        assert [await assist.result(future) for future in slow] == [0, 1, 2]
    for _ in range(1000):
        if not assist._watching:
            break
        await asyncio.sleep(0.005)
    assert not assist._watching


async def test_a_cancelled_wait_leaves_the_others():
    """Whoever stops waiting is forgotten; what has begun runs to its end."""
    assist = LoopAssist(asyncio.get_running_loop())
    with ThreadPoolExecutor(1) as pool:
        first, second = pool.submit(_slowly, 1), pool.submit(_slowly, 2)
        gone = asyncio.create_task(assist.result(first))
        await asyncio.sleep(0)
        gone.cancel()

        assert await assist.result(second) == 2
    assert (gone.cancelled(), first.result()) == (True, 1)


def _slowly(number):
    time.sleep(0.02)
    return number
