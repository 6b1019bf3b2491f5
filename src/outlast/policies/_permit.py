"""What a caller holds while a call that a circuit breaker admitted is running."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

from outlast.engines import Permit, Verdict
from outlast.errors import ConfigError
from outlast.policies._judge import IGNORED, SUCCESS, Ruling, in_words


class Settles(Protocol):
    """Be the part of a breaker that a permit reports to."""

    def of_error(self, error: BaseException) -> Ruling:
        """Rule on an exception."""
        ...

    def of_result(self, result: object) -> Ruling:
        """Rule on a result."""
        ...

    def settle(self, permit: Permit, ruling: Ruling) -> None:
        """Count how a call ended."""
        ...


class BreakerPermit:
    """Hold the right to one call; report how it ended, once.

    A second report does nothing, nor does one that comes after the circuit has moved on. A permit
    that is never settled gives its probe's slot back when the lease ends.

    Thread-safe: yes.
    """

    __slots__ = ("_breaker", "_permit")

    def __init__(self, breaker: Settles, permit: Permit) -> None:
        self._breaker = breaker
        self._permit = permit

    @property
    def settled(self) -> bool:
        """Tell whether a result was reported already."""
        return self._permit.settled

    def success(self) -> None:
        """Report that the dependency did its work."""
        self._breaker.settle(self._permit, SUCCESS)

    def failure(self, error: BaseException | None = None, *, weight: float = 1.0) -> None:
        """Report that the dependency failed, whatever the breaker's rules would say about `error`.

        Args:
            error: What happened, for the record.
            weight: How much of a failure it is, > 0. Default 1.
        """
        self._breaker.settle(self._permit, Ruling(Verdict.FAILURE, in_words(error), weight))

    def ignore(self) -> None:
        """Report that nothing was learnt."""
        self._breaker.settle(self._permit, IGNORED)

    def judge(self, error: BaseException | None) -> None:
        """Report an exception, or None for a return, and let the breaker's rules decide.

        Args:
            error: How the call ended.
        """
        ruling = IGNORED  # stands if the user's own rule raises
        try:
            ruling = SUCCESS if error is None else self._breaker.of_error(error)
        finally:
            self._breaker.settle(self._permit, ruling)

    def judge_result(self, result: object) -> None:
        """Report what the call returned, and let the breaker's rule for results decide.

        Args:
            result: What it returned.
        """
        ruling = IGNORED
        try:
            ruling = self._breaker.of_result(result)
        finally:
            self._breaker.settle(self._permit, ruling)

    def judge_future(self, future: Any) -> None:
        """Report a future that is done."""
        if future.cancelled():
            self.ignore()
        elif (error := future.exception()) is not None:
            self.judge(error)
        else:
            self.judge_result(future.result())

    def __repr__(self) -> str:
        """Show the engine's permit."""
        return f"BreakerPermit({self._permit!r})"


class BreakerGuard:
    """Ask for a permit at the start of a block and settle it at the end; for `with` and `async with`.

    Cancel: nothing is judged, and the slot comes back.

    Args:
        acquire: Gives a permit or raises.
        closing: What a generator that its reader closes counts as.
    """

    __slots__ = ("_acquire", "_closing", "_permit")

    def __init__(self, acquire: Callable[[], BreakerPermit], closing: Verdict = Verdict.IGNORED) -> None:
        self._acquire = acquire
        self._closing = closing
        self._permit: BreakerPermit | None = None

    def __enter__(self) -> BreakerPermit:
        """Return the permit of this block.

        Raises:
            CircuitOpenError: The circuit is open, or as many probes as allowed are running.
            ConfigError: The guard was used before.
        """
        if self._permit is not None:
            raise ConfigError("a guard is for one block only; call guard() for each")
        self._permit = self._acquire()
        return self._permit

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Settle the permit, unless the block did."""
        permit = self._permit
        if permit is None:
            return
        if isinstance(error, GeneratorExit) and self._closing is Verdict.SUCCESS:
            permit.success()
        else:
            permit.judge(error)

    async def __aenter__(self) -> BreakerPermit:
        """Do as `__enter__`."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do as `__exit__`."""
        self.__exit__(kind, error, trace)


def judged_later(permit: BreakerPermit, result: Any) -> Any:
    """Return what a call gave that must be awaited, so that the permit is settled when it is done.

    Args:
        permit: The right to the call.
        result: A coroutine or another awaitable.
    """
    if hasattr(result, "add_done_callback"):
        result.add_done_callback(permit.judge_future)
        return result  # a future is somebody's: it is handed on as it is
    return judged(permit, lambda: result, (), {})


async def judged(permit: BreakerPermit, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Await a call and settle its permit.

    Cancel: nothing is judged, and the slot comes back.
    """
    try:
        result = await fn(*args, **kwargs)
    except BaseException as error:
        permit.judge(error)
        raise
    permit.judge_result(result)
    return result
