"""A dependency that does what a script says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Slow:
    """Be an outcome that takes its time.

    Args:
        seconds: How long, on the dependency's clock.
        outcome: What comes then: a value, or an exception to raise. Default None.
    """

    seconds: float
    outcome: Any = None


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """Record one call.

    Args:
        at: When it came, monotonic seconds of the dependency's clock.
        args: Its arguments.
        kwargs: Its keyword arguments.
    """

    at: float
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class ScriptedDependency:
    """Give one outcome after the other, and keep what it was called with.

    An outcome is a value to return, an exception (an object or a class) to raise, or a `Slow` one. The last
    one stays. Call it for sync code, and its `acall` for async code.

    Args:
        *outcomes: At least one.
        clock: Tells when calls come, and waits. Default: the machine's.

    Raises:
        ConfigError: There is no outcome.

    Cancel: a slow outcome ends at once; the next call gets the next outcome.

    Thread-safe: yes.

    >>> from outlast.policies import Retry, Backoff
    >>> payments = ScriptedDependency(ConnectionError("down"), "paid")
    >>> Retry(backoff=Backoff.fixed(0)).call(payments, 7), payments.count, payments.calls[-1].args
    ('paid', 2, (7,))
    """

    def __init__(self, *outcomes: Any, clock: Clock = SYSTEM_CLOCK) -> None:
        if not outcomes:
            raise ConfigError("needs at least one outcome", path="outcomes")
        self._outcomes: Iterator[Any] = iter(outcomes)
        self._last: Any = None
        self._clock = clock
        self._lock = threading.Lock()
        self.calls: list[ScriptedCall] = []

    @property
    def count(self) -> int:
        """Return how often it was called."""
        return len(self.calls)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do what the script says next."""
        outcome = self._next(args, kwargs)
        if isinstance(outcome, Slow):
            self._clock.sleep(outcome.seconds)
            outcome = outcome.outcome
        return _give(outcome)

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """Do what the script says next, as async code does."""
        outcome = self._next(args, kwargs)
        if isinstance(outcome, Slow):
            await self._clock.asleep(outcome.seconds)
            outcome = outcome.outcome
        return _give(outcome)

    def _next(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        at = self._clock.now()
        with self._lock:
            self.calls.append(ScriptedCall(at, args, kwargs))
            self._last = next(self._outcomes, self._last)
            return self._last


def _give(outcome: Any) -> Any:
    given: Any = outcome
    if isinstance(outcome, BaseException) or (isinstance(outcome, type) and issubclass(outcome, BaseException)):
        raise outcome
    return given
