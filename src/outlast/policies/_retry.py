"""The retry's face: it runs the call, asks the engine after each failure, and waits."""

from __future__ import annotations

from typing import Any

from outlast.clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, Random
from outlast.engines import Backoff, RetryConfig
from outlast.events import DEFAULT_BUS, EventBus
from outlast.policies._attempts import Attempts
from outlast.policies._policy import Policy
from outlast.policies._relay import aopen_stream, arelay, open_stream, relay
from outlast.policies._retry_run import ExceptionTypes, RetryParts, RetryRule, RetryRun, rule_from
from outlast.policies._shape import PLAIN, AnyFunction, after_first, is_awaitable


class Retry(Policy):
    """Run a failed call again, after a wait that grows.

    Without `on=`, what `classify()` calls retriable or transient is tried again; an error of which
    nothing is known passes through. The last error is raised as it was, with a note of the attempts and
    of why there was no further one. A call that another policy refused is tried again only where a
    deadline or `max_elapsed` leaves room for its `retry_after`. Of a generator only the opening is
    repeated, up to its first item.

    Args:
        attempts: Attempts in total, >= 1. Default 3.
        on: What to try again: exception types, or a function from the exception to True, False or None
            (decide as without it). Cancellation is never tried again.
        backoff: The waits. Default 1 s x 2, at most 30 s, +-10 %.
        max_retry_after: The longest Retry-After in seconds that is waited for. Default 120.
        max_elapsed: Seconds after which no further attempt starts. Default: no limit.
        idempotent: Whether a call whose effect is in doubt may be repeated. Default None: it may, and the
            linter asks.
        name: Shown in notes and events. Default `retry`.
        clock: Tells the time and waits. Default: the machine's.
        random: Spreads the waits. Default: the machine's.
        bus: Takes the events. Default: the shared one.

    Raises:
        ConfigError: A number makes no sense, or `on` is neither types nor a function.

    Cancel: ends the call or the wait at once; nothing is tried again.

    Thread-safe: yes; nothing about a single call is kept here.

    >>> answers = iter([TimeoutError("slow"), "fine"])
    >>> def ask():
    ...     answer = next(answers)
    ...     if isinstance(answer, Exception):
    ...         raise answer
    ...     return answer
    >>> Retry(backoff=Backoff.fixed(0)).call(ask)
    'fine'
    """

    def __init__(
        self,
        attempts: int = 3,
        *,
        on: ExceptionTypes | RetryRule | None = None,
        backoff: Backoff | None = None,
        max_retry_after: float = 120.0,
        max_elapsed: float | None = None,
        idempotent: bool | None = None,
        name: str = "retry",
        clock: Clock = SYSTEM_CLOCK,
        random: Random = SYSTEM_RANDOM,
        bus: EventBus = DEFAULT_BUS,
    ) -> None:
        config = RetryConfig(
            attempts=attempts,
            backoff=backoff or Backoff(),
            max_retry_after=max_retry_after,
            max_elapsed=max_elapsed,
            idempotent=idempotent,
        )
        self._parts = RetryParts(name, config, rule_from(on), clock, random, bus)
        # Without max_elapsed nobody asks when a call began, and the success path need not read the clock.
        self._timed = max_elapsed is not None

    @property
    def name(self) -> str:
        """Return the name."""
        return self._parts.name

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value, or an awaitable that is then tried again when it fails."""
        parts, timed, go_async = self._parts, self._timed, self._go_async

        def retried(*args: Any, **kwargs: Any) -> Any:
            started, run = parts.clock.now() if timed else None, None
            while True:
                try:
                    result = fn(*args, **kwargs)
                except Exception as error:
                    run = run or RetryRun(parts, started)
                    wait = run.failed(error)
                    if wait is None:
                        raise
                else:
                    return go_async(result, fn, args, kwargs) if type(result) not in PLAIN else result
                parts.clock.sleep(wait)

        return retried

    def _go_async(self, result: Any, fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.wrap_async(after_first(result, fn))(*args, **kwargs) if is_awaitable(result) else result

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""
        parts, timed = self._parts, self._timed

        async def retried(*args: Any, **kwargs: Any) -> Any:
            started, run = parts.clock.now() if timed else None, None
            while True:
                try:
                    return await fn(*args, **kwargs)
                except Exception as error:
                    run = run or RetryRun(parts, started)
                    wait = run.failed(error)
                    if wait is None:
                        raise
                await parts.clock.asleep(wait)

        return retried

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function; only its opening, up to the first item, is tried again."""
        return relay(fn, opening=self.wrap_sync(open_stream))

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function; only its opening, up to the first item, is tried again."""
        return arelay(fn, opening=self.wrap_async(aopen_stream))

    def attempts(self) -> Attempts:
        """Return a loop over attempts, for `for` or `async for`, whose body stands in `with attempt:`.

        >>> for attempt in Retry().attempts():
        ...     with attempt:
        ...         print("attempt", attempt.number)
        attempt 1
        """
        return Attempts(RetryRun(self._parts, self._parts.clock.now()), self._parts.clock)

    def describe(self) -> str:
        """Say in one line what it does."""
        config, backoff = self._parts.config, self._parts.config.backoff
        limit = f", at most {config.max_elapsed:g} s" if config.max_elapsed is not None else ""
        return f"retry: up to {config.attempts} attempts{limit}, waits {backoff!r}"

    def snapshot(self) -> RetryConfig:
        """Return its settings; it has no other state."""
        return self._parts.config

    def __repr__(self) -> str:
        """Show the settings."""
        return f"Retry({self.name!r}, {self._parts.config!r})"
