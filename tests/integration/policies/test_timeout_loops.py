"""Time limits on real loops, asyncio's own and uvloop: never early, hardly late, and nothing left behind."""

import asyncio
import gc
import threading
import time
import weakref

import pytest
import uvloop

from outlast.errors import DeadlineExceededError
from outlast.policies import Timeout, deadline, remaining

LOOPS = [
    pytest.param(asyncio.new_event_loop, 1e-6, id="asyncio"),
    pytest.param(uvloop.new_event_loop, 1e-6, id="uvloop"),
]
# How late a limit may be on a machine that has other things to do: that it ends what it limits is what is tested.
LATE = 30.0


def block():
    """Hold up the loop."""
    time.sleep(0.05)


@pytest.mark.parametrize(("make", "resolution"), LOOPS)
def test_never_early(make, resolution):
    """Many limits of several lengths at once: each call is cut, none before its time."""
    timeouts = [Timeout(seconds) for seconds in (0.02, 0.035, 0.05)]
    took = []

    async def one(timeout, pause):
        await asyncio.sleep(pause)
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            await timeout.acall(asyncio.sleep, 60)
        took.append((time.monotonic() - began, timeout.snapshot().seconds))

    async def main():
        await asyncio.gather(*(one(timeouts[n % 3], n * 0.0007) for n in range(150)))

    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(main())

    assert len(took) == 150
    assert all(limit - resolution <= seconds <= limit + LATE for seconds, limit in took)


@pytest.mark.parametrize(("make", "resolution"), LOOPS)
def test_a_blocked_loop_ends_nothing_early(make, resolution):
    """Where a callback has held up the loop, a limit that begins right after it still has its whole time.

    uvloop's own time stands still meanwhile, so that a limit counted from it would be over at once.
    """

    async def main():
        block()
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            await Timeout(0.04).acall(asyncio.sleep, 60)
        return time.monotonic() - began

    with asyncio.Runner(loop_factory=make) as runner:
        assert 0.04 - resolution <= runner.run(main()) <= 0.04 + LATE


@pytest.mark.parametrize(("make", "resolution"), LOOPS)
def test_many_loops_in_many_threads(make, resolution):
    """One policy limits calls on several loops in several threads, each by its own timer."""
    timeout, results = Timeout(1.0), []

    async def main():
        for _ in range(200):
            assert await timeout.acall(asyncio.sleep, 0, "fine") == "fine"
        with pytest.raises(DeadlineExceededError):
            await timeout.acall(asyncio.sleep, 60)
        results.append(remaining())

    def work():
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(main())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)

    assert results == [None] * 4


@pytest.mark.parametrize(("make", "resolution"), LOOPS)
def test_loops_are_not_kept_alive(make, resolution):
    """A policy that outlives a loop does not keep it, nor its tasks."""
    timeout = Timeout(30.0)

    def run():
        with asyncio.Runner(loop_factory=make) as runner:
            loop = runner.get_loop()
            runner.run(timeout.acall(asyncio.sleep, 0))
            return weakref.ref(loop)

    reference = run()
    gc.collect()

    assert reference() is None
    assert timeout.lanes.find(0) is None
    with asyncio.Runner(loop_factory=make) as runner:
        assert runner.run(timeout.acall(asyncio.sleep, 0, "fine")) == "fine"


def test_no_handle_is_left():
    """Many calls need one timer, and when it has run nothing of them is left in the loop."""
    timeout = Timeout(0.05)

    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(2000):
            await timeout.acall(asyncio.sleep, 0)
        during = len(loop._scheduled)
        await asyncio.sleep(0.12)
        return during, len(loop._scheduled), len(timeout.lanes.find(id(loop)).live)

    with asyncio.Runner() as runner:
        during, afterwards, live = runner.run(main())

    assert during <= 2
    assert (afterwards, live) == (0, 0)


@pytest.mark.parametrize(("make", "resolution"), LOOPS)
def test_under_a_deadline(make, resolution):
    """A deadline of the machine's clock cuts a call whose own limit is longer."""

    async def main():
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError, match="deadline"):
            async with deadline(0.03):
                await Timeout(10.0).acall(asyncio.sleep, 60)
        return time.monotonic() - began

    with asyncio.Runner(loop_factory=make) as runner:
        assert 0.029 <= runner.run(main()) <= 0.03 + LATE


@pytest.mark.parametrize(("make", "resolution"), LOOPS)
def test_a_loop_that_has_moved_to_another_thread_is_not_taken_for_the_one_here(make, resolution):
    """Where one loop ran in a thread and runs in another now, calls on the thread's present loop belong to that one."""
    timeout = Timeout(30.0)
    inside, done = threading.Event(), threading.Event()
    moved, here = make(), make()

    async def busy():
        inside.set()
        assert done.wait(30)  # in the middle of a step of its task

    async def look():
        return asyncio.current_task() in timeout.lanes.find(id(here)).live, len(timeout.lanes.find(id(moved)).live)

    moved.run_until_complete(timeout.acall(asyncio.sleep, 0))
    other = threading.Thread(target=moved.run_until_complete, args=(busy(),))
    other.start()
    try:
        assert inside.wait(30)
        assert here.run_until_complete(timeout.acall(look)) == (True, 0)
    finally:
        done.set()
        other.join()
        moved.close()
        here.close()


@pytest.mark.parametrize(("make", "resolution"), LOOPS)
def test_loops_that_take_turns_in_a_thread(make, resolution):
    """Calls of two loops that run alternately in one thread are limited each on its own loop."""
    timeout, loops = Timeout(0.02), [make(), make()]

    async def cut():
        with pytest.raises(DeadlineExceededError):
            await timeout.acall(asyncio.sleep, 60)
        return asyncio.get_running_loop()

    assert [loop.run_until_complete(cut()) for loop in loops * 3] == loops * 3
    for loop in loops:
        assert timeout.lanes.find(id(loop)).live == {}
        loop.close()
