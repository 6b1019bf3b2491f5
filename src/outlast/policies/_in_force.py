"""The limit that is in force where a piece of code runs, whoever set it: a block's deadline or a call's time-out."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Generator
from contextlib import contextmanager
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

    @property
    def task(self) -> asyncio.Task[Any] | None:
        """Return the task that it cuts, or None when nothing is cut."""
        ...

    def own_left(self) -> float:
        """Return the seconds until it is over by itself, below 0 when it was."""
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


def least(limit: Limit | None, spared: asyncio.Task[Any] | None = None) -> float:
    """Return the least seconds that a limit and those around it leave, `inf` when none is in force.

    Args:
        limit: The innermost.
        spared: Leave out those that cut this task by themselves.
    """
    seconds = math.inf
    while limit is not None:
        # A task that outlives the block it was started in still has the block's limit in its copy of the context.
        if isinstance(limit, tuple):
            _, outer, task, lane = limit
            if task is not spared and lane.holds(limit):
                seconds = min(seconds, lane.left(limit))
        else:
            outer = limit.outer
            if not limit.ended and (spared is None or limit.task is not spared):
                seconds = min(seconds, limit.own_left())
        limit = outer
    return seconds


@contextmanager
def no_deadline() -> Generator[None]:
    """Run a block that no deadline around it limits: work that others wait for, too.

    Whoever starts it may have little time left, and those who join later more.

    >>> from outlast.policies import deadline, remaining
    >>> with deadline(2.0), no_deadline():
    ...     print(remaining())
    None
    """
    token = CURRENT.set(None)
    try:
        yield
    finally:
        CURRENT.reset(token)
