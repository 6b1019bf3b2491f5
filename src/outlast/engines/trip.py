"""Trip rules: what opens a circuit. A rule is frozen settings of plain values; a window is its running state.

A window is asked at failures, and at slow calls if its rule minds them: **a success never opens a
circuit**, except a slow one. Successes reach it as a number, how many the era has seen so far, so that a
success costs one bump of a counter. Rules over time also need to know roughly when calls were settled;
for them the face calls `roll` once in a grain of time.

Source: the rules are those of resilience4j, Polly and cockatiel; the leaky count is the seed's own.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from outlast.errors import ConfigError


class Window(Protocol):
    """Keep what a rule has seen in one closed era."""

    def failure(self, ok: int, now: float, weight: float = 1.0, took: float = 0.0) -> str:
        """Count a failure and return why the circuit must open, or an empty string.

        Args:
            ok: How many calls of this era have succeeded so far.
            now: The present moment, monotonic seconds.
            weight: How much of a failure it is, > 0. Default 1.
            took: Seconds that the call took, 0 when nobody measured. Default 0.
        """
        ...

    def slow(self, ok: int, now: float, took: float) -> str:
        """Count a success that took longer than `slow_limit`; `ok` includes it. Returns as `failure` does."""
        ...

    def roll(self, ok: int, now: float) -> None:
        """Date the successes since the last roll."""
        ...


class TripRule(Protocol):
    """Make a fresh window for every closed era, and say what it must be told."""

    @property
    def grain(self) -> float | None:
        """Return within how many seconds successes need not be told apart in time, None if time does not matter."""
        ...

    @property
    def slow_limit(self) -> float | None:
        """Return above how many seconds a call is slow, None if that does not matter."""
        ...

    def start(self, ok: int = 0) -> Window:
        """Return an empty window.

        Args:
            ok: How many calls of the era have succeeded before; they are left out.
        """
        ...

    def adopt(self, window: Window) -> bool:
        """Put this rule's limits on a running window, if what that has seen is of use under them.

        Args:
            window: Another rule's window. It is changed only if the answer is True.
        """
        ...


class Rule(ABC):
    """Be the base of the rules that come with outlast; any two are combined with `|`."""

    __slots__ = ()

    @property
    def grain(self) -> float | None:
        """Return None: time does not matter."""
        return None

    @property
    def slow_limit(self) -> float | None:
        """Return None: slowness does not matter."""
        return None

    @abstractmethod
    def start(self, ok: int = 0) -> Window:
        """Return an empty window."""

    def adopt(self, window: Window) -> bool:
        """Return False: nothing can be kept."""
        del window
        return False

    def __or__(self, other: TripRule) -> AnyOf:
        """Return a rule that opens when either does."""
        return AnyOf((*_parts(self), *_parts(other)))


def _parts(rule: TripRule) -> tuple[TripRule, ...]:
    return rule.rules if isinstance(rule, AnyOf) else (rule,)


@dataclass(frozen=True, slots=True)
class AnyOf(Rule):
    """Open when any of several rules does; made by `|`.

    Args:
        rules: The rules, at least one.
    """

    rules: tuple[TripRule, ...]

    def __post_init__(self) -> None:
        """Refuse an empty choice, under which nothing would ever open."""
        if not self.rules:
            raise ConfigError("needs at least one rule", path="trip")

    @property
    def grain(self) -> float | None:
        """Return the finest grain that a rule needs."""
        return min((rule.grain for rule in self.rules if rule.grain is not None), default=None)

    @property
    def slow_limit(self) -> float | None:
        """Return the lowest limit above which a rule minds slow calls; each compares with its own."""
        return min((rule.slow_limit for rule in self.rules if rule.slow_limit is not None), default=None)

    def start(self, ok: int = 0) -> AnyWindow:
        """Return an empty window of each rule."""
        return AnyWindow(tuple(rule.start(ok) for rule in self.rules))


@dataclass(slots=True)
class AnyWindow:
    """Tell every window everything, and return the first reason that one has."""

    windows: tuple[Window, ...]

    def failure(self, ok: int, now: float, weight: float = 1.0, took: float = 0.0) -> str:
        """Count a failure in each window."""
        return next(filter(None, [window.failure(ok, now, weight, took) for window in self.windows]), "")

    def slow(self, ok: int, now: float, took: float) -> str:
        """Count a slow success in each window."""
        return next(filter(None, [window.slow(ok, now, took) for window in self.windows]), "")

    def roll(self, ok: int, now: float) -> None:
        """Date the successes in each window."""
        for window in self.windows:
            window.roll(ok, now)


def carry_over(rule: TripRule, running: Window, ok: int) -> tuple[Window, list[str]]:
    """Return a window for a rule that knows what a window of another rule knows, as far as that is possible.

    Args:
        rule: The new rule.
        running: The window of the old one.
        ok: How many calls of the era have succeeded so far.

    Returns:
        The window, and for each part of the rule that begins anew a line that says so.
    """
    left = list(running.windows) if isinstance(running, AnyWindow) else [running]
    kept: list[Window] = []
    lost: list[str] = []
    for part in _parts(rule):
        old = next((candidate for candidate in left if part.adopt(candidate)), None)
        if old is None:
            lost.append(f"{part!r} begins with an empty window")
        else:
            left = [window for window in left if window is not old]
        kept.append(part.start(ok) if old is None else old)
    return kept[0] if len(kept) == 1 else AnyWindow(tuple(kept)), lost


def check_count(value: object, name: str) -> None:
    """Refuse what is no whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"must be a whole number of at least 1, not {value!r}", path=name)


def check_above_zero(value: object, name: str) -> None:
    """Refuse what is no finite number above 0."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ConfigError(f"must be a number above 0, not {value!r}", path=name)
