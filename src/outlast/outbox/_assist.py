"""Wait on the event loop for what a thread is doing, and let that thread run when the loop never rests.

A loop that is always busy polls without waiting, and each such poll takes the interpreter's lock back
before the writer thread can have it: a commit of 0.1 ms then takes seconds. So when a future is overdue,
a callback of the loop waits for it itself, for a moment in each turn, which really lets the lock go.
A loop that rests now and then never comes to that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Final, TypeVar

T = TypeVar("T")

GRACE: Final = 0.002
"""Seconds after which a future is overdue."""
MOMENT: Final = 0.001
"""Seconds for which the loop waits at most in each turn."""


class LoopAssist:
    """Wait for futures of threads on one event loop.

    Args:
        loop: The loop on which everything here runs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._watched: deque[tuple[Future[Any], float]] = deque()
        self._watching = False

    async def result(self, future: Future[T]) -> T:
        """Return what a future gives.

        Cancel: a job that has not begun is not done; one that has begun runs to its end.
        """
        self.watch(future)
        return await asyncio.wrap_future(future, loop=self.loop)

    def watch(self, future: Future[Any]) -> None:
        """See to it that the thread which works on a future comes to its end."""
        self._watched.append((future, self.loop.time() + GRACE))
        if not self._watching:
            self._watching = True
            self.loop.call_later(GRACE, self._watch)

    def _watch(self) -> None:
        while self._watched and self._watched[0][0].done():
            self._watched.popleft()
        if not self._watched:
            self._watching = False
            return
        # The oldest is enough: whatever waits beside it is done by the same threads.
        future, due = self._watched[0]
        wait = due - self.loop.time()
        if wait > 0:
            self.loop.call_later(wait, self._watch)
            return
        with suppress(TimeoutError, CancelledError):
            future.exception(MOMENT)
        self.loop.call_soon(self._watch)
