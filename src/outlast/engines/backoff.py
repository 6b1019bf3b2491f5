"""How long to wait before the next attempt.

Source: exponential growth with a cap applied after jitter; jitter kinds after M. Brooker,
"Exponential Backoff And Jitter" (2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from outlast.errors import ConfigError


class Jitter(StrEnum):
    """Name how chance spreads the waits."""

    NONE = "none"
    PROPORTIONAL = "proportional"
    """The wait times 1 - amount .. 1 + amount."""
    FULL = "full"
    """From nothing to the wait."""
    EQUAL = "equal"
    """From half the wait to the wait."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Compute waits that grow, spread by chance and never exceed a cap.

    Args:
        base: Seconds before the second attempt, >= 0. Default 1.
        factor: Growth per attempt, >= 1. Default 2.
        cap: The longest wait in seconds, applied after the jitter. Default 30.
        jitter: How chance spreads the wait. Default proportional.
        amount: The share for proportional jitter, 0 to 1. Default 0.1.

    >>> Backoff(base=1.0, jitter=Jitter.NONE).wait(3, chance=0.5)
    4.0
    """

    base: float = 1.0
    factor: float = 2.0
    cap: float = 30.0
    jitter: Jitter = Jitter.PROPORTIONAL
    amount: float = 0.1

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense as waits."""
        for name, least in (("base", 0.0), ("factor", 1.0), ("cap", 0.0), ("amount", 0.0)):
            value: float = getattr(self, name)
            if not value >= least:
                raise ConfigError(f"must be at least {least:g}, not {value!r}", path=f"backoff.{name}")
        if self.amount > 1:
            raise ConfigError(f"must be at most 1, not {self.amount!r}", path="backoff.amount")

    @classmethod
    def fixed(cls, seconds: float) -> Self:
        """Wait the same each time, without jitter."""
        return cls(base=seconds, factor=1.0, cap=seconds, jitter=Jitter.NONE)

    @classmethod
    def exponential(
        cls, base: float = 1.0, *, factor: float = 2.0, cap: float = 30.0, jitter: Jitter = Jitter.FULL
    ) -> Self:
        """Wait longer each time, spread by the given jitter. Default full."""
        return cls(base=base, factor=factor, cap=cap, jitter=jitter)

    def wait(self, attempt: int, chance: float) -> float:
        """Return the seconds to wait after a failed attempt.

        Args:
            attempt: The number of the attempt that failed, from 1.
            chance: A random number from [0, 1).
        """
        return min(self.cap, self._spread(self.grow(self.base, attempt - 1), chance))

    def grow(self, base: float, steps: int) -> float:
        """Return `base` after that many steps of growth, at most the cap; large steps do not overflow."""
        if self.factor == 1.0 or base == 0.0:
            return min(base, self.cap)
        value = base
        for _ in range(steps):
            value *= self.factor
            if value >= self.cap:
                return self.cap
        return min(value, self.cap)

    def _spread(self, wait: float, chance: float) -> float:
        match self.jitter:
            case Jitter.NONE:
                return wait
            case Jitter.PROPORTIONAL:
                return wait * (1.0 - self.amount + 2.0 * self.amount * chance)
            case Jitter.FULL:
                return wait * chance
            case Jitter.EQUAL:
                return wait * (0.5 + 0.5 * chance)
