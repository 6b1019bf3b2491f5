import asyncio
import threading

import pytest

from outlast.errors import ConfigError
from outlast.testing import FixedRandom, ManualClock, run_virtual


def test_it_stands_still():
    """Nothing moves the time but the test."""
    clock = ManualClock(start=5.0, wall=100.0)

    assert (clock.now(), clock.now(), clock.wall()) == (5.0, 5.0, 100.0)


def test_advance_moves_both():
    """Advancing moves the monotonic and the wall clock."""
    clock = ManualClock(start=5.0, wall=100.0)
    clock.advance(1.5)

    assert (clock.now(), clock.wall()) == (6.5, 101.5)


def test_jump_wall_moves_only_the_wall():
    """A step of the wall clock leaves the monotonic one alone."""
    clock = ManualClock(start=5.0, wall=100.0)
    clock.jump_wall(-50)

    assert (clock.now(), clock.wall()) == (5.0, 50.0)


def test_time_never_goes_back():
    """A negative advance is refused."""
    with pytest.raises(ConfigError):
        ManualClock().advance(-1)


async def test_sleeping_moves_the_time():
    """Asleep or blocked, the time moves at once, and is recorded."""
    clock = ManualClock(start=0.0)
    clock.sleep(2)
    await clock.asleep(3)
    clock.sleep(-1)

    assert (clock.now(), clock.sleeps) == (5.0, [2, 3, -1])


async def test_task_wakes_when_the_time_is_moved():
    """Without auto-advance a task sleeps until somebody has moved the time far enough."""
    clock, woken = ManualClock(auto_advance=False), []

    async def nap(name, seconds):
        await clock.asleep(seconds)
        woken.append(name)

    tasks = [asyncio.create_task(nap(name, seconds)) for name, seconds in (("late", 3), ("early", 1))]
    await asyncio.sleep(0)
    assert clock.sleepers == 2
    clock.advance(2)
    await tasks[1]
    assert (woken, clock.sleepers) == (["early"], 1)
    clock.advance(1)
    await tasks[0]

    assert woken == ["early", "late"]


async def test_cancelled_sleeper_is_forgotten():
    """Cancelling a sleeping task leaves nothing behind, also when it was just being woken."""
    clock = ManualClock(auto_advance=False)
    task = asyncio.create_task(clock.asleep(1))
    await asyncio.sleep(0)
    clock.advance(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert clock.sleepers == 0


def test_thread_wakes_when_the_time_is_moved():
    """Without auto-advance a thread blocks until another has moved the time."""
    clock = ManualClock(auto_advance=False)
    thread = threading.Thread(target=clock.sleep, args=(1,))
    thread.start()
    while clock.sleepers == 0:
        pass
    clock.advance(1)
    thread.join(5)

    assert not thread.is_alive()


def test_on_its_own_loop_it_waits_with_the_timers():
    """On the loop that it drives, sleepers and timers wake in the order of their time."""
    clock, woken = ManualClock(start=0.0), []

    async def main():
        async def nap(sleep, seconds):
            await sleep(seconds)
            woken.append((seconds, clock.now()))

        await asyncio.gather(nap(clock.asleep, 3), nap(asyncio.sleep, 2), nap(clock.asleep, 1))

    run_virtual(main(), clock=clock)

    assert woken == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_it_shows_itself():
    """The repr shows the moments."""
    assert repr(ManualClock(start=1.0, wall=2.0)) == "ManualClock(now=1.0, wall=2.0, sleepers=0)"


def test_fixed_random():
    """The same numbers come over and over."""
    dice = FixedRandom(0.1, 0.2)

    assert [dice.random() for _ in range(3)] == [0.1, 0.2, 0.1]
    assert FixedRandom().random() == 0.5


def test_wait_moves_the_time():
    """Waiting for an event that nobody sets moves the time at once; for one that is set it does not."""
    clock, event = ManualClock(start=0.0), threading.Event()
    assert clock.wait(event, 2.0) is False
    event.set()

    assert clock.wait(event, 2.0) is True
    assert clock.wait(event, None) is True
    assert (clock.now(), clock.sleeps) == (2.0, [2.0])


@pytest.mark.parametrize("wakes", ["time", "event"])
def test_wait_until_somebody_acts(wakes):
    """Without auto-advance a thread waits until the time has moved or the event is set."""
    clock, event, seen = ManualClock(start=0.0, auto_advance=False), threading.Event(), []
    thread = threading.Thread(target=lambda: seen.append(clock.wait(event, 2.0)))
    thread.start()
    while not clock.sleepers:
        threading.Event().wait(0.001)
    clock.advance(1.0)
    assert thread.is_alive()
    event.set() if wakes == "event" else clock.advance(1.0)
    thread.join()

    assert (seen, clock.sleepers) == ([wakes == "event"], 0)
