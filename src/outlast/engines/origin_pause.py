"""How long nothing may be sent to an origin that asked for a rest (429), across restarts and jumps of the clock.

A pause is stored as the moment at which it ends and the seconds that it was to last. The length bounds what is
left, so that a clock that was set back cannot stretch it; one that was set forward ends it early, and then the
origin asks again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from outlast.errors import ConfigError


@dataclass(frozen=True, slots=True)
class OriginPause:
    """Hold a pause of one origin.

    Args:
        until: Unix seconds at which it ends.
        length: Seconds that it was to last, >= 0 and finite; it bounds what is left.
        reason: What the origin answered.
    """

    until: float
    length: float
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse what would never end."""
        if not (math.isfinite(self.until) and math.isfinite(self.length) and self.length >= 0):
            raise ConfigError(
                f"must be finite, and the length at least 0 seconds, not {self.until!r} and {self.length!r}",
                path="pause",
            )

    def left(self, wall: float) -> float:
        """Return the seconds that are left of it, 0 when it is over.

        >>> OriginPause(until=1060.0, length=60.0).left(wall=-5_000_000.0)
        60.0
        """
        return min(max(0.0, self.until - wall), self.length)

    def to_data(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {"until": self.until, "length": self.length, "reason": self.reason}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_data` gave."""
        return cls(float(data["until"]), float(data["length"]), str(data.get("reason", "")))


def pause(
    known: OriginPause | None, seconds: float, *, wall: float, longest: float = 3600.0, reason: str = ""
) -> OriginPause:
    """Return the pause that is in force after an origin asked for one; what is left of a longer one stays.

    Args:
        known: The pause in force, or None.
        seconds: How long it asks to wait; what is no number of seconds counts as the longest.
        wall: Unix seconds now.
        longest: The longest pause in seconds that is believed. Default 3600.
        reason: What it answered.
    """
    length = min(seconds, longest) if seconds >= 0 else 0.0 if seconds < 0 else longest
    left = 0.0 if known is None else known.left(wall)
    if known is not None and left > length:
        # Anchored anew, so that a clock that has jumped meanwhile cannot stretch it a second time.
        return OriginPause(wall + left, left, known.reason)
    return OriginPause(wall + length, length, reason)


def resume(known: OriginPause | None, *, wall: float, now: float) -> float:
    """Return the monotonic seconds until which a process that starts now must rest.

    Args:
        known: The stored pause, or None.
        wall: Unix seconds now.
        now: Monotonic seconds now.
    """
    return now if known is None else now + known.left(wall)
