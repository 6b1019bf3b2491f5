"""Whether a call is disturbed: a rate, a filter, an end by time or by number, and a switch that stops it.

Source: fault, latency, outcome and behaviour strategies as in Polly's Simmy; the automatic end is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from outlast.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ChaosConfig:
    """Hold how often and for how long calls are disturbed.

    Args:
        rate: The share of calls, 0 to 1.
        latency: Seconds, or the least and the most, that a disturbed call waits before anything else. Default 0.
        expires_after: Seconds after which it stops by itself, > 0. Default inf: never.
        max_injections: Disturbed calls after which it stops by itself, >= 1, or None for no limit. Default None.
    """

    rate: float
    latency: float | tuple[float, float] = 0.0
    expires_after: float = math.inf
    max_injections: int | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if isinstance(self.rate, bool) or not 0 <= self.rate <= 1:
            raise ConfigError(f"must be from 0 to 1, not {self.rate!r}", path="rate")
        least, most = self.span
        if not (0 <= least <= most and math.isfinite(most)):
            raise ConfigError(f"must be seconds, or the least and the most, not {self.latency!r}", path="latency")
        if not self.expires_after > 0:
            raise ConfigError(f"must be above 0 seconds, not {self.expires_after!r}", path="expires_after")
        if self.max_injections is not None and (isinstance(self.max_injections, bool) or self.max_injections < 1):
            raise ConfigError(
                f"must be a whole number of at least 1, not {self.max_injections!r}", path="max_injections"
            )

    @property
    def span(self) -> tuple[float, float]:
        """Return the least and the most latency in seconds."""
        return self.latency if isinstance(self.latency, tuple) else (self.latency, self.latency)


@dataclass(frozen=True, slots=True)
class ChaosSnapshot:
    """Show a chaos policy.

    Args:
        active: Whether calls may be disturbed now.
        why: Why not, or an empty text.
        injected: Calls disturbed since it was last started.
        rate: The share of calls that are.
    """

    active: bool
    why: str
    injected: int
    rate: float


@dataclass(frozen=True, slots=True)
class Active:
    """Calls are disturbed.

    Args:
        until: Monotonic seconds at which that ends.
    """

    until: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """Calls pass untouched.

    Args:
        why: Why.
    """

    why: str


class ChaosEngine:
    """Decide about single calls. The face calls everything under its lock, but may read two attributes without it.

    `active` tells whether calls may be disturbed, if the time is not over; one that reads it too late asks
    `strike`, which knows. `fresh` tells whether it was never started.

    Args:
        config: The settings; may be replaced while it runs.
    """

    def __init__(self, config: ChaosConfig) -> None:
        self.config = config
        self._phase: Active | Stopped = Stopped("not enabled")
        self._injected = 0
        self.active = False
        self.fresh = True

    def start(self, now: float) -> None:
        """Disturb calls from now on, with time and count as new."""
        self._phase = Active(now + self.config.expires_after)
        self._injected = 0
        self.active, self.fresh = True, False

    def stop(self, why: str) -> bool:
        """Disturb no further call; False says that none was anyway."""
        if isinstance(self._phase, Stopped):
            return False
        self._phase = Stopped(why)
        self.active = False
        return True

    def ended(self, now: float) -> str:
        """Return why it must stop now, or an empty text."""
        config = self.config
        match self._phase:
            case Active(until=until) if now >= until:
                return f"its {config.expires_after:g} s are over"
            case Active() if config.max_injections is not None and self._injected >= config.max_injections:
                return f"it disturbed {self._injected} calls"
            case Active() | Stopped():
                return ""

    def strike(self, chance: float, spread: float) -> float | None:
        """Count a disturbed call and return the seconds that it waits first, or None to leave the call alone.

        Args:
            chance: A random number from [0, 1) that is held against the rate.
            spread: Another, for the latency.
        """
        if not self.active or chance >= self.config.rate:
            return None
        self._injected += 1
        least, most = self.config.span
        return least + (most - least) * spread

    def reconfigure(self, config: ChaosConfig, now: float) -> None:
        """Change the settings; a new time to expire counts from now."""
        if isinstance(self._phase, Active) and config.expires_after != self.config.expires_after:
            self._phase = Active(now + config.expires_after)
        self.config = config

    def snapshot(self) -> ChaosSnapshot:
        """Return the state as a frozen record."""
        match self._phase:
            case Active():
                why = ""
            case Stopped(why=why):
                pass
        return ChaosSnapshot(self.active, why, self._injected, self.config.rate)
