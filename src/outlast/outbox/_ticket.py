"""A ticket stands for one queued write and tells what became of it."""

from __future__ import annotations

import math
from typing import Final

from outlast.clock import Clock
from outlast.engines.op import OpState
from outlast.outbox._core import OutboxCore
from outlast.outbox._parked import ParkedOp
from outlast.outbox._records import OpStatus

_SETTLED: Final = frozenset({OpState.DELIVERED, OpState.ANNIHILATED, OpState.CONFLICT, OpState.DEAD})
_POLL_EVERY: Final = 0.1
"""Seconds between looks at the file for what other processes have done to it."""


class TicketCore:
    """Know one op of one outbox.

    Args:
        core: The outbox.
        seq: The op's place.
    """

    def __init__(self, core: OutboxCore, seq: int) -> None:
        self._core = core
        self.seq = seq

    @property
    def key(self) -> str:
        """Return the idempotency key of the op's first generation."""
        return self._core.identity.key(self.seq, 0)

    def __repr__(self) -> str:
        """Return the place and the file."""
        return f"{type(self).__name__}({self.seq}, {self._core.name!r})"


class Wait:
    """Say how long to wait before the next look at a write.

    Args:
        clock: Where the time comes from.
        timeout: Seconds for which it is looked at, once in any case, or None for ever.
    """

    def __init__(self, clock: Clock, timeout: float | None) -> None:
        self._clock = clock
        self._timeout = timeout
        self._end = math.inf if timeout is None else clock.now() + timeout

    def over(self, status: OpStatus) -> bool:
        """Tell whether there is nothing to wait for any more.

        Raises:
            TimeoutError: There is, but no time is left.
        """
        if status.state in _SETTLED:
            return True
        if self._clock.now() >= self._end:
            raise TimeoutError(
                f"write {status.seq} is still {status.state.value} after {self._timeout:g} s; nothing is lost"
            )
        return False

    def pause(self) -> float:
        """Return the seconds until the next look."""
        return min(_POLL_EVERY, max(0.0, self._end - self._clock.now()))


def placed(seq: int) -> int:
    """Return a place.

    Raises:
        LookupError: It is none: the transaction of the write is still open.
    """
    if not seq:
        raise LookupError("the write has no place before its transaction is committed")
    return seq


def pick_parked(found: list[ParkedOp], seq: int) -> ParkedOp:
    """Return the only write in a list.

    Raises:
        LookupError: There is none: the write is on its way, delivered, or unknown.
    """
    if not found:
        raise LookupError(f"no write {seq} lies in the conflicts or dead letters")
    return found[0]
