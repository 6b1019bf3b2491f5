import asyncio

import pytest

from outlast.testing import DeadlockError, ManualClock, VirtualLoop, run_virtual


def test_time_jumps_to_the_next_timer():
    """A day passes at once, and exactly."""
    clock = ManualClock(start=0.0)

    async def main():
        await asyncio.sleep(86400)
        return asyncio.get_running_loop().time()

    assert run_virtual(main(), clock=clock) == 86400.0
    assert clock.now() == 86400.0


def test_days_pass_too():
    """More than the longest wait of the selector passes in one go for the task."""

    async def main():
        loop = asyncio.get_running_loop()
        start = loop.time()
        await asyncio.sleep(10 * 86400)
        return loop.time() - start

    assert run_virtual(main()) == 10 * 86400


def test_timers_fire_in_their_order():
    """Timers fire by their time, and work in between takes none."""
    log = []

    async def main():
        loop = asyncio.get_running_loop()
        for delay in (3, 1, 2):
            loop.call_later(delay, lambda delay=delay: log.append((delay, loop.time())))
        await asyncio.sleep(5)

    run_virtual(main(), clock=ManualClock(start=0.0))

    assert log == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_asyncio_timeout_is_virtual():
    """The time limits of asyncio follow the virtual time."""

    async def main():
        async with asyncio.timeout(60):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        run_virtual(main())


def test_deadlock_is_reported():
    """When nothing can happen any more it says so, and names who waits where."""

    async def main():
        await asyncio.create_task(hang(), name="hanger")

    async def hang():
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError, match=r"(?s)nothing can wake.*hanger: .*hang, line \d+"):
        run_virtual(main())


def test_threadsafe_calls_are_seen():
    """A call that another thread handed to the loop comes before a jump of the time."""

    async def main():
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        loop.call_soon_threadsafe(arrived.set)
        await arrived.wait()
        return loop.time()

    assert run_virtual(main(), clock=ManualClock(start=7.0)) == 7.0


def test_cancelled_tasks_clean_up():
    """Tasks that are left at the end are cancelled and may clean up."""
    cleaned = []

    async def straggle():
        try:
            await asyncio.sleep(1000)
        finally:
            cleaned.append(1)

    async def main():
        task = asyncio.create_task(straggle())
        await asyncio.sleep(1)
        return task.done()

    assert run_virtual(main()) is False
    assert cleaned == [1]


def test_closing_lets_go_of_the_clock():
    """A clock may drive one loop after the other."""
    clock = ManualClock()
    first = VirtualLoop(clock)
    second = VirtualLoop(clock)
    first.close()
    assert clock.loop is second
    second.close()

    assert clock.loop is None
