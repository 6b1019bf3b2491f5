"""What happens when something is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from outlast.events._base import Event, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAnswered(Event):
    """A read was answered.

    Args:
        key: What was read.
        origin: Where the value came from.
        age: Seconds since the value was known to be current.
        stale: Whether it is older than its freshness allows.
    """

    severity: ClassVar[Severity] = Severity.DEBUG

    key: str
    origin: str
    age: float
    stale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailed(Event):
    """The source behind a cache could not be read.

    Args:
        key: What was asked for.
        error: The type of the failure.
    """

    severity: ClassVar[Severity] = Severity.WARNING

    key: str
    error: str
