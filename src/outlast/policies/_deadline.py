"""Limits of time that travel with the call: nested ones only shrink, and waits refuse early what cannot fit."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from contextvars import Token
from types import TracebackType
from typing import Any, Self

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.config import check_number
from outlast.engines.worst import Worst
from outlast.errors import ConfigError, DeadlineExceededError, Outcome
from outlast.events import DEFAULT_BUS, CallTimedOut, EventBus
from outlast.policies._in_force import CURRENT, Limit, least


def deadline(seconds: float, *, clock: Clock = SYSTEM_CLOCK, bus: EventBus = DEFAULT_BUS) -> Deadline:
    """Limit how long a block, and all that it calls, may take.

    With `async with` the block is cancelled when the time is over. With plain `with` nothing can cut
    it, so the limit is cooperative: `Timeout` and the waits of `Retry` look at it, and so may your code
    with `remaining()`. Inside another deadline the shorter one holds. Threads and tasks that copy the
    context, as tasks do, have it too.

    Args:
        seconds: How long, >= 0.
        clock: Tells the time. Default: the machine's.
        bus: Takes the events. Default: the shared one.

    Raises:
        ConfigError: The number is none.
        DeadlineExceededError: The time was over (also a `TimeoutError`). A `TimeoutError` of your own
            code passes as it is.

    Cancel: the limit ends with the block, also for tasks that were started in it and go on.

    >>> with deadline(2.0):
    ...     left = remaining()
    >>> 0 < left <= 2.0, remaining() is None
    (True, True)
    """
    check_number("seconds", seconds, least=0.0)
    return Deadline(seconds, name="deadline", clock=clock, bus=bus)


def remaining() -> float | None:
    """Return the seconds that the deadline in force leaves, at least 0, or None when there is none."""
    seconds = least(CURRENT.get())
    return None if math.isinf(seconds) else max(0.0, seconds)


class Deadline:
    """Hold one limit for one block; made by `deadline` and by `Timeout`.

    Args:
        seconds: How long, >= 0.
        name: Who sets it, for errors and events.
        clock: Tells the time.
        bus: Takes the events.
        strict: Whether a `with` block that ends too late raises.
    """

    def __init__(self, seconds: float, *, name: str, clock: Clock, bus: EventBus, strict: bool = False) -> None:
        self._limit = seconds
        self._name = name
        self._clock = clock
        self._bus = bus
        self._strict = strict
        self._until = 0.0
        self.ended = False
        self.outer: Limit | None = None
        self.task: asyncio.Task[Any] | None = None
        self._token: Token[Limit | None] | None = None
        self._scope: asyncio.Timeout | None = None

    def left(self) -> float:
        """Return the seconds until it, or one around it, is over, below 0 when it was."""
        return least(self)

    def own_left(self) -> float:
        """Return the seconds until it is over by itself, below 0 when it was."""
        return self._until - self._clock.now()

    def worst(self, inner: Worst) -> Worst:
        """Return the worst that the block can cost, if it is one that can be cut."""
        return Worst(min(inner.latency, self._limit), inner.calls)

    def __enter__(self) -> Self:
        """Put the limit in force.

        Raises:
            DeadlineExceededError: No time is left at all; nothing was run.
            ConfigError: It was used before.
        """
        return self._begin(None)

    def _begin(self, task: asyncio.Task[Any] | None) -> Self:
        if self._token is not None:
            raise ConfigError("a deadline is for one block only; make one for each")
        self.task, self.outer = task, CURRENT.get()
        # A limit that cuts this very task needs no help; any other would not be kept without ours.
        self._limit = min(self._limit, least(self.outer, spared=task))
        if min(self._limit, least(self.outer)) <= 0:
            raise self._error("was not started, because no time is left", Outcome.NOT_APPLIED)
        self._until = self._clock.now() + self._limit
        self._token = CURRENT.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the limit back."""
        self._leave()
        if self._strict and error is None and self.own_left() <= 0:
            # It ran to its end, so whatever it does is done: to run it again would do it twice.
            raise self.expired("ended later than", Outcome.APPLIED)

    async def __aenter__(self) -> Self:
        """Put the limit in force, and have the task cancelled when it is over."""
        self._begin(asyncio.current_task())
        scope = asyncio.timeout(self._limit)
        await scope.__aenter__()
        self._scope = scope
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the limit back, and turn the cancellation that it caused into its error."""
        self._leave()
        if self._scope is not None and await _cut(self._scope, kind, error, trace):
            raise self.expired("was cancelled after") from error

    def _leave(self) -> None:
        self.ended = True
        if self._token is not None:
            with suppress(ValueError):  # a coroutine that nobody awaits to its end is closed in another context
                CURRENT.reset(self._token)

    def expired(self, what: str, outcome: Outcome = Outcome.IN_DOUBT) -> DeadlineExceededError:
        """Publish that the time is over and return the error to raise."""
        self._bus.emit(CallTimedOut, source=self._name, at=self._clock.now(), limit=self._limit)
        return self._error(f"{what} its {self._limit:.3g} s", outcome)

    def _error(self, what: str, outcome: Outcome) -> DeadlineExceededError:
        return DeadlineExceededError(
            f"{self._name}: the call {what}", outcome=outcome, operation=self._name, timestamp=self._clock.wall()
        )


async def _cut(
    scope: asyncio.Timeout, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
) -> bool:
    try:
        await scope.__aexit__(kind, error, trace)
    except TimeoutError:
        return True  # only the scope's own expiry is raised there; the block's TimeoutError comes in as `error`
    return False
