"""Wait until somebody says that it is your turn, in a thread or on an event loop; any thread may say so."""

from __future__ import annotations

import asyncio
import threading

from outlast.clock import Clock


class ThreadTurn:
    """Block a thread until it is woken or its time is over.

    Args:
        clock: Waits.
    """

    __slots__ = ("_clock", "_event")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = threading.Event()

    def wake(self) -> bool:
        """Wake the thread; False would say that it is gone."""
        self._event.set()
        return True

    def wait(self, seconds: float | None) -> None:
        """Return when woken, or after that many seconds; the next wait needs another `wake`."""
        self._clock.wait(self._event, seconds)
        self._event.clear()


class TaskTurn:
    """Suspend a task until it is woken or its time is over; make it on the loop on which it waits.

    Thread-safe: `wake` is; the rest belongs to the loop.
    """

    __slots__ = ("_future", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future = self._loop.create_future()

    def wake(self) -> bool:
        """Wake the task; False says that its loop is closed, so that nobody will ever wait there again."""
        try:
            self._loop.call_soon_threadsafe(self._end)
        except RuntimeError:
            return False
        return True

    def _end(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, seconds: float | None) -> None:
        """Return when woken, or after that many seconds; the next wait needs another `wake`.

        Cancel: the timer is cancelled, nothing is left behind.
        """
        timer = None if seconds is None else self._loop.call_later(seconds, self._end)
        try:
            await self._future
        finally:
            if timer is not None:
                timer.cancel()
        self._future = self._loop.create_future()
