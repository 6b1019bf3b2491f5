"""What chaos does to one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Protocol

from outlast.errors import ConfigError

NOTHING: Final = object()
"""Stands for "no result was given": None is a result."""


@dataclass(frozen=True, slots=True)
class ChaosCall:
    """Describe a call that may be disturbed.

    Args:
        name: The qualified name of the function; in a guarded block, that of the policy.
        args: Its arguments.
        kwargs: Its keyword arguments.
    """

    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])


Fault = Exception | type[Exception] | Callable[[ChaosCall], Exception]


class Disturbance:
    """Fail, answer or run something in place of a call.

    Args:
        fault: The exception, its type, or a function that returns one.
        result: What to return, or `NOTHING`.
        behaviour: What to run first.
        delays: Whether calls are delayed as well.

    Raises:
        ConfigError: There is nothing to do, or both a fault and a result.
    """

    def __init__(
        self, fault: Fault | None, result: Any, behaviour: Callable[[ChaosCall], Any] | None, *, delays: bool
    ) -> None:
        if fault is not None and result is not NOTHING:
            raise ConfigError("give either fault= or result=: a call either fails or returns", path="result")
        if fault is None and result is NOTHING and behaviour is None and not delays:
            raise ConfigError("needs a fault=, a latency=, a result= or a behaviour=", path="chaos")
        self._fault = fault
        self.result = result
        self.behaviour = behaviour

    def what(self, latency: float) -> str:
        """Name what is done, given the seconds of latency."""
        parts = {
            "latency": latency > 0,
            "behaviour": self.behaviour is not None,
            "fault": self._fault is not None,
            "result": self.result is not NOTHING,
        }
        return "+".join(name for name, done in parts.items() if done)

    def behave(self, call: ChaosCall) -> Any:
        """Run the behaviour and return what it returns, which may have to be awaited."""
        return None if self.behaviour is None else self.behaviour(call)

    def fail_or_run(self, call: ChaosCall) -> bool:
        """Raise the fault if there is one; else tell whether the function is to be run."""
        fault = self._fault
        if fault is None:
            return self.result is NOTHING
        if isinstance(fault, Exception):
            raise fault.with_traceback(None)  # one object for many calls: its traceback must not grow
        raise fault("injected by chaos") if isinstance(fault, type) else fault(call)


class Shakes(Protocol):
    """Be the part of a chaos policy that a guard needs."""

    def shake(self, call: ChaosCall) -> bool:
        """Disturb a sync call."""
        ...

    async def ashake(self, call: ChaosCall) -> bool:
        """Disturb an async call."""
        ...


class ChaosGuard:
    """Disturb a block at its start; for `with` and `async with`.

    Cancel: ends the wait; the block is not entered.

    Args:
        chaos: The policy.
        call: What stands for the call.
    """

    def __init__(self, chaos: Shakes, call: ChaosCall) -> None:
        self._chaos = chaos
        self._call = call

    def __enter__(self) -> None:
        """Disturb the block, if it is its turn."""
        self._chaos.shake(self._call)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing."""

    async def __aenter__(self) -> None:
        """Disturb the block, if it is its turn."""
        await self._chaos.ashake(self._call)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing."""
