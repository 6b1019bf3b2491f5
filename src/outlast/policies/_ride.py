"""Hold a slot of an adaptive limit, and time how long."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from outlast.errors import ConfigError
from outlast.policies._gate import SlotGate
from outlast.policies._priority import current_priority


class Times(Protocol):
    """Be the part of an adaptive limit that a ride reports to."""

    def begin(self) -> float:
        """Return the moment at which a call begins."""
        ...

    def ended(self, began: float, error: BaseException | None, *, timed: bool = True) -> None:
        """Take note of a call that ends and give its slot back."""
        ...


class Ride:
    """Hold a slot for the length of a block and time it; for `with` and `async with`.

    Cancel: the slot comes back, and nothing is learnt.

    Args:
        limit: The policy.
        gate: Its slots.
        timed: Whether the length of the block says how loaded the dependency is.
    """

    __slots__ = ("_began", "_gate", "_limit", "_timed")

    def __init__(self, limit: Times, gate: SlotGate, *, timed: bool = True) -> None:
        self._limit = limit
        self._gate = gate
        self._timed = timed
        self._began: float | None = None

    def _start(self) -> Self:
        self._began = self._limit.begin()
        return self

    def _unused(self) -> None:
        if self._began is not None:
            raise ConfigError("a guard is for one block only; call guard() for each")

    def __enter__(self) -> Self:
        """Take a slot, blocking the thread until there is one.

        Raises:
            BulkheadFullError: There is none, and there is no waiting for one.
            ConfigError: The guard was used before.
        """
        self._unused()
        if not self._gate.take():
            self._gate.wait(current_priority())
        return self._start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take note of how it ended and give the slot back."""
        self._limit.ended(self._began or 0.0, error, timed=self._timed)

    async def __aenter__(self) -> Self:
        """Take a slot, suspending the task until there is one.

        Raises:
            BulkheadFullError: There is none, and there is no waiting for one.
            ConfigError: The guard was used before.
        """
        self._unused()
        if not self._gate.take():
            await self._gate.await_turn(current_priority())
        return self._start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take note of how it ended and give the slot back."""
        self.__exit__(kind, error, trace)
