"""What happens to a feed of changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from outlast.events._base import Event, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionChanged(Event):
    """A feed's connection has another state.

    Args:
        phase: The state: `connecting`, `catching-up`, `live`, `waiting`, `unauthorised` or `stopped`.
        rung: The way over which the feed listens, or will try to.
        reason: Why, in words; empty where there is nothing to say.
        wait: Seconds until the next attempt, or None.
    """

    phase: str
    rung: str
    reason: str = ""
    wait: float | None = None

    @property
    def live(self) -> bool:
        """Tell whether changes arrive, and all earlier ones have."""
        return self.phase == "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedResynced(Event):
    """A feed has pulled everything that it had not heard of.

    Args:
        reason: What made it pull: `connected`, `gap` or `schedule`.
        events: How many events that brought.
        pages: In how many requests.
    """

    severity: ClassVar[Severity] = Severity.DEBUG

    reason: str
    events: int
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedApplyFailed(Event):
    """Events could not be applied; nothing of them was stored, and they will be applied again.

    Args:
        error: The type of the failure.
        wait: Seconds until then.
    """

    severity: ClassVar[Severity] = Severity.ERROR

    error: str
    wait: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStopped(Event):
    """A feed has ended by a failure and hears of nothing any more.

    Args:
        reason: The failure.
    """

    severity: ClassVar[Severity] = Severity.ERROR

    reason: str
