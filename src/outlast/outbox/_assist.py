"""Wait on the event loop for what a thread is doing, and let that thread run when the loop never rests.

A loop that is always busy polls without waiting, and each such poll takes the interpreter's lock back
before the writer thread can have it: a commit of 0.1 ms then takes seconds. So when something is overdue,
a callback of the loop waits for it itself, for a moment in each turn, which really lets the lock go.
A loop that rests is never kept by that, however long the disk takes: the system counts how often a thread has given
the processor away by itself, and for how long it had it. Both are asked, for a loop that never rests waits at times
for the interpreter's lock, and one on a busy machine does not always get the processor.
"""

from __future__ import annotations

import asyncio
import resource
from collections import deque
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from operator import sub
from typing import Any, Final, NamedTuple, Protocol, TypeVar

T = TypeVar("T")

GRACE: Final = 0.002
"""Seconds after which a future is overdue."""
MOMENT: Final = 0.001
"""Seconds for which the loop waits at most in each turn, or is left alone when it rests by itself."""
_BUSY: Final = 0.1
"""Seconds for which a loop that did not rest is taken for one that does not."""
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
    """Be what a thread does for a future, until the loop knows of it, which is a moment later."""

    def __init__(self, future: Future[Any], known: asyncio.Future[Any]) -> None:
        self._future = future
        self.done = known.done

    def wait(self, seconds: float) -> None:
        with suppress(TimeoutError, CancelledError):
            self._future.exception(seconds)


class _Usage(NamedTuple):
    """Say what the loop's thread has had of the processor up to a moment.

    Args:
        at: The moment, in seconds of the loop.
        waits: How often it gave the processor away.
        computed: For how many seconds it had it.
    """

    at: float
    waits: int
    computed: float


class LoopAssist:
    """Wait on one event loop for what threads do.

    Args:
        loop: The loop on which everything here runs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._watched: deque[tuple[Work, float]] = deque()
        self._watching = False
        self._seen = _Usage(0.0, 0, 0.0)
        self._busy_until = float("-inf")

    async def result(self, future: Future[T]) -> T:
        """Return what a future gives.

        Cancel: a job that has not begun is not done; one that has begun runs to its end.
        """
        known = asyncio.wrap_future(future, loop=self.loop)
        self.watch(_Ordered(future, known))
        return await known

    def watch(self, work: Work) -> None:
        """See to it that the thread which does some work comes to its end."""
        self._watched.append((work, self.loop.time() + GRACE))
        if not self._watching:
            self._watching = True
            self._seen = self._usage()
            self.loop.call_later(GRACE, self._watch)

    def _watch(self) -> None:
        while self._watched and self._watched[0][0].done():
            self._watched.popleft()
        if not self._watched:
            self._watching = False
            return
        # The oldest is enough: whatever waits beside it is done by the same threads.
        work, due = self._watched[0]
        now = self.loop.time()
        if due <= now and self._rests(now):
            due = now + MOMENT
        if due > now:
            self.loop.call_later(due - now, self._watch)
            return
        work.wait(MOMENT)
        self._seen = self._usage()  # this was no rest of the loop's own
        self.loop.call_soon(self._watch)

    def _rests(self, now: float) -> bool:
        """Tell whether the loop has rested since it was looked at last; what it is found to be it is for a while."""
        if now < self._busy_until:
            return False
        before, self._seen = self._seen, self._usage()
        passed, waits, computed = map(sub, self._seen, before)
        if waits > 0 and computed < passed / 2:
            return True
        self._busy_until = now + _BUSY
        return False

    def _usage(self) -> _Usage:
        if _THREAD is None:
            return _Usage(self.loop.time(), 0, 0.0)
        used = resource.getrusage(_THREAD)
        return _Usage(self.loop.time(), used.ru_nvcsw, used.ru_utime + used.ru_stime)
