"""How many calls may run at once, and who is next when one ends.

A token is free or taken; waiting callers stand in a queue. While nothing is out of the ordinary
(`crowded` is 0) the face takes and returns tokens without a lock. Whoever gives a token back looks at
`crowded` afterwards, and whoever begins to wait raises `crowded` first and looks for tokens afterwards,
so no wake-up is lost: either the waiter sees the token or the giver sees the waiter.

Source: the bulkhead pattern (M. Nygard, Release It!); the hand-over is Dijkstra's semaphore with a
direct grant, so that no newcomer overtakes and no slot is overshot.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import NamedTuple

from outlast.errors import ConfigError

_NEWEST = 0.2
"""The share of the latest interval in the pace at which slots come free."""


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
    order: QueueOrder | str = QueueOrder.FIFO

    def __post_init__(self) -> None:
        """Refuse a bulkhead that lets nothing in."""
        _check_count("max_concurrent", self.max_concurrent, 1)
        _check_count("max_waiting", self.max_waiting, 0)
        if self.max_wait is not None and not 0 <= self.max_wait < math.inf:
            raise ConfigError(f"must be None or at least 0 seconds, not {self.max_wait!r}", path="max_wait")
        if self.order not in set(QueueOrder):
            raise ConfigError(f"must be one of {', '.join(QueueOrder)}, not {self.order!r}", path="order")

    @property
    def longest_wait(self) -> float:
        """Return the most seconds that a call may wait, `inf` when only its deadline limits it."""
        if self.max_waiting == 0:
            return 0.0
        return math.inf if self.max_wait is None else self.max_wait


def _check_count(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"must be a whole number of at least {least}, not {value!r}", path=name)


@dataclass(slots=True, eq=False)
class Waiter:
    """Stand in the queue.

    Args:
        wake: Wakes the caller; the face calls it, after it has let go of its lock.
        priority: Higher is sooner, with `QueueOrder.PRIORITY`.
        granted: Whether it holds a slot.
        arrived: Its number in the order of arrival.
    """

    wake: Callable[[], object]
    priority: float = 0
    granted: bool = False
    arrived: int = 0


class Full(NamedTuple):
    """Say why a call gets no slot.

    Args:
        reason: In words.
        retry_after: Seconds after which a slot will probably be free, or None when nothing is known.
    """

    reason: str
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class SlotsSnapshot:
    """Show a bulkhead.

    Args:
        running: Slots taken now; more than there are for a while after their number was lowered.
        waiting: Callers in the queue now.
        max_concurrent: How many slots there are.
        max_waiting: How many may wait.
        rejected: Calls refused since the start, those that waited in vain included.
    """

    running: int
    waiting: int
    max_concurrent: int
    max_waiting: int
    rejected: int

    @property
    def utilisation(self) -> float:
        """Return the share of the slots that is taken, 0 to 1; above 1 for a while after a reduction."""
        return self.running / self.max_concurrent


class SlotsEngine:
    """Hold the tokens and the queue.

    The face calls every method under its lock, except that it may read `crowded`, pop `free` while that
    is 0, and append to `free` at any time. All three are atomic, and tokens are never made or lost but
    by `reconfigure`, so more calls than tokens can never run.

    Args:
        config: The settings.
    """

    def __init__(self, config: SlotsConfig) -> None:
        self.config = config
        self.free: deque[None] = deque([None] * config.max_concurrent)
        self.crowded = 0
        self.waiting = 0
        self.rejected = 0
        # One queue for each priority that waits; a single one when the order is another.
        self._queues: dict[float, OrderedDict[Waiter, None]] = {}
        self._arrivals = count()
        self._surplus = 0  # tokens out there that are too many since the number was lowered
        self._pace: float | None = None
        self._granted_at: float | None = None

    def join(self, waiter: Waiter, left: float | None) -> Full | None:
        """Give a caller a free slot or put it into the queue; `grant` must follow, and must have been called before.

        Args:
            waiter: The caller; it is `granted` if a slot was free.
            left: The most seconds it may wait, or None for no limit.

        Returns:
            None, or why it was refused.
        """
        if not self.crowded and self._take():
            waiter.granted = True
            return None
        if left is not None and left <= self._queue_ahead():
            return self.refuse(f"{self._load()}, and it cannot wait long enough")
        if self.waiting >= self.config.max_waiting:
            return self.refuse(self._load())
        waiter.arrived = next(self._arrivals)
        self._enqueue(waiter)
        self.waiting += 1
        self.crowded += 1
        return None

    def _load(self) -> str:
        return f"{self.running} calls are running and {self.waiting} waiting"

    def _queue_ahead(self) -> float:
        # Only where those ahead are sure to go first. They also keep the pace current, so it cannot be an old one.
        if self._pace is None or self.config.order != QueueOrder.FIFO:
            return 0.0
        return self._pace * self.waiting

    def _key(self, waiter: Waiter) -> float:
        return waiter.priority if self.config.order == QueueOrder.PRIORITY else 0

    def _enqueue(self, waiter: Waiter) -> None:
        self._queues.setdefault(self._key(waiter), OrderedDict())[waiter] = None

    def refuse(self, reason: str) -> Full:
        """Count a rejection and return it with an estimate of when a slot will be free."""
        self.rejected += 1
        return Full(reason, None if self._pace is None else self._pace * (self.waiting + 1))

    def grant(self, now: float) -> list[Waiter]:
        """Give the free tokens to those whose turn it is, and return whom to wake.

        Args:
            now: The present moment, monotonic seconds.
        """
        while self._surplus and self._take():
            self._surplus -= 1
        granted: list[Waiter] = []
        while self.waiting and self._take():
            granted.append(self._next())
            self.waiting -= 1
        if granted:
            self._keep_pace(now, len(granted))
        self.crowded = self.waiting + self._surplus
        return granted

    def _take(self) -> bool:
        try:
            self.free.pop()
        except IndexError:
            return False
        return True

    def _next(self) -> Waiter:
        key = max(self._queues)
        queue = self._queues[key]
        waiter, _ = queue.popitem(last=self.config.order == QueueOrder.LIFO)
        if not queue:
            del self._queues[key]
        waiter.granted = True
        return waiter

    def _keep_pace(self, now: float, grants: int) -> None:
        # Time between grants says something only if somebody was waiting all the while.
        if self._granted_at is not None:
            each = max(0.0, now - self._granted_at) / grants  # two threads may read the clock in the other order
            self._pace = each if self._pace is None else self._pace + _NEWEST * (each - self._pace)
        self._granted_at = now if self.waiting else None

    def leave(self, waiter: Waiter) -> bool:
        """Take a caller that gave up out of the queue; True says that it holds a slot after all."""
        if waiter.granted:
            return True
        key = self._key(waiter)
        del self._queues[key][waiter]
        if not self._queues[key]:
            del self._queues[key]
        self.waiting -= 1
        self.crowded -= 1
        self._granted_at = self._granted_at if self.waiting else None
        return False

    def reconfigure(self, config: SlotsConfig) -> None:
        """Change the settings; `grant` must follow. Nobody loses a slot or a place.

        Fewer slots: tokens are taken out of use as they come back. Another order: those who wait keep
        their order of arrival within it.
        """
        # Before the tokens are looked at: a giver that sees no crowd has put its token back already.
        self._surplus += self.config.max_concurrent - config.max_concurrent
        self.crowded = self.waiting + max(0, self._surplus)
        while self._surplus < 0:
            self.free.append(None)
            self._surplus += 1
        waiters = [waiter for queue in self._queues.values() for waiter in queue]
        self.config = config
        self._queues = {}
        for waiter in sorted(waiters, key=lambda waiter: waiter.arrived):
            self._enqueue(waiter)

    @property
    def running(self) -> int:
        """Return how many slots are taken; with a few too many where their number was lowered."""
        return self.config.max_concurrent + self._surplus - len(self.free)

    def snapshot(self) -> SlotsSnapshot:
        """Return the state as a frozen record."""
        config = self.config
        return SlotsSnapshot(self.running, self.waiting, config.max_concurrent, config.max_waiting, self.rejected)
