"""How long to wait before the next attempt.

Source: exponential growth with a cap applied after jitter; full, equal and decorrelated jitter after M. Brooker,
"Exponential Backoff And Jitter" (2015).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Self

from outlast.errors import ConfigError

_LISTED = 1000


class Jitter(StrEnum):
    """Name how chance spreads the waits."""

    NONE = "none"
    PROPORTIONAL = "proportional"
    """The wait times 1 - amount .. 1 + amount."""
    FULL = "full"
    """From nothing to the wait."""
    EQUAL = "equal"
    """From half the wait to the wait."""
    ADDITIVE = "additive"
    """The wait and up to `amount` seconds more."""
    DECORRELATED = "decorrelated"
    """From the base to three times the wait before this one; factor and step are not used."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Compute waits that grow, spread by chance and never exceed a cap.

    Args:
        base: Seconds before the second attempt, >= 0. Default 1.
        factor: Growth per attempt, >= 1. Default 2.
        cap: The longest wait in seconds, applied after the jitter. Default 30.
        jitter: How chance spreads the wait. Default proportional.
        amount: For proportional jitter a share, 0 to 1; for additive jitter seconds, >= 0. Default 0.1.
        step: Seconds added per attempt, >= 0. Default 0.
        waits: The waits themselves, of which the last repeats; base, factor and step are then not used.

    >>> Backoff(base=1.0, jitter=Jitter.NONE).wait(3, chance=0.5)
    4.0
    """

    base: float = 1.0
    factor: float = 2.0
    cap: float = 30.0
    jitter: Jitter = Jitter.PROPORTIONAL
    amount: float = 0.1
    step: float = 0.0
    waits: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense as waits."""
        for name, least in (("base", 0.0), ("factor", 1.0), ("cap", 0.0), ("amount", 0.0), ("step", 0.0)):
            value: float = getattr(self, name)
            if not value >= least:
                raise ConfigError(f"must be at least {least:g}, not {value!r}", path=f"backoff.{name}")
        if self.jitter is Jitter.PROPORTIONAL and self.amount > 1:
            raise ConfigError(f"must be at most 1, not {self.amount!r}", path="backoff.amount")
        if not all(wait >= 0 for wait in self.waits):
            raise ConfigError(f"must be at least 0 seconds each, not {self.waits!r}", path="backoff.waits")
        if self.waits and self.jitter is Jitter.DECORRELATED:
            raise ConfigError(
                "decorrelated jitter makes its own waits; it cannot spread given ones", path="backoff.waits"
            )

    @classmethod
    def fixed(cls, seconds: float, *, jitter: Jitter = Jitter.NONE) -> Self:
        """Wait the same each time, spread by the given jitter. Default none."""
        return cls(base=seconds, factor=1.0, cap=seconds, jitter=jitter)

    @classmethod
    def exponential(
        cls, base: float = 1.0, *, factor: float = 2.0, cap: float = 30.0, jitter: Jitter = Jitter.FULL
    ) -> Self:
        """Wait longer each time, spread by the given jitter. Default full."""
        return cls(base=base, factor=factor, cap=cap, jitter=jitter)

    @classmethod
    def linear(
        cls,
        base: float = 1.0,
        *,
        step: float | None = None,
        cap: float = 30.0,
        jitter: Jitter = Jitter.PROPORTIONAL,
    ) -> Self:
        """Wait some seconds longer each time, by default as many as at first.

        >>> backoff = Backoff.linear(0.5, jitter=Jitter.NONE)
        >>> [backoff.wait(attempt, chance=0.5) for attempt in (1, 2, 3)]
        [0.5, 1.0, 1.5]
        """
        return cls(base=base, factor=1.0, cap=cap, jitter=jitter, step=base if step is None else step)

    @classmethod
    def decorrelated(cls, base: float = 1.0, *, cap: float = 30.0) -> Self:
        """Wait from `base` to three times the wait before, so that many clients drift apart."""
        return cls(base=base, cap=cap, jitter=Jitter.DECORRELATED)

    @classmethod
    def of(cls, waits: Iterable[float], *, cap: float | None = None, jitter: Jitter = Jitter.NONE) -> Self:
        """Wait as listed, the last wait again and again; of an endless iterable the first 1,000 count.

        Args:
            waits: Seconds, each >= 0. They are copied: an iterator is not shared between calls.
            cap: The longest wait in seconds. Default: the longest of them.
            jitter: How chance spreads them. Default none.

        >>> backoff = Backoff.of([0.1, 1, 5])
        >>> [backoff.wait(attempt, chance=0.5) for attempt in (1, 2, 3, 4)]
        [0.1, 1.0, 5.0, 5.0]
        """
        listed = tuple(float(wait) for wait in islice(waits, _LISTED))
        if not listed:
            raise ConfigError("must list at least one wait", path="backoff.waits")
        return cls(cap=max(listed) if cap is None else cap, jitter=jitter, waits=listed)

    def wait(self, attempt: int, chance: float, previous: float | None = None) -> float:
        """Return the seconds to wait after a failed attempt.

        Args:
            attempt: The number of the attempt that failed, from 1.
            chance: A random number from [0, 1).
            previous: The wait before that attempt, or None if there was none; decorrelated jitter needs it.
        """
        if self.jitter is Jitter.DECORRELATED:
            before = self.base if previous is None else previous
            return min(self.cap, self.base + (max(self.base, 3.0 * before) - self.base) * chance)
        return min(self.cap, self._spread(self._planned(attempt), chance))

    def longest(self, attempt: int) -> float:
        """Return the most seconds that `wait` can give after this attempt, whatever chance says."""
        match self.jitter:
            case Jitter.NONE | Jitter.FULL | Jitter.EQUAL:
                most = self._planned(attempt)
            case Jitter.PROPORTIONAL:
                most = self._planned(attempt) * (1.0 + self.amount)
            case Jitter.ADDITIVE:
                most = self._planned(attempt) + self.amount
            case Jitter.DECORRELATED:
                most = _power(self.base, 3.0, attempt, self.cap)
        return min(self.cap, most)

    def _planned(self, attempt: int) -> float:
        if self.waits:
            return self.waits[min(attempt, len(self.waits)) - 1]
        return min(self.cap, self.grow(self.base, attempt - 1) + self.step * (attempt - 1))

    def grow(self, base: float, steps: int) -> float:
        """Return `base` after that many steps of growth, at most the cap; large steps do not overflow."""
        return _power(base, self.factor, steps, self.cap)

    def _spread(self, wait: float, chance: float) -> float:
        match self.jitter:
            case Jitter.NONE | Jitter.DECORRELATED:
                return wait
            case Jitter.PROPORTIONAL:
                return wait * (1.0 - self.amount + 2.0 * self.amount * chance)
            case Jitter.FULL:
                return wait * chance
            case Jitter.EQUAL:
                return wait * (0.5 + 0.5 * chance)
            case Jitter.ADDITIVE:
                return wait + self.amount * chance


def _power(base: float, factor: float, steps: int, cap: float) -> float:
    if factor == 1.0 or base == 0.0:
        return min(base, cap)
    value = base
    for _ in range(steps):
        value *= factor
        if value >= cap:
            return cap
    return min(value, cap)
