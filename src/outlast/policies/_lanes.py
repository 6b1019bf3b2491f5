"""Coalesced timers: every call of one policy has the same limit, so one timer of the loop serves them all.

Deadlines of one length fall due in the order in which their calls began. A lane therefore keeps its calls in a queue
and has a timer for the head alone; a call that ends in time costs an entry in a dict and no timer. What expires, and
what a cancellation means then, is exactly as in `asyncio.timeout`.

Source: CPython, Lib/asyncio/timeouts.py, for the meaning of `cancelling()` and `uncancel()`.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from asyncio import get_running_loop
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from contextvars import Context, Token
from threading import get_ident
from typing import Any, Final, Protocol

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.policies._groups import members
from outlast.policies._in_force import CURRENT, Entry, Limit, least
from outlast.policies._shape import AnyFunction

# From 3.12 on, `asyncio.timeout` shows its expiry in the context of an error that the cancelled block raised itself.
_show_expiry: Callable[[BaseException], None] | None = getattr(asyncio.Timeout, "_insert_timeout_error", None)

# A loop may run a timer that is due within its own resolution; libuv's is a millisecond.
_RESOLUTION: Final = 1e-9
_COARSE: Final = 1e-3

# Before 3.12 the public functions cost most of a call: they ask the system for the process each time. The table that
# `current_task` reads is the same, and the loop of a thread is the one that we found there, if it says so itself.
_on_3_11 = not hasattr(asyncio.Task, "get_context")
task_of: Callable[[asyncio.AbstractEventLoop], asyncio.Task[Any] | None] = (
    getattr(asyncio.tasks, "_current_tasks").get if _on_3_11 else asyncio.current_task  # noqa: B009
)


class Lane:
    """Limit the calls of one policy on one loop.

    It is touched by its loop's thread alone, and keeps neither a handle nor a strong reference to the loop.

    Args:
        seconds: The limit of each call, > 0.
        loop: The running loop.
        read: Reads the time of the loop.
        coarse: Whether the loop counts time in whole milliseconds.
        serves: False when the policy's clock is not that of the loop; then no call has a place here.
    """

    __slots__ = ("_coarse", "_context", "_expired", "armed", "live", "loop", "read", "seconds")

    def __init__(
        self,
        seconds: float,
        loop: weakref.ref[asyncio.AbstractEventLoop],
        read: Callable[[], float],
        *,
        coarse: bool = False,
        serves: bool = True,
    ) -> None:
        self.seconds = seconds
        self.read = read
        # In the order of their deadlines.
        self.live: dict[asyncio.Task[Any], Entry] = {} if serves else _Everyone()
        self.armed = False
        self._expired: dict[asyncio.Task[Any], Entry] = {}
        self.loop: Callable[[], Any] = loop
        self._coarse = coarse
        self._context = Context()  # an armed timer must not keep the context of some call alive

    @property
    def gone(self) -> bool:
        """Tell whether the loop is closed or no more."""
        loop = self.loop()
        return loop is None or loop.is_closed()

    def holds(self, entry: Entry) -> bool:
        """Tell whether the entry's call is running."""
        task = entry[2]
        return self.live.get(task) is entry or self._expired.get(task) is entry

    def left(self, entry: Entry) -> float:
        """Return the seconds until the entry's call is over, below 0 when it was."""
        return entry[0] - self.read()

    def fits(self, task: asyncio.Task[Any], outer: Limit) -> bool:
        """Tell whether a call of this task has time left, and a shorter limit around it cuts the task by itself."""
        return least(outer) > 0 and least(outer, spared=task) >= self.seconds

    def late(self, task: asyncio.Task[Any]) -> None:
        """End a call that returned although it was cancelled: nothing is left of that."""
        del self._expired[task]
        task.uncancel()

    def failed(self, task: asyncio.Task[Any], cancelling: int, error: BaseException) -> bool:
        """End a call that raised, and tell whether it is this limit that stopped it.

        Args:
            task: The call's task.
            cancelling: What its `cancelling()` was when the call began.
            error: What the call raised.
        """
        if self.live.pop(task, None) is not None:
            return False
        del self._expired[task]
        if task.uncancel() > cancelling:
            return False  # somebody else cancels the task, too
        if isinstance(error, asyncio.CancelledError):
            return True
        _plant(error)
        return False

    def arm(self, due: float) -> None:
        """Have the loop look after the lane at a moment."""
        loop = self.loop()
        if loop is None:
            return
        self.armed = True
        if self._coarse:
            loop.call_later(max(_COARSE, due - self.read()), self._fire, context=self._context)
        else:
            loop.call_at(due, self._fire, context=self._context)

    def _fire(self) -> None:
        self.armed = False
        until = self.read() + _RESOLUTION
        due: list[asyncio.Task[Any]] = []
        for task, entry in self.live.items():
            if entry[0] > until:
                self.arm(entry[0])
                break
            due.append(task)
        for task in due:
            self._expired[task] = self.live.pop(task)
            task.cancel()


class _Everyone(dict[asyncio.Task[Any], Entry]):
    """Say of every task that it is here already, so that none is served."""

    def __contains__(self, task: object) -> bool:
        return True


class Lanes:
    """Find the lane of the running loop; loops are not kept alive by it.

    Args:
        seconds: The limit of each call, > 0.
        clock: The policy's clock. A lane needs that it is the one of the loop.

    Thread-safe: yes; each lane belongs to the thread of its loop.
    """

    __slots__ = ("_by_loop", "_by_thread", "_clock", "find", "find_here", "seconds")

    def __init__(self, seconds: float, clock: Clock) -> None:
        self.seconds = seconds
        self._clock = clock
        self._by_loop: dict[int, Lane] = {}
        self.find = self._by_loop.get
        self._by_thread: dict[int, Lane] = {}
        self.find_here = self._by_thread.get if _on_3_11 else None

    def reset(self, seconds: float) -> None:
        """Give calls that begin from now on another limit."""
        self.seconds = seconds
        self._by_loop.clear()
        self._by_thread.clear()

    def add(self, loop: asyncio.AbstractEventLoop) -> Lane:
        """Find or make the lane of the running loop, and let go of those of loops that are closed."""
        for known in (self._by_loop, self._by_thread):
            for key, lane in list(known.items()):
                if lane.gone:
                    known.pop(key, None)
        by_loop, key = self._by_loop, id(loop)
        if key not in by_loop:
            by_loop[key] = self._make(loop, weakref.ref(loop, lambda _: by_loop.pop(key, None)))
        lane = by_loop[key]
        if self.find_here is not None and hasattr(loop, "_thread_id"):
            self._by_thread[get_ident()] = lane
        return lane

    def _make(self, loop: asyncio.AbstractEventLoop, reference: weakref.ref[asyncio.AbstractEventLoop]) -> Lane:
        if self._clock is not SYSTEM_CLOCK:
            return Lane(self.seconds, reference, self._clock.now, serves=loop.time() == self._clock.now())
        if type(loop).__module__.partition(".")[0] == "uvloop":
            # Its time() stands still while callbacks run, so that a limit counted from it would end early.
            return Lane(self.seconds, reference, time.monotonic, coarse=True)
        ordinary = getattr(type(loop), "time", None) is asyncio.BaseEventLoop.time
        return Lane(self.seconds, reference, time.monotonic if ordinary else _time_of(reference))


def _time_of(reference: weakref.ref[asyncio.AbstractEventLoop]) -> Callable[[], float]:
    def read() -> float:
        loop = reference()
        return 0.0 if loop is None else loop.time()

    return read


def _plant(error: BaseException) -> None:
    if _show_expiry is None:
        return
    _show_expiry(error)
    for member in members(error):
        _show_expiry(member)


class Limits(Protocol):
    """Be a policy whose calls have lanes."""

    @property
    def lanes(self) -> Lanes:
        """Return the lanes of the present limit."""
        ...

    def limit(self) -> AbstractAsyncContextManager[Any]:
        """Limit one call without a lane."""
        ...

    def expiry(self) -> BaseException:
        """Publish that a call was cut and return the error to raise."""
        ...


def in_lane(policy: Limits, fn: AnyFunction) -> AnyFunction:
    """Return a coroutine function that runs `fn` in the lane of the loop.

    It is one long function because each call of another would cost more than most of its lines.

    Args:
        policy: Whose limit. It limits by itself a call that no lane can serve: one outside of a task, in a task that
            is in the lane already, or under a shorter deadline that would not cut the task.
        fn: A function that returns an awaitable.
    """
    lanes, outside, enter, leave = policy.lanes, CURRENT.get, CURRENT.set, CURRENT.reset
    find, find_here, add = lanes.find, lanes.find_here, lanes.add

    async def limited(*args: Any, **kwargs: Any) -> Any:
        # On 3.11 the lane of the thread, if its loop says that it runs here; else the lane of the running loop.
        here = 0 if find_here is None else get_ident()
        lane = None if find_here is None else find_here(here)
        if lane is None or (loop := lane.loop()) is None or loop._thread_id != here:  # noqa: SLF001
            loop = get_running_loop()
            lane = find(id(loop)) or add(loop)
        live, task, outer = lane.live, task_of(loop), outside()
        if task is None or task in live or (outer is not None and not lane.fits(task, outer)):
            async with policy.limit():
                return await fn(*args, **kwargs)
        due = lane.read() + lane.seconds
        live[task] = entry = (due, outer, task, lane)
        # Read now, as asyncio.timeout does: read at the expiry, it would swallow a cancellation that came between.
        cancelling = task.cancelling()
        if not lane.armed:
            lane.arm(due)
        token = enter(entry)
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            _leave(token)
            if lane.failed(task, cancelling, error):
                raise policy.expiry() from error
            raise
        leave(token)
        try:
            del live[task]
        except KeyError:
            lane.late(task)
        return result

    return limited


def _leave(token: Token[Limit | None]) -> None:
    with suppress(ValueError):  # a coroutine that nobody awaits to its end is closed in another context
        CURRENT.reset(token)
