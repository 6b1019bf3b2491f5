"""Follow one hedged call through its attempts; the same for tasks and for threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from outlast.clock import Clock
from outlast.engines.hedge import HedgeEngine
from outlast.errors import ConfigError
from outlast.events import EventBus, HedgeStarted, HedgeWon
from outlast.policies._notes import note


class HedgeBudget(Protocol):
    """Say whether one more call may be added; `RetryBudget` is one."""

    def take(self) -> bool:
        """Take one out, if there is one."""
        ...


Targets = Sequence[Any] | Callable[[int], Any]
"""What each hedge calls instead of the first target: in turn, or by the number of the hedge, from 1."""


@dataclass(frozen=True, slots=True)
class HedgeParts:
    """Hold what every call of one policy shares."""

    name: str
    engine: HedgeEngine
    budget: HedgeBudget | None
    targets: Targets | None
    target_argument: int | str
    clock: Clock
    bus: EventBus
    lock: threading.Lock


class HedgeRun:
    """Decide when a hedge is started, with which arguments, and how the call ends.

    Args:
        parts: What the policy shares.
        args: The call's arguments.
        kwargs: Its keyword arguments.

    Raises:
        ConfigError: The argument that names the target is not among them.
    """

    __slots__ = ("_args", "_kwargs", "_parts", "_race")

    def __init__(self, parts: HedgeParts, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._parts = parts
        self._args = args
        self._kwargs = kwargs
        if parts.targets is not None:
            _check_has(parts.target_argument, args, kwargs)
        now = parts.clock.now()
        with parts.lock:
            self._race = parts.engine.begin(now)

    def wait(self) -> float | None:
        """Return the seconds until a hedge is due, or None when none will be."""
        return self._race.wait(self._parts.clock.now())

    def hedge(self, *, room: bool = True) -> int | None:
        """Start the hedge that is due and return its number; None when it is not allowed.

        Args:
            room: Whether there is room for a further attempt at all.
        """
        parts, race = self._parts, self._race
        if not room or (parts.budget is not None and not parts.budget.take()):
            race.refuse()
            return None
        now = parts.clock.now()
        number = race.hedge(now)
        parts.bus.emit(HedgeStarted, source=parts.name, at=now, number=number, waited=now - race.begun)
        return number

    def arguments(self, number: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of an attempt: those of the call, or with another target."""
        targets, where = self._parts.targets, self._parts.target_argument
        if targets is None or number == 0:
            return self._args, self._kwargs
        target = targets(number) if callable(targets) else targets[(number - 1) % len(targets)]
        if isinstance(where, str):
            return self._args, {**self._kwargs, where: target}
        return (*self._args[:where], target, *self._args[where + 1 :]), self._kwargs

    def failed(self, number: int, error: BaseException) -> BaseException | None:
        """Take note of an attempt that failed; return what to raise, or None while others run.

        What is no `Exception`, such as a cancellation from inside, ends the call at once.
        """
        over = self._race.failed(number, error)
        if not isinstance(error, Exception):
            return error
        return self._verdict() if over else None

    def _verdict(self) -> BaseException:
        first, *others = self._race.take_errors()
        if others:
            told = ", ".join(f"{type(error).__name__}: {error}"[:160] for error in others)
            note(first, f"outlast {self._parts.name}:", f" all {1 + len(others)} attempts failed; later ones: {told}")
        return first

    def won(self, number: int) -> None:
        """Take note of the first attempt that answered."""
        parts, race = self._parts, self._race
        race.won(number)
        if number:
            now = parts.clock.now()
            parts.bus.emit(HedgeWon, source=parts.name, at=now, number=number, elapsed=now - race.begun)

    def end(self) -> None:
        """Learn from the call, however it ended."""
        parts = self._parts
        now = parts.clock.now()
        with parts.lock:
            parts.engine.end(self._race, now)


def _check_has(argument: int | str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if isinstance(argument, int):
        if argument < len(args):
            return
        raise ConfigError(
            f"targets= replaces positional argument {argument}, and the call has {len(args)}; "
            "name a keyword argument with target_argument=",
            path="targets",
        )
    if argument not in kwargs:
        raise ConfigError(f"targets= replaces the keyword argument {argument!r}, which the call lacks", path="targets")
