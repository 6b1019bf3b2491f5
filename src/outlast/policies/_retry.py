"""The retry's face: it runs the call, asks the engine after each failure, and waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Self, TypedDict, Unpack

from outlast.clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, Random
from outlast.config import check_callable, check_number
from outlast.engines import Backoff, RetryConfig
from outlast.engines.budget import BudgetConfig, BudgetEngine
from outlast.engines.worst import Worst
from outlast.errors import ConfigError
from outlast.events import DEFAULT_BUS, EventBus, PolicyReconfigured
from outlast.policies._attempts import Attempts
from outlast.policies._budget import RetryBudget
from outlast.policies._policy import Policy
from outlast.policies._relay import aopen_stream, arelay, open_stream, relay
from outlast.policies._retry_loops import async_loop, sync_loop
from outlast.policies._retry_run import AgainRule, ExceptionTypes, RetryParts, RetryRule, RetryRun, rule_from
from outlast.policies._shape import AnyFunction, after_first
from outlast.policies._stand_down import MARKS
from outlast.policies._timeout import Timeout
from outlast.policies._wording import backoff_in_words

Waits = Backoff | float | Iterable[float]
"""A backoff, the same seconds each time, or seconds one after the other."""


class RetryOptions(TypedDict, total=False):
    """Name the options that the presets pass on; see `Retry`."""

    on: ExceptionTypes | RetryRule | None
    again_if: AgainRule | None
    attempt_timeout: float | Timeout | None
    max_elapsed: float | None
    idempotent: bool | None
    budget: RetryBudget | Literal[False] | None
    stand_down: bool
    name: str
    clock: Clock
    random: Random
    bus: EventBus


class RetrySettings(TypedDict, total=False):
    """Name the settings that can change while a retry is in use; see `Retry`."""

    attempts: int
    backoff: Waits
    max_retry_after: float
    max_elapsed: float | None
    idempotent: bool | None
    stand_down: bool


class Retry(Policy):
    """Run a failed call again, after a wait that grows.

    Without `on=`, what `classify()` calls retriable or transient is tried again; an error of which
    nothing is known passes through. The last error is raised as it was, with a note of the attempts and
    of why there was no further one. A call that another policy refused is tried again only where a
    deadline or `max_elapsed` leaves room for its `retry_after`, and what a retry further in gave up is left
    alone. Every attempt after the first is paid for from a budget, so that retries cannot multiply an
    outage. Of a generator only the opening is repeated, up to its first item.

    Args:
        attempts: Attempts in total, >= 1. Default 3.
        on: What to try again: exception types, or a function from the exception to True, False or None
            (decide as without it). Cancellation is never tried again.
        again_if: Tells whether a result is one to ask again for, such as "not ready yet". The last result is
            returned as it is. The items of generators are not asked about. Default: no result is.
        backoff: The waits: a `Backoff`, the same seconds each time, or seconds one after the other. Default
            1 s x 2, at most 30 s, +-10 %.
        attempt_timeout: Seconds that one attempt may take, > 0, or a `Timeout`, which sync functions need
            because it says in which mode. Default: no limit.
        max_retry_after: The longest Retry-After in seconds that is waited for. Default 120.
        max_elapsed: Seconds after which no further attempt starts. Default: no limit.
        idempotent: Whether a call whose effect is in doubt may be repeated. Default None: it may, and the
            linter asks.
        budget: Pays for further attempts; give one to several retries and hedges to share it, or False for
            none. Default: one of its own, 20 % of the calls and 10 a second.
        stand_down: Whether it leaves alone what a retry further in gave up, and makes one attempt inside
            `retried_above()`. Default True.
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
        again_if: AgainRule | None = None,
        backoff: Waits | None = None,
        max_retry_after: float = 120.0,
        attempt_timeout: float | Timeout | None = None,
        max_elapsed: float | None = None,
        idempotent: bool | None = None,
        budget: RetryBudget | Literal[False] | None = None,
        stand_down: bool = True,
        name: str = "retry",
        clock: Clock = SYSTEM_CLOCK,
        random: Random = SYSTEM_RANDOM,
        bus: EventBus = DEFAULT_BUS,
    ) -> None:
        _check(attempts, max_retry_after, max_elapsed, attempt_timeout, budget)
        check_callable("again_if", again_if)
        config = RetryConfig(
            attempts=attempts,
            backoff=Backoff() if backoff is None else _waits(backoff),
            max_retry_after=max_retry_after,
            max_elapsed=max_elapsed,
            idempotent=idempotent,
            stand_down=stand_down,
        )
        own = RetryBudget(clock=clock) if budget is None else budget or None
        self.parts = RetryParts(name, config, rule_from(on), again_if, own, _meter(own), clock, random, bus)
        self._own_budget = budget is None
        self._limit = (
            Timeout(attempt_timeout, name=f"{name} attempt", clock=clock, bus=bus)
            if isinstance(attempt_timeout, (int, float))
            else attempt_timeout
        )

    @classmethod
    def defaults(cls, **options: Unpack[RetryOptions]) -> Self:
        """Make 3 attempts, 1 s and 2 s apart."""
        return cls(**options)

    @classmethod
    def aggressive(cls, **options: Unpack[RetryOptions]) -> Self:
        """Make 5 attempts, from 0.5 s on."""
        return cls(5, backoff=Backoff(base=0.5), **options)

    @classmethod
    def none(cls, **options: Unpack[RetryOptions]) -> Self:
        """Make one attempt; for places where a setting decides whether to retry."""
        return cls(1, **options)

    @property
    def name(self) -> str:
        """Return the name."""
        return self.parts.name

    @property
    def budget(self) -> RetryBudget | None:
        """Return what pays for further attempts, or None."""
        return self.parts.budget

    @property
    def is_simple(self) -> bool:
        """Tell whether an attempt is nothing but a call: not timed, its result not looked at."""
        return self._limit is None and not self.parts.watched

    def share_budget(self, budget: RetryBudget, *, pays_in: bool = True) -> None:
        """Use a budget instead of its own; nothing happens where the user has given one, or False.

        Functions that were decorated before still pay in to the old one.

        Args:
            budget: Shared by several policies.
            pays_in: Whether the calls of this one pay in; of several around one call only the outermost should.
        """
        if self._own_budget:
            self.parts = replace(self.parts, budget=budget, meter=_meter(budget if pays_in else None))

    def reconfigure(self, **settings: Unpack[RetrySettings]) -> None:
        """Change settings; calls that are running keep the old ones, and the budget keeps its balance.

        A `max_elapsed` where there was none counts from the first failure in functions decorated before.

        Args:
            **settings: As for the class.

        Raises:
            ConfigError: A number makes no sense; nothing is changed.
        """
        changes: dict[str, Any] = dict(settings)
        if "backoff" in settings:
            given = changes["backoff"]
            changes["backoff"] = Backoff() if given is None else _waits(given)
        unknown = changes.keys() - RetrySettings.__annotations__.keys()
        if unknown:
            raise ConfigError(f"cannot be changed while it is in use: {', '.join(sorted(unknown))}", path="retry")
        parts = self.parts
        self.parts = replace(parts, config=replace(parts.config, **changes))
        parts.bus.emit(PolicyReconfigured, source=self.name, at=parts.clock.now(), settings=tuple(settings))

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value, or an awaitable that is then tried again when it fails.

        Raises:
            ConfigError: `attempt_timeout` is a number, or a `Timeout` without a mode.
        """
        return self._sync(fn, judged=True)

    def _sync(self, fn: AnyFunction, *, judged: bool) -> AnyFunction:
        attempt = fn if self._limit is None else self._limit.wrap_sync(fn)
        return sync_loop(self, attempt, partial(self.later, fn), judged=judged)

    def later(self, fn: AnyFunction, result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what `fn` gave that must be awaited, so that it is tried again when it fails.

        Args:
            fn: What an attempt calls.
            result: An awaitable that it gave.
            args: The arguments of the call.
            kwargs: Its keyword arguments.
        """
        self.parts.meter.calls -= 1  # the async form counts the same call again
        return self.wrap_async(after_first(result, fn))(*args, **kwargs)

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""
        return self._async(fn, judged=True)

    def _async(self, fn: AnyFunction, *, judged: bool) -> AnyFunction:
        return async_loop(self, fn if self._limit is None else self._limit.wrap_async(fn), judged=judged)

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function; only its opening, up to the first item, is tried again."""
        return relay(fn, opening=self._sync(open_stream, judged=False))

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function; only its opening, up to the first item, is tried again."""
        return arelay(fn, opening=self._async(aopen_stream, judged=False))

    def attempts(self) -> Attempts:
        """Return a loop over attempts, for `for` or `async for`, whose body stands in `with attempt:`.

        The body's results are its own affair: `again_if` is not asked.

        >>> for attempt in Retry().attempts():
        ...     with attempt:
        ...         print("attempt", attempt.number)
        attempt 1
        """
        parts = self.parts
        parts.meter.calls += 1  # no lock: see BudgetEngine
        guard = None if self._limit is None else self._limit.guard
        return Attempts(RetryRun(parts, MARKS.latest, parts.clock.now()), guard)

    def worst(self, inner: Worst) -> Worst:
        """Return the worst that one call can cost: every attempt, and every wait, as long as it can be."""
        return self.parts.config.worst(inner if self._limit is None else self._limit.worst(inner))

    def describe(self) -> str:
        """Say in one line what it does."""
        config, backoff = self.parts.config, self.parts.config.backoff
        limit = f", at most {config.max_elapsed:g} s" if config.max_elapsed is not None else ""
        return f"retry: up to {config.attempts} attempts{limit}, {backoff_in_words(backoff)}"

    def snapshot(self) -> RetryConfig:
        """Return its settings; the state of its budget is in `budget.snapshot()`."""
        return self.parts.config

    def __repr__(self) -> str:
        """Show the settings and the budget."""
        return f"Retry({self.name!r}, {self.parts.config!r}, budget={self.budget!r})"


def _check(attempts: Any, max_retry_after: Any, max_elapsed: Any, attempt_timeout: Any, budget: Any) -> None:
    if not isinstance(attempts, int):
        raise ConfigError(f"must be a whole number of at least 1, not {attempts!r}", path="attempts")
    check_number("max_retry_after", max_retry_after)
    check_number("max_elapsed", 1.0 if max_elapsed is None else max_elapsed)
    if attempt_timeout is not None and not isinstance(attempt_timeout, Timeout):
        check_number("attempt_timeout", attempt_timeout)
    if budget is not None and budget is not False and not isinstance(budget, RetryBudget):
        raise ConfigError(f"must be a RetryBudget, or False for none, not {budget!r}", path="budget")


def _waits(backoff: Waits) -> Backoff:
    if isinstance(backoff, Backoff):
        return backoff
    if isinstance(backoff, (int, float)):
        check_number("backoff", backoff, least=0.0)
        return Backoff.fixed(backoff)
    given: Any = backoff
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigError(f"must be a Backoff, a number of seconds or a list of them, not {given!r}", path="backoff")
    return Backoff.of(backoff)


def _meter(budget: RetryBudget | None) -> BudgetEngine:
    # Without a budget the calls are counted where nobody looks, so that the calls themselves need not ask.
    return BudgetEngine(BudgetConfig()) if budget is None else budget.meter
