"""The one place that reads the time and rolls the dice; everything else is given a `Clock` and a `Random`."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import Final, Protocol


class Clock(Protocol):
    """Tell the time and wait.

    `outlast.testing.ManualClock` is one that tests move by hand.
    """

    def now(self) -> float:
        """Return monotonic seconds; only differences mean anything."""
        ...

    def wall(self) -> float:
        """Return Unix seconds, for display and storage only; it may jump."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Block the calling thread for that many seconds."""
        ...

    async def asleep(self, seconds: float, /) -> None:
        """Suspend the calling task for that many seconds; cancelling ends the wait."""
        ...

    def wait(self, event: threading.Event, seconds: float | None, /) -> bool:
        """Block the calling thread until the event is set, and tell whether it is; None waits without a limit."""
        ...


class Random(Protocol):
    """Give numbers from [0, 1); `random.Random` is one."""

    def random(self) -> float:
        """Return the next number."""
        ...


class SystemClock:
    """Read the machine's own clocks. Thread-safe."""

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)
    sleep = staticmethod(time.sleep)
    asleep = staticmethod(asyncio.sleep)
    wait = staticmethod(threading.Event.wait)

    def __repr__(self) -> str:
        """Return the name."""
        return "SystemClock()"


SYSTEM_CLOCK: Final[Clock] = SystemClock()
SYSTEM_RANDOM: Final[Random] = random.Random()

__all__ = ["SYSTEM_CLOCK", "SYSTEM_RANDOM", "Clock", "Random", "SystemClock"]
