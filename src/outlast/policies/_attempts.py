"""The loop form of retry: `for attempt in retry.attempts(): with attempt: ...`."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from outlast.errors import ConfigError, DeadlineExceededError
from outlast.policies._policy import Guard
from outlast.policies._retry_run import RetryRun


class Attempt:
    """Be one run of the loop's body; enter it with `with` (or `async with`) around all that may fail.

    Cancel: passes through; nothing is tried again.
    """

    __slots__ = ("_guard", "_run", "done", "number", "wait")

    def __init__(self, run: RetryRun, guard: Guard | None) -> None:
        self._run = run
        self._guard = guard
        self.number = run.attempt
        self.wait: float | None = None
        self.done = False

    def __enter__(self) -> Self:
        """Begin the attempt and its time limit."""
        if self._guard is not None:
            self._guard.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """End the loop, or swallow the failure so that the body runs again."""
        if self._guard is not None:
            try:
                self._guard.__exit__(kind, error, trace)
            except DeadlineExceededError as late:
                return self._late(late)
        return self._end(error)

    async def __aenter__(self) -> Self:
        """Begin the attempt and its time limit."""
        if self._guard is not None:
            await self._guard.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Do as `__exit__`."""
        if self._guard is not None:
            try:
                await self._guard.__aexit__(kind, error, trace)
            except DeadlineExceededError as late:
                return self._late(late)
        return self._end(error)

    def _late(self, late: DeadlineExceededError) -> bool:
        if self._end(late):
            return True
        raise late

    def _end(self, error: BaseException | None) -> bool:
        self.done = True
        if isinstance(error, Exception):
            self.wait = self._run.failed(error)
        return self.wait is not None


class Attempts:
    """Give one `Attempt` after the other, waiting between them; for `for` and `async for`.

    One object is for one loop: a second loop would find it at its end, and never run its body.

    Raises:
        ConfigError: Its loop has ended, and another begins.
    """

    def __init__(self, run: RetryRun, guard: Callable[[], Guard] | None = None) -> None:
        self._run = run
        self._guard = guard
        self._attempt: Attempt | None = None

    def _next(self) -> float | None:
        """Return the seconds to wait before the next attempt, or None when there is none."""
        last = self._attempt
        if last is None:
            return 0.0
        if not last.done:
            raise ConfigError("the loop's body must stand inside `with attempt:`, else nobody knows how it ended")
        return last.wait

    def _begin(self) -> Attempt:
        self._attempt = Attempt(self._run, None if self._guard is None else self._guard())
        return self._attempt

    def _once(self) -> Self:
        last = self._attempt
        if last is not None and last.done and last.wait is None:
            raise ConfigError("attempts() is for one loop, and this one has ended; call attempts() for each loop")
        return self

    def __iter__(self) -> Self:
        """Return itself, once."""
        return self._once()

    def __next__(self) -> Attempt:
        """Wait as long as decided and return the next attempt."""
        wait = self._next()
        if wait is None:
            raise StopIteration
        if wait > 0:
            self._run.clock.sleep(wait)
        return self._begin()

    def __aiter__(self) -> Self:
        """Return itself, once."""
        return self._once()

    async def __anext__(self) -> Attempt:
        """Wait as long as decided and return the next attempt."""
        wait = self._next()
        if wait is None:
            raise StopAsyncIteration
        if wait > 0:
            await self._run.clock.asleep(wait)
        return self._begin()
