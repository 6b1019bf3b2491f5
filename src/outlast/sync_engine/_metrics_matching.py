"""Find out which events belong together, when they may come in any order and nothing may be remembered for ever."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

Place = tuple[str, int]
"""An outbox, and a write's place in it."""
Attempt = tuple[str, int, int]
"""The same, and the number of the attempt."""


class Departure(NamedTuple):
    """Say what an event means for the queue.

    Args:
        leaves: Whether its write was in the queue until now, as far as is known.
        resolved: Whether it shows that a conflict of the write was overcome.
    """

    leaves: bool
    resolved: bool


class Attempts:
    """Match the start and the end of attempts, in whichever order they come; what waits longest goes first.

    Args:
        most: How many may wait for their other half.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: OrderedDict[Attempt, tuple[bool, float | None]] = OrderedDict()

    def meet(self, key: Attempt, at: float | None, *, is_end: bool) -> float | None:
        """Return the time of the other half, if it is there and has one; else this half waits for it."""
        waiting = self._waiting.pop(key, None)
        if waiting is not None and waiting[0] is not is_end:
            return waiting[1]
        self._waiting[key] = (is_end, at)
        if len(self._waiting) > self._most:
            self._waiting.popitem(last=False)
        return None


class Leavers:
    """Know which writes have left the queue, by delivery or by a stop, so that each is taken off once.

    A write that is in conflict or dead may come back and be delivered. The events of one write may come in any order.

    Args:
        most: How many of each kind are remembered; the oldest go first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._stopped: OrderedDict[Place, bool] = OrderedDict()
        self._delivered: OrderedDict[Place, bool] = OrderedDict()

    def stop(self, op: Place, *, conflict: bool) -> Departure:
        """Note that a write came into conflict, or died."""
        if op in self._delivered:
            resolved = conflict and not self._delivered[op]
            self._delivered[op] |= conflict
            return Departure(leaves=False, resolved=resolved)
        leaves = op not in self._stopped
        self._stopped[op] = self._stopped.get(op, False) or conflict
        _shrink(self._stopped, self._most)
        return Departure(leaves=leaves, resolved=False)

    def deliver(self, op: Place) -> Departure:
        """Note that a write was delivered."""
        was_stopped = op in self._stopped
        conflict = self._stopped.pop(op, False)
        self._delivered[op] = conflict
        _shrink(self._delivered, self._most)
        return Departure(leaves=not was_stopped, resolved=conflict)


def _shrink(known: OrderedDict[Place, bool], most: int) -> None:
    if len(known) > most:
        known.popitem(last=False)
