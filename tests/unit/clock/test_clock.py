import threading
import time

from outlast.clock import SYSTEM_CLOCK, SYSTEM_RANDOM


def test_now_is_monotonic():
    """The machine's clock never goes back."""
    assert SYSTEM_CLOCK.now() <= SYSTEM_CLOCK.now()


def test_wall_is_unix_time():
    """The wall clock is the machine's."""
    assert abs(SYSTEM_CLOCK.wall() - time.time()) < 60


async def test_sleeping_is_the_machines():
    """A sleep of nothing returns, in both colours."""
    SYSTEM_CLOCK.sleep(0)
    await SYSTEM_CLOCK.asleep(0)


def test_it_shows_itself():
    """The repr is the name."""
    assert repr(SYSTEM_CLOCK) == "SystemClock()"


def test_random_stays_in_range():
    """Chance gives numbers from 0 up to, not including, 1."""
    assert all(0 <= SYSTEM_RANDOM.random() < 1 for _ in range(100))


def test_the_system_clock_waits_for_events():
    """Waiting for an event tells whether it is set."""
    event = threading.Event()
    assert SYSTEM_CLOCK.wait(event, 0) is False
    event.set()

    assert SYSTEM_CLOCK.wait(event, None) is True
