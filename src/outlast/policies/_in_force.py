"""The limit that is in force where a piece of code runs, whoever set it: a block's deadline or a call's time-out."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any, Protocol, TypeAlias


class Block(Protocol):
    """Be a limit that is an object: that of a block."""

    @property
    def ended(self) -> bool:
        """Tell whether its block is over, which a task that was started in it may outlive."""
        ...

    @property
    def outer(self) -> Limit | None:
        """Return the limit around it."""
        ...

    def left(self) -> float:
        """Return the seconds until it is over, below 0 when it was."""
        ...


class HoldsEntries(Protocol):
    """Be a lane, as far as a limit's entry needs it."""

    def holds(self, entry: Entry, /) -> bool:
        """Tell whether the entry's call is running."""
        ...

    def left(self, entry: Entry, /) -> float:
        """Return the seconds until the entry's call is over."""
        ...


Entry: TypeAlias = "tuple[float, Limit | None, asyncio.Task[Any], HoldsEntries]"
"""A call in a lane: when it is due, the limit around it, its task, its lane. A tuple, because each call makes one."""

Limit: TypeAlias = "Block | Entry"

CURRENT: ContextVar[Limit | None] = ContextVar("outlast_limit", default=None)


def in_force(limit: Limit | None) -> Limit | None:
    """Return the innermost limit that has not ended, from a given one outwards."""
    # A task that outlives the block it was started in still has the block's limit in its copy of the context.
    while limit is not None:
        if isinstance(limit, tuple):
            if limit[3].holds(limit):
                return limit
            limit = limit[1]
        elif limit.ended:
            limit = limit.outer
        else:
            return limit
    return None


def left_of(limit: Limit) -> float:
    """Return the seconds until a limit is over, below 0 when it was."""
    return limit[3].left(limit) if isinstance(limit, tuple) else limit.left()
