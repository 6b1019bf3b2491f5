"""What a caller holds while a call that a circuit breaker admitted is running."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

from outlast.engines import Permit, Verdict
from outlast.errors import ConfigError


class Settles(Protocol):
    """Be the part of a breaker that a permit reports to."""

    def verdict(self, error: BaseException) -> Verdict:
        """Judge an exception."""
        ...

    def settle(self, permit: Permit, verdict: Verdict, error: BaseException | None) -> None:
        """Count a result."""
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
        self._breaker.settle(self._permit, Verdict.SUCCESS, None)

    def failure(self, error: BaseException | None = None) -> None:
        """Report that the dependency failed, whatever the breaker's rules would say about `error`."""
        self._breaker.settle(self._permit, Verdict.FAILURE, error)

    def ignore(self) -> None:
        """Report that nothing was learnt."""
        self._breaker.settle(self._permit, Verdict.IGNORED, None)

    def judge(self, error: BaseException | None) -> None:
        """Report an exception, or None for a return, and let the breaker's rules decide.

        Args:
            error: How the call ended.
        """
        verdict = Verdict.IGNORED  # stands if the user's own rule raises
        try:
            verdict = Verdict.SUCCESS if error is None else self._breaker.verdict(error)
        finally:
            self._breaker.settle(self._permit, verdict, error)

    def judge_future(self, future: Any) -> None:
        """Report a future that is done."""
        if future.cancelled():
            self.ignore()
        else:
            self.judge(future.exception())

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
