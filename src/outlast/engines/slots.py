"""How many calls may run at once, and who is next when one ends.

A token is free or taken; waiting callers stand in a queue. The face takes a free token without a lock
while nobody waits. Whoever gives a token back, and whoever begins to wait, afterwards asks `grant` for
those whose turn it is, so no wake-up is lost: either the waiter sees the token or the giver sees the
waiter.

Source: the bulkhead pattern (M. Nygard, Release It!); the hand-over follows Dijkstra's semaphore with
a direct grant, so that no newcomer overtakes and no slot is overshot.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import Any

from outlast.errors import ConfigError


class QueueOrder(StrEnum):
    """Name who is next."""

    FIFO = "fifo"
    """The one that has waited longest."""
    LIFO = "lifo"
    """The one that came last: under overload its caller is the likeliest to be still there."""
    PRIORITY = "priority"
    """The one with the highest priority, the longest waiting among equals."""


@dataclass(frozen=True, slots=True)
class SlotsConfig:
    """Hold the settings of a bulkhead.

    Args:
        max_concurrent: Calls at once, >= 1. Default 10.
        max_waiting: Calls that may wait for a slot, >= 0. Default 20.
        max_wait: Seconds that a call may wait, or None for as long as its deadline allows. Default None.
        order: Who is next. Default FIFO.
    """

    max_concurrent: int = 10
    max_waiting: int = 20
    max_wait: float | None = None
    order: QueueOrder = QueueOrder.FIFO

    def __post_init__(self) -> None:
        """Refuse a bulkhead that lets nothing in."""
        if isinstance(self.max_concurrent, bool) or self.max_concurrent < 1:
            raise ConfigError(f"must be a whole number of at least 1, not {self.max_concurrent!r}", path="max_concurrent")
        if isinstance(self.max_waiting, bool) or self.max_waiting < 0:
            raise ConfigError(f"must be a whole number of at least 0, not {self.max_waiting!r}", path="max_waiting")
        if self.max_wait is not None and not self.max_wait >= 0:
            raise ConfigError(f"must be at least 0 seconds, not {self.max_wait!r}", path="max_wait")


@dataclass(slots=True, eq=False)
class Waiter:
    """Stand in the queue.

    Args:
        wake: What the face needs to wake the caller; not looked at here.
        priority: Higher is sooner, with `QueueOrder.PRIORITY`.
        granted: Whether it has been given a slot.
        gone: Whether it has left the queue without one.
    """

    wake: Any
    priority: int = 0
    granted: bool = False
    gone: bool = False


@dataclass(frozen=True, slots=True)
class SlotsSnapshot:
    """Show a bulkhead.

    Args:
        running: Slots taken now.
        waiting: Callers in the queue now.
        max_concurrent: How many slots there are.
        rejected: Calls refused since the start.
    """

    running: int
    waiting: int
    max_concurrent: int
    rejected: int

    @property
    def utilisation(self) -> float:
        """Return the share of the slots that is taken, 0 to 1."""
        return self.running / self.max_concurrent


class SlotsEngine:
    """Hold the tokens and the queue. `free` may be popped by the face without a lock while `waiting` is 0.

    Everything else is called under the face's lock, except `free.append`, which is atomic.

    Args:
        config: The settings.
    """

    def __init__(self, config: SlotsConfig) -> None:
        self.config = config
        self.free: deque[None] = deque([None] * config.max_concurrent)
        self.waiting = 0
        self.rejected = 0
        self._queue: deque[Waiter] = deque()
        self._heap: list[tuple[int, int, Waiter]] = []
        self._arrivals = count()

    def join(self, waiter: Waiter) -> bool:
        """Put a caller into the queue; False says that the queue is full and counts a rejection."""
        if self.waiting >= self.config.max_waiting:
            self.rejected += 1
            return False
        self.waiting += 1
        if self.config.order is QueueOrder.PRIORITY:
            heapq.heappush(self._heap, (-waiter.priority, next(self._arrivals), waiter))
        else:
            self._queue.append(waiter)
        return True

    def grant(self) -> list[Waiter]:
        """Give the free tokens to those whose turn it is, and return whom to wake."""
        granted: list[Waiter] = []
        while self.waiting:
            try:
                self.free.pop()
            except IndexError:
                break
            waiter = self._next()
            waiter.granted = True
            self.waiting -= 1
            granted.append(waiter)
        return granted

    def _next(self) -> Waiter:
        while True:
            match self.config.order:
                case QueueOrder.FIFO:
                    waiter = self._queue.popleft()
                case QueueOrder.LIFO:
                    waiter = self._queue.pop()
                case QueueOrder.PRIORITY:
                    waiter = heapq.heappop(self._heap)[2]
            if not waiter.gone:
                return waiter

    def leave(self, waiter: Waiter) -> bool:
        """Take a caller that gave up out of the queue; True says that it holds a slot and must give it back."""
        if waiter.granted:
            return True
        if not waiter.gone:
            waiter.gone = True
            self.waiting -= 1
            self._forget_gone()
        return False

    def _forget_gone(self) -> None:
        # Those who left are skipped when their turn comes; a queue that is mostly ghosts is swept.
        if len(self._queue) + len(self._heap) > 2 * self.waiting + 16:
            self._queue = deque(waiter for waiter in self._queue if not waiter.gone)
            self._heap = [entry for entry in self._heap if not entry[2].gone]
            heapq.heapify(self._heap)

    def reject(self) -> None:
        """Count a call that waited in vain."""
        self.rejected += 1

    def snapshot(self) -> SlotsSnapshot:
        """Return the state as a frozen record."""
        total = self.config.max_concurrent
        return SlotsSnapshot(total - len(self.free), self.waiting, total, self.rejected)
