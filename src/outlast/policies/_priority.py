"""How important a call is, carried along by context: who waits in front, and who is shed first."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum
from typing import Any

from outlast.config import check_number

PriorityRule = Callable[..., float]
"""A function of a call's arguments that returns its priority; higher is more important."""


class Criticality(IntEnum):
    """Name four classes of importance, for those who need no finer ones; the numbers are priorities.

    Source: Google, Site Reliability Engineering, chapter 21.
    """

    SHEDDABLE = -20
    """May fail often and for long: background work that is done again."""
    SHEDDABLE_PLUS = -10
    """May fail for a while: batch work with patience."""
    CRITICAL = 0
    """A user sees it when it fails. The default."""
    CRITICAL_PLUS = 10
    """Many users see it when it fails."""


_level: ContextVar[float] = ContextVar("outlast_priority", default=Criticality.CRITICAL)


@contextmanager
def priority(level: float) -> Generator[None]:
    """Say how important the calls in a block are; bulkheads and throttles inside look at it.

    Threads and tasks that copy the context, as tasks do, have it too.

    Args:
        level: Higher is more important; 0 is the default. A `Criticality` is one.

    Raises:
        ConfigError: The level is no number.

    >>> with priority(Criticality.SHEDDABLE):
    ...     current_priority()
    <Criticality.SHEDDABLE: -20>
    """
    check_number("priority", level)
    token = _level.set(level)
    try:
        yield
    finally:
        _level.reset(token)


def current_priority() -> float:
    """Return the priority of the calls made here."""
    return _level.get()


def priority_of(rule: PriorityRule | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """Return the priority of one call: what the policy's rule says, else what the context says.

    Raises:
        ConfigError: The rule gave no number.
    """
    if rule is None:
        return _level.get()
    level = rule(*args, **kwargs)
    check_number("priority", level)
    return level
