"""Decide what a stored value may be used for.

Two states are kept apart: an expired value is one that has grown old and may still be served while its
source fails; a removed value is gone and may never be served.

Source: RFC 5861 for the two windows, both of which begin where the time to live ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from outlast.errors import ConfigError


class Use(Enum):
    """Say what a stored value may be used for."""

    FRESH = "fresh"
    """Answer with it."""
    REVALIDATE = "revalidate"
    """Answer with it, and load a new one behind the caller's back."""
    FALLBACK = "fallback"
    """Load a new one; answer with it only if that fails."""
    EXPIRED = "expired"
    """Do not answer with it."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """Hold the numbers that decide how old an answer may be.

    Args:
        ttl: Seconds for which a value is fresh, >= 0. Default 60.
        stale_while_revalidate: Seconds after `ttl` in which it is served while a new one is loaded. Default 0.
        stale_if_error: Seconds after `ttl` in which it is served if loading fails; `inf` for always. Default 3600.
        negative_ttl: Seconds for which "there is no such thing" is fresh. Default 5.
        soft_timeout: Seconds after which a stale value is served while loading goes on, or None. Default 0.25.
        load_timeout: Seconds after which loading counts as failed, > 0. Default 5.

    >>> Freshness(ttl=60, stale_if_error=3600).use(age=90.0)
    <Use.FALLBACK: 'fallback'>
    """

    ttl: float = 60.0
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 3600.0
    negative_ttl: float = 5.0
    soft_timeout: float | None = 0.25
    load_timeout: float = 5.0

    def __post_init__(self) -> None:
        """Refuse numbers that are no ages."""
        for name in ("ttl", "stale_while_revalidate", "stale_if_error", "negative_ttl"):
            value: float = getattr(self, name)
            if not value >= 0:
                raise ConfigError(f"must be at least 0 seconds, not {value!r}", path=f"freshness.{name}")
        if not self.load_timeout > 0:
            raise ConfigError(f"must be above 0 seconds, not {self.load_timeout!r}", path="freshness.load_timeout")
        if self.soft_timeout is not None and not self.soft_timeout >= 0:
            raise ConfigError(f"must be at least 0 seconds, not {self.soft_timeout!r}", path="freshness.soft_timeout")

    def use(self, age: float, *, negative: bool = False) -> Use:
        """Say what a value of that age may be used for.

        Args:
            age: Seconds since the value was known to be current, >= 0.
            negative: Whether the value is "there is no such thing".
        """
        ttl = self.negative_ttl if negative else self.ttl
        if age < ttl:
            return Use.FRESH
        if age < ttl + self.stale_while_revalidate:
            return Use.REVALIDATE
        return Use.FALLBACK if age < ttl + self.stale_if_error or math.isinf(self.stale_if_error) else Use.EXPIRED

    @property
    def keep_for(self) -> float:
        """Return the seconds after which a stored value is of no use any more."""
        return max(self.ttl, self.negative_ttl) + max(self.stale_while_revalidate, self.stale_if_error)
