"""Wait on the event loop for what a thread is doing, and let that thread run when the loop never rests.

A loop that is always busy polls without waiting, and each such poll takes the interpreter's lock back
before the writer thread can have it: a commit of 0.1 ms then takes seconds. So when something is overdue,
a callback of the loop waits for it itself, for a moment in each turn, which really lets the lock go.
A loop that rests now and then is never kept by that, however long the disk takes: the system counts how often
a thread has given the processor away by itself, and a loop that never rests does not.
"""

from __future__ import annotations

import asyncio
import resource
from collections import deque
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

T = TypeVar("T")

GRACE: Final = 0.002
"""Seconds after which a future is overdue."""
MOMENT: Final = 0.001
"""Seconds for which the loop waits at most in each turn, or is left alone when it rests by itself."""
_THREAD: Final[int | None] = getattr(resource, "RUSAGE_THREAD", None)
"""Asks about one thread; without that every loop is taken for one that never rests."""


class Work(Protocol):
    """Be something that a thread is doing."""

    def done(self) -> bool:
        """Tell whether it has come to its end."""
        ...

    def wait(self, seconds: float) -> None:
        """Block until it has, for so many seconds at most."""
        ...


class _Ordered:
    """Be what a thread does for a future."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future
        self.done = future.done

    def wait(self, seconds: float) -> None:
        with suppress(TimeoutError, CancelledError):
            self._future.exception(seconds)


class LoopAssist:
    """Wait on one event loop for what threads do.

    Args:
        loop: The loop on which everything here runs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._watched: deque[tuple[Work, float]] = deque()
        self._watching = False
        self._rests = 0

    async def result(self, future: Future[T]) -> T:
        """Return what a future gives.

        Cancel: a job that has not begun is not done; one that has begun runs to its end.
        """
        self.watch(_Ordered(future))
        return await asyncio.wrap_future(future, loop=self.loop)

    def watch(self, work: Work) -> None:
        """See to it that the thread which does some work comes to its end."""
        self._watched.append((work, self.loop.time() + GRACE))
        if not self._watching:
            self._watching = True
            self._rests = _rests()
            self.loop.call_later(GRACE, self._watch)

    def _watch(self) -> None:
        while self._watched and self._watched[0][0].done():
            self._watched.popleft()
        if not self._watched:
            self._watching = False
            return
        # The oldest is enough: whatever waits beside it is done by the same threads.
        work, due = self._watched[0]
        wait = due - self.loop.time()
        if wait <= 0 and self._has_rested():
            wait = MOMENT
        if wait > 0:
            self.loop.call_later(wait, self._watch)
            return
        work.wait(MOMENT)
        self._rests = _rests()  # this was none of the loop's own
        self.loop.call_soon(self._watch)

    def _has_rested(self) -> bool:
        before, self._rests = self._rests, _rests()
        return self._rests != before


def _rests() -> int:
    """Return how often this thread has waited for something, 0 where nobody counts that."""
    return 0 if _THREAD is None else resource.getrusage(_THREAD).ru_nvcsw
