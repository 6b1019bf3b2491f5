"""Hand over to the writer's thread, as one list, what the tasks of an event loop ask for in one turn of it.

A thread costs the same to be woken for one op as for a thousand, and so does the loop that is told: so all that is put
in one turn travels as one list, is committed together, and comes back by one call into the loop. Each task still has
a future of its own, so that one who goes away takes nobody along.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Generic, TypeVar, cast

from outlast.errors import InDoubtError
from outlast.outbox._assist import LoopAssist
from outlast.storage import Batch, Failed

I = TypeVar("I")  # noqa: E741 - the item, as T is its result
T = TypeVar("T")

_MOST: Final = 1024
"""How many travel together at most, which is what shares a commit."""
_NOTHING: Final[deque[object]] = deque()
"""Is what a loop has to run that would rest."""


Waiting = tuple[I, asyncio.Future[T] | None]
"""An item and who waits for it on a loop, None for a thread that waits."""


Then = Callable[[Sequence[T | Failed]], None]
"""Is told the outcome of each item."""


HandOver = Callable[[Sequence[Waiting[I, T]], Then[T]], Batch[T]]
"""Gives a list of items away and has the outcome of each told, in whatever thread."""


AtOnce = Callable[[Sequence[Waiting[I, T]]], Sequence[T | Failed] | None]
"""Sees to a list of items in the calling thread and returns the outcome of each, or None: nothing was done."""


class TickList(Generic[I, T]):
    """Collect items for the length of one turn of a loop. For one event loop.

    Args:
        assist: Of the loop.
        hand_over: Gives a list of them away.
        at_once: Sees to a few itself when that would not take long; asked only while the loop would rest otherwise.
            Default: nobody does.
    """

    def __init__(self, assist: LoopAssist, hand_over: HandOver[I, T], at_once: AtOnce[I, T] = lambda _: None) -> None:
        self._assist = assist
        self._at_once = at_once
        self._loop = assist.loop
        self._hand_over = hand_over
        self._waiting: list[Waiting[I, T]] = []
        self._tells = False

    def put(self, item: I) -> asyncio.Future[T]:
        """Add an item and return what becomes of it.

        Cancel: an item that nobody has begun with is not done; one that was begun is done to its end.
        """
        if not self._waiting:
            handle = self._loop.call_soon(self.flush)
            # A loop that keeps it elsewhere may have other things here, but not this.
            ready = cast("deque[object]", getattr(self._loop, "_ready", _NOTHING))
            self._tells = bool(ready) and ready[-1] is handle
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting.append((item, future))
        return future

    def flush(self) -> None:
        """See to what is there, or hand it over."""
        waiting, self._waiting = self._waiting, []
        if not self._seen_to(waiting):
            for begin in range(0, len(waiting), _MOST):
                self._send(waiting[begin : begin + _MOST])

    def _seen_to(self, waiting: Sequence[Waiting[I, T]]) -> bool:
        """See to a few items here and now while nothing else is to be run, and tell whether that was done."""
        # asyncio alone tells what is to be run next; on other loops the writer's thread does it all.
        if not (self._tells and waiting and getattr(self._loop, "_ready", None) == _NOTHING):
            return False
        try:
            outcomes = self._at_once(waiting)
            if outcomes is not None:
                _tell(waiting, outcomes)
        except Exception as error:
            _tell(waiting, [Failed(error)] * len(waiting))
            return True
        except BaseException as error:  # it ends the loop, which may be run again, and then nobody is to wait for ever
            _tell(waiting, [Failed(_interrupted(error))] * len(waiting))
            raise
        return outcomes is not None

    def _send(self, waiting: Sequence[Waiting[I, T]]) -> None:
        try:
            batch = self._hand_over(waiting, partial(self._landed, waiting))
        except Exception as error:
            _tell(waiting, [Failed(error)] * len(waiting))
            return
        self._assist.watch(batch)

    def _landed(self, waiting: Sequence[Waiting[I, T]], outcomes: Sequence[T | Failed]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and with it all who waited
            self._loop.call_soon_threadsafe(_tell, waiting, outcomes)


def still_wanted(waiting: Sequence[Waiting[I, T]], job: Callable[[list[I]], Sequence[T]]) -> list[T]:
    """Return what a job makes of the items that somebody waits for, None for the others. In the thread that writes."""
    # Asked once: somebody may go away at any moment.
    gone = [future is not None and future.cancelled() for _, future in waiting]
    if not any(gone):
        return list(job([item for item, _ in waiting]))
    results = iter(job([item for (item, _), left in zip(waiting, gone, strict=True) if not left]))
    return [cast("T", None) if left else next(results) for left in gone]  # nobody hears of the former


def _interrupted(error: BaseException) -> InDoubtError:
    doubt = InDoubtError(
        f"the commit was interrupted ({type(error).__name__}), and may have taken place; look, or give each write a "
        "`once` and queue it again",
        operation="enqueue",
    )
    doubt.__cause__ = error
    return doubt


def _tell(waiting: Sequence[Waiting[I, T]], outcomes: Sequence[T | Failed]) -> None:
    for (_, future), outcome in zip(waiting, outcomes, strict=True):
        if future is None or future.done():
            continue
        if isinstance(outcome, Failed):
            future.set_exception(outcome.error)
        else:
            future.set_result(outcome)
