"""A clock that tests move by hand."""

from __future__ import annotations

import asyncio
import itertools
import threading
from dataclasses import dataclass, field

from outlast.config import check_number

_GLANCE = 0.001
"""Real seconds between two looks at the time, for a thread that waits for an event until the time has moved."""


@dataclass(order=True, slots=True)
class _Sleeper:
    due: float
    number: int
    loop: asyncio.AbstractEventLoop | None = field(compare=False, default=None)
    woken: asyncio.Future[None] | None = field(compare=False, default=None)


class ManualClock:
    """Tell a time that stands still until somebody moves it.

    Sleeping moves it at once, so a test of code that waits takes no time; with `auto_advance=False` a
    sleeper waits until another thread or task calls `advance`. On the loop of `run_virtual` that this
    clock drives, `asleep` waits with the other timers of the loop instead.

    Args:
        start: The first monotonic moment in seconds. Default 1000.
        wall: The first Unix moment in seconds. Default 1.7e9.
        auto_advance: Whether sleeping moves the time. Default True.

    Thread-safe: yes.

    >>> clock = ManualClock(start=0.0)
    >>> clock.sleep(1.5)
    >>> clock.advance(2.0)
    >>> clock.now(), clock.sleeps
    (3.5, [1.5])
    """

    def __init__(self, start: float = 1000.0, *, wall: float = 1.7e9, auto_advance: bool = True) -> None:
        self._now = start
        self._wall = wall
        self._auto = auto_advance
        self._moved = threading.Condition()
        self._numbers = itertools.count()
        self._sleepers: list[_Sleeper] = []
        self.sleeps: list[float] = []
        self.loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> float:
        """Return the monotonic moment."""
        return self._now

    def wall(self) -> float:
        """Return the Unix moment."""
        return self._wall

    @property
    def sleepers(self) -> int:
        """Return how many threads and tasks are asleep."""
        with self._moved:
            return len(self._sleepers)

    def advance(self, seconds: float) -> None:
        """Move the time and wake whoever is due.

        Args:
            seconds: How far, >= 0.
        """
        check_number("seconds", seconds, least=0.0)
        with self._moved:
            self._now += seconds
            self._wall += seconds
            due = sorted(sleeper for sleeper in self._sleepers if sleeper.due <= self._now)
            self._sleepers = [sleeper for sleeper in self._sleepers if sleeper.due > self._now]
            self._moved.notify_all()
        for sleeper in due:
            _wake(sleeper)

    def jump_wall(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP would; the monotonic moment stays."""
        self._wall += seconds

    def sleep(self, seconds: float) -> None:
        """Move the time, or block the thread until somebody has."""
        self.sleeps.append(seconds)
        if self._auto:
            self.advance(max(0.0, seconds))
            return
        with self._moved:
            sleeper = _Sleeper(self._now + seconds, next(self._numbers))
            self._sleepers.append(sleeper)
            self._moved.wait_for(lambda: sleeper not in self._sleepers)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        """Wait for an event as a sleeper: moving the time, or until somebody has moved it or set the event."""
        if seconds is None or event.is_set():
            return event.wait()
        if self._auto:
            self.sleep(seconds)
            return event.is_set()
        with self._moved:
            sleeper = _Sleeper(self._now + seconds, next(self._numbers))
            self._sleepers.append(sleeper)
        while not event.wait(_GLANCE) and sleeper in self._sleepers:
            pass
        with self._moved:
            self._sleepers = [other for other in self._sleepers if other is not sleeper]
        return event.is_set()

    async def asleep(self, seconds: float) -> None:
        """Move the time, or suspend the task until somebody has.

        Cancel: the sleeper is forgotten.
        """
        self.sleeps.append(seconds)
        loop = asyncio.get_running_loop()
        if loop is self.loop:
            await asyncio.sleep(seconds)
        elif self._auto:
            self.advance(max(0.0, seconds))
            await asyncio.sleep(0)
        else:
            await self._wait(seconds, loop, loop.create_future())

    async def _wait(self, seconds: float, loop: asyncio.AbstractEventLoop, woken: asyncio.Future[None]) -> None:
        with self._moved:
            sleeper = _Sleeper(self._now + seconds, next(self._numbers), loop, woken)
            self._sleepers.append(sleeper)
        try:
            await woken
        finally:
            with self._moved:
                self._sleepers = [other for other in self._sleepers if other is not sleeper]

    def __repr__(self) -> str:
        """Show the moments and the sleepers."""
        return f"ManualClock(now={self._now!r}, wall={self._wall!r}, sleepers={self.sleepers})"


def _wake(sleeper: _Sleeper) -> None:
    if sleeper.loop is not None and sleeper.woken is not None:
        sleeper.loop.call_soon_threadsafe(_finish, sleeper.woken)


def _finish(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


class FixedRandom:
    """Give the same numbers over and over, instead of chance.

    Args:
        *numbers: From [0, 1). Default 0.5.

    >>> dice = FixedRandom(0.1, 0.9)
    >>> dice.random(), dice.random(), dice.random()
    (0.1, 0.9, 0.1)
    """

    def __init__(self, *numbers: float) -> None:
        self._numbers = itertools.cycle(numbers or (0.5,))

    def random(self) -> float:
        """Return the next number."""
        return next(self._numbers)
