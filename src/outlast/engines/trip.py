"""Trip rules: what opens a circuit. A rule is frozen settings; a window is its running state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from outlast.errors import ConfigError


class Window(Protocol):
    """Keep what a rule has seen in one closed era."""

    def failure(self, ok: int, now: float) -> str:
        """Count a failure and return why the circuit must open, or an empty string.

        Args:
            ok: How many calls of this era have succeeded so far.
            now: The present moment, monotonic seconds.
        """
        ...


class TripRule(Protocol):
    """Make a fresh window for every closed era."""

    def start(self) -> Window:
        """Return an empty window."""
        ...


@dataclass(frozen=True, slots=True)
class ConsecutiveFailures:
    """Open after a number of failures with no success between them.

    Args:
        threshold: How many, >= 1. Default 5.

    >>> window = ConsecutiveFailures(2).start()
    >>> window.failure(0, 1.0), window.failure(1, 2.0), window.failure(1, 3.0)
    ('', '', '2 failures in a row')
    """

    threshold: int = 5

    def __post_init__(self) -> None:
        """Refuse a threshold that nothing could reach."""
        if isinstance(self.threshold, bool) or self.threshold < 1:
            raise ConfigError(f"must be a whole number of at least 1, not {self.threshold!r}", path="failure_threshold")

    def start(self) -> ConsecutiveWindow:
        """Return an empty window."""
        return ConsecutiveWindow(self.threshold)


@dataclass(slots=True)
class ConsecutiveWindow:
    """Count a streak of failures; it breaks when the era's successes have moved since the last one."""

    threshold: int
    streak: int = 0
    ok_seen: int = 0

    def failure(self, ok: int, now: float) -> str:
        """Count a failure; successes show in `ok` alone."""
        del now
        if ok != self.ok_seen:
            self.ok_seen = ok
            self.streak = 0
        self.streak += 1
        return f"{self.streak} failures in a row" if self.streak >= self.threshold else ""
