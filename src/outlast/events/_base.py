"""The record that every event is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class Severity(IntEnum):
    """Say how much attention an event deserves; the numbers are those of `logging`."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Be the base of every event.

    Args:
        source: The name of the component that it happened in.
        at: Monotonic seconds at which it happened, given by the publisher.
    """

    severity: ClassVar[Severity] = Severity.INFO

    source: str
    at: float

    @property
    def event_type(self) -> str:
        """Return the name of the class, for logs and metrics."""
        return type(self).__name__
