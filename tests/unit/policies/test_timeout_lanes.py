"""One timer for all calls of a limit on a loop: every call is cut at its own time, and nothing is left behind."""

import asyncio

import pytest

from outlast.errors import DeadlineExceededError
from outlast.policies import Timeout, remaining
from outlast.testing import ManualClock, VirtualLoop, run_virtual


async def test_running_calls_keep_their_limit():
    """A call that began under the old limit ends by it."""
    clock = asyncio.get_running_loop().clock
    timeout = Timeout(1.0, clock=clock)
    call = asyncio.create_task(timeout.acall(asyncio.sleep, 60))
    await asyncio.sleep(0.5)
    timeout.reconfigure(30.0)

    with pytest.raises(DeadlineExceededError):
        await call
    assert clock.now() == 1001.0


async def test_one_timer_serves_many_calls():
    """A thousand calls at once need one timer, each is cut at its own time, and then nothing is left."""
    loop = asyncio.get_running_loop()
    timeout, ends = Timeout(1.0, clock=loop.clock), []

    async def one(number):
        await asyncio.sleep(number / 1000)
        before = len([handle for handle in loop._scheduled if handle._callback.__name__ == "_fire"])
        with pytest.raises(DeadlineExceededError):
            await timeout.acall(asyncio.sleep, 60)
        ends.append(round(loop.time() - number / 1000, 6))
        return before

    timers = await asyncio.gather(*(one(number) for number in range(1000)))
    await asyncio.sleep(2)

    assert max(timers) == 1
    assert ends == [1001.0] * 1000
    assert timeout.lanes.find(id(loop)).live == {}
    assert [handle for handle in loop._scheduled if not handle.cancelled()] == []


async def test_storm_of_cancellations():
    """Calls that end, fail, are cut or cancelled in any order leave no entry and no cancellation behind."""
    loop = asyncio.get_running_loop()
    timeout = Timeout(1.0, clock=loop.clock)

    async def one(number):
        async def work():
            await asyncio.sleep(number % 7 * 0.3)
            if number % 5 == 0:
                raise ValueError
            return number

        try:
            return await timeout.acall(work)
        finally:
            assert remaining() is None

    calls = [asyncio.create_task(one(number)) for number in range(500)]
    for number in range(0, 500, 3):
        loop.call_later(number / 300, calls[number].cancel)
    results = await asyncio.gather(*calls, return_exceptions=True)

    kinds = {type(result) for result in results}
    assert kinds == {int, ValueError, DeadlineExceededError, asyncio.CancelledError}
    cancelled = [
        call.cancelling()
        for call, end in zip(calls, results, strict=True)
        if not isinstance(end, asyncio.CancelledError)
    ]
    assert not any(cancelled)
    assert timeout.lanes.find(id(loop)).live == {}


async def test_call_in_a_call():
    """A limited function that calls itself is limited at each level."""
    loop = asyncio.get_running_loop()
    timeout = Timeout(1.0, clock=loop.clock)

    @timeout
    async def load(depth):
        await asyncio.sleep(0.4)
        return [remaining(), *(await load(depth - 1) if depth else [])]

    assert await load(1) == pytest.approx([0.6, 0.2])
    with pytest.raises(DeadlineExceededError):
        await load(2)
    assert loop.time() == pytest.approx(1000 + 0.8 + 1.0)


async def test_task_outlives_the_call():
    """A task that was started in a call and goes on after it is not limited any more."""
    clock, go_on = asyncio.get_running_loop().clock, asyncio.Event()

    async def straggle():
        before = remaining()
        await go_on.wait()
        return before, remaining()

    async def begin():
        return asyncio.create_task(straggle()), await asyncio.sleep(0)

    task, _ = await Timeout(1.0, clock=clock).acall(begin)
    go_on.set()

    assert await task == (1.0, None)


async def test_task_under_anothers_limit():
    """A limit of another task is passed on, since nothing else would cut this one in time."""
    clock = asyncio.get_running_loop().clock

    async def begin():
        task = asyncio.create_task(Timeout(30.0, clock=clock).acall(asyncio.sleep, 60))
        await asyncio.sleep(0)
        return task

    task = await Timeout(1.0, clock=clock).acall(begin)
    with pytest.raises(DeadlineExceededError, match="after its 1 s"):
        await task
    assert clock.now() == 1001.0


async def test_outside_of_a_task():
    """A coroutine that a callback drives by hand cannot be cut, and asyncio says so."""
    loop, told = asyncio.get_running_loop(), []

    def drive():
        try:
            Timeout(1.0, clock=loop.clock).acall(asyncio.sleep, 0).send(None)
        except RuntimeError as error:
            told.append(str(error))

    loop.call_soon(drive)
    await asyncio.sleep(0.1)

    assert told == ["Timeout should be used inside a task"]


async def test_coroutine_that_is_thrown_away():
    """A call that nobody awaits to its end is closed without a word, and leaves no entry."""
    loop = asyncio.get_running_loop()
    timeout = Timeout(1.0, clock=loop.clock)
    begun = []

    def begin():
        begun.append(timeout.acall(asyncio.Event().wait))
        begun[0].send(None)

    async def host():
        begin()

    await asyncio.create_task(host())
    begun[0].close()

    assert timeout.lanes.find(id(loop)).live == {}


def test_clock_that_is_not_the_loops():
    """With a clock of its own a policy still cuts in the time of the loop, and shows what is left by its clock."""
    clock = ManualClock()

    async def main():
        loop = asyncio.get_running_loop()
        shown = await Timeout(5.0, clock=clock).acall(look)
        with pytest.raises(DeadlineExceededError):
            await Timeout(5.0, clock=clock).acall(asyncio.sleep, 60)
        return shown, loop.time()

    async def look():
        clock.advance(2)
        return remaining()

    assert run_virtual(main(), clock=ManualClock(start=50.0)) == (3.0, 55.0)


async def test_system_clock_on_a_loop_of_another_time():
    """A policy of the machine's clock keeps to the time of the loop, real or not."""
    loop = asyncio.get_running_loop()
    with pytest.raises(DeadlineExceededError):
        await Timeout(3600.0).acall(asyncio.sleep, 7200)

    assert loop.time() == 1000.0 + 3600.0


def test_lanes_of_closed_loops_are_let_go():
    """A new loop's lane takes the place of those whose loops are closed."""
    timeout, loops = Timeout(1.0), []
    for _ in range(3):
        loops.append(VirtualLoop())
        with asyncio.Runner(loop_factory=lambda: loops[-1]) as runner:
            runner.run(timeout.acall(asyncio.sleep, 0))

    assert [timeout.lanes.find(id(loop)) is not None for loop in loops] == [False, False, True]
