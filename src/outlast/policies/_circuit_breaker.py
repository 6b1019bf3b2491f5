"""The circuit breaker's face: the lock, the clock, the events, and a success path without any of them."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypedDict, TypeVar, Unpack

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.engines import (
    Backoff,
    BreakerConfig,
    BreakerEngine,
    BreakerSnapshot,
    CircuitState,
    ConsecutiveFailures,
    HalfOpen,
    Permit,
    Refusal,
    Transition,
    TripRule,
    Verdict,
)
from outlast.engines.breaker import Closed
from outlast.errors import ConfigError
from outlast.events import DEFAULT_BUS, CallFailed, CallRejected, EventBus
from outlast.policies._announcer import Announcer
from outlast.policies._judge import FailureRule, Judge, in_words
from outlast.policies._permit import BreakerGuard, BreakerPermit
from outlast.policies._policy import Policy
from outlast.policies._refusal import refusal
from outlast.policies._relay import arelay, relay
from outlast.policies._shape import PLAIN, AnyFunction, is_awaitable
from outlast.registry import DEFAULT_REGISTRY, Registry

T = TypeVar("T")


class BreakerOptions(TypedDict, total=False):
    """Name the options that the presets pass on."""

    failure_if: FailureRule | None
    ignore: type[BaseException] | tuple[type[BaseException], ...]
    clock: Clock
    bus: EventBus
    registry: Registry


class CircuitBreaker(Policy):
    """Stop calling what fails too often, and let a few calls through now and then to see whether it is well again.

    A failure is any `Exception`, except: a rejection by one of our own policies, a call that was wrong
    itself (`INVALID_INPUT`, HTTP 4xx other than 408 and 425), and what the rules below say. HTTP 429 and
    cancellation are no result at all: the call's slot comes back and nothing is learnt. A result counts
    only in the period between two changes of state in which its call was admitted.

    Args:
        name: Under which it is registered, and shown in errors and events. Default: none, not registered.
        failure_threshold: Failures in a row that open it, >= 1. Default 5.
        success_threshold: Successful probes that close it, >= 1. Default 2.
        open_for: Seconds it stays open before probes may start, > 0. Default 30.
        trip: The rule that opens it, instead of `failure_threshold`.
        recovery: How it closes again, instead of `success_threshold`. Default: 3 probes at once.
        open_growth: How `open_for` grows each time a probe fails; only factor and cap are used.
        failure_if: Asked first: True for a failure, False for an answer that proves health, None to let
            the rules above decide.
        ignore: Exceptions from which nothing is learnt.
        clock: Tells the time. Default: the machine's.
        bus: Takes the events. Default: the shared one.
        registry: Knows it by name. Default: the shared one.

    Raises:
        ConfigError: A number makes no sense, or two arguments say the same thing.
        DuplicateNameError: A live breaker has the name.

    Cancel: a cancelled call gives its slot back and counts for nothing.

    Thread-safe: yes; one breaker may serve any number of threads and event loops.

    >>> breaker = CircuitBreaker(failure_threshold=1, open_for=30.0)
    >>> breaker.call(len, "fine"), breaker.state.value
    (4, 'closed')
    >>> breaker.record_failure()
    >>> breaker.state.value
    'open'
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        failure_threshold: int | None = None,
        success_threshold: int | None = None,
        open_for: float = 30.0,
        trip: TripRule | None = None,
        recovery: HalfOpen | None = None,
        open_growth: Backoff | None = None,
        failure_if: FailureRule | None = None,
        ignore: type[BaseException] | tuple[type[BaseException], ...] = (),
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = DEFAULT_BUS,
        registry: Registry = DEFAULT_REGISTRY,
    ) -> None:
        trip = _one_of(trip, "trip", failure_threshold, "failure_threshold", ConsecutiveFailures)
        recovery = _one_of(recovery, "recovery", success_threshold, "success_threshold", _half_open)
        self._engine = BreakerEngine(
            BreakerConfig(
                trip=trip or ConsecutiveFailures(),
                recovery=recovery or HalfOpen(),
                open_for=open_for,
                open_growth=open_growth,
            )
        )
        self._judge = Judge(ignore if isinstance(ignore, tuple) else (ignore,), failure_if)
        self._clock = clock
        self._bus = bus
        self._lock = threading.Lock()
        self._name = name
        self._news = Announcer(self.name, bus, self._lock)
        if name is not None:
            registry.register("circuit_breaker", self)

    @classmethod
    def defaults(cls, name: str | None = None, **options: Unpack[BreakerOptions]) -> Self:
        """Open after 5 failures in a row, for 30 s."""
        return cls(name, **options)

    @classmethod
    def lenient(cls, name: str | None = None, **options: Unpack[BreakerOptions]) -> Self:
        """Open after 10 failures in a row, for 60 s."""
        return cls(name, failure_threshold=10, open_for=60.0, **options)

    @classmethod
    def strict(cls, name: str | None = None, **options: Unpack[BreakerOptions]) -> Self:
        """Open after 3 failures in a row, for 15 s."""
        return cls(name, failure_threshold=3, open_for=15.0, **options)

    @property
    def name(self) -> str:
        """Return the name, or `circuit_breaker` when it has none."""
        return "circuit_breaker" if self._name is None else self._name

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value, or an awaitable whose result is then what is judged."""
        engine, failed, admitted = self._engine, self._failed, self._call_admitted

        def guarded(*args: Any, **kwargs: Any) -> Any:
            era = engine.closed
            if era is None:
                return admitted(fn, args, kwargs)
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                failed(era, error)
                raise
            if type(result) not in PLAIN and is_awaitable(result):
                return _later(BreakerPermit(self, Permit(era)), result)
            era.ok += 1  # no lock: see BreakerEngine
            return result

        return guarded

    def _call_admitted(self, fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        permit = self.acquire()
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            permit.judge(error)
            raise
        if is_awaitable(result):
            return _later(permit, result)
        permit.success()
        return result

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""
        engine, failed, guard = self._engine, self._failed, self.guard

        async def guarded(*args: Any, **kwargs: Any) -> Any:
            era = engine.closed
            if era is None:
                with guard():
                    return await fn(*args, **kwargs)
            try:
                result = await fn(*args, **kwargs)
            except BaseException as error:
                failed(era, error)
                raise
            era.ok += 1  # no lock: see BreakerEngine
            return result

        return guarded

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function; the whole stream is one call, and its reader may close it early."""
        return relay(fn, whole=self._stream)

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function; the whole stream is one call, and its reader may close it early."""
        return arelay(fn, whole=self._stream)

    def _stream(self) -> BreakerGuard:
        return BreakerGuard(self.acquire, closing=Verdict.SUCCESS)

    def guard(self) -> BreakerGuard:
        """Return a guard for one block, for `with` or `async with`; it gives the block its permit.

        >>> with CircuitBreaker().guard() as permit:
        ...     permit.failure(OSError("the answer was garbage"))
        """
        return BreakerGuard(self.acquire)

    def acquire(self) -> BreakerPermit:
        """Return the right to one call; report how it ended with `success`, `failure`, `ignore` or `judge`.

        Raises:
            CircuitOpenError: The circuit is open, or as many probes as allowed are running.
        """
        era = self._engine.closed
        return BreakerPermit(self, Permit(era) if era is not None else self._admit())

    def _admit(self) -> Permit:
        now = self._clock.now()
        with self._lock:
            answer, change = self._engine.admit(now)
            state, reason = self._engine.state, self._engine.reason
            self._news.add(change)
        self._news.publish()
        match answer:
            case Permit():
                return answer
            case Refusal(retry_after=wait):
                error = refusal(self._name, state, reason, wait, self._clock.wall())
                self._bus.emit(CallRejected, source=self.name, at=now, retry_after=error.retry_after)
                raise error

    def verdict(self, error: BaseException) -> Verdict:
        """Say how an exception would be judged."""
        return self._judge.verdict(error)

    def _failed(self, era: Closed, error: BaseException) -> None:
        verdict = self._judge.verdict(error)
        if verdict is not Verdict.IGNORED:
            self.settle(Permit(era), verdict, error)

    def settle(self, permit: Permit, verdict: Verdict, error: BaseException | None) -> None:
        """Count the result of a call; users report through the permit that `acquire` gave them."""
        now = self._clock.now()
        failed = verdict is Verdict.FAILURE
        why = in_words(error) if failed else ""
        with self._lock:
            failed = failed and self._engine.stands(permit)
            change = self._engine.settle(permit, verdict, now, why)
            self._news.add(change)
        if failed:
            self._bus.emit(CallFailed, source=self.name, at=now, error=why)
        self._news.publish()

    def is_tripped(self) -> bool:
        """Tell whether a call would be refused now; for programs that ask before they work."""
        now = self._clock.now()
        with self._lock:
            return self._engine.refuses(now)

    def record_success(self) -> None:
        """Count a success for which no permit was taken; while the circuit is open it counts for nothing."""
        self._record(Verdict.SUCCESS, "")

    def record_failure(self, error: BaseException | None = None) -> None:
        """Count a failure for which no permit was taken; while the circuit is open it counts for nothing."""
        self._record(Verdict.FAILURE, in_words(error))

    def _record(self, verdict: Verdict, why: str) -> None:
        now = self._clock.now()
        with self._lock:
            self._news.add(*self._engine.record(verdict, now, why))
        self._news.publish()

    def cooldown_remaining(self) -> float:
        """Return the seconds until probes may start: 0 when it is not open, `inf` when held open by hand."""
        now = self._clock.now()
        with self._lock:
            return self._engine.cooldown_remaining(now)

    @property
    def state(self) -> CircuitState:
        """Return the present state; an open circuit stays OPEN until a call asks after its time is over."""
        return self._engine.state

    def snapshot(self) -> BreakerSnapshot:
        """Return the whole state as a frozen record."""
        now = self._clock.now()
        with self._lock:
            return self._engine.snapshot(now)

    def force_open(self) -> None:
        """Refuse every call until `force_closed` or `reset`."""
        self._move(self._engine.force_open)

    def force_closed(self) -> None:
        """Admit calls again, with nothing counted against them yet."""
        self._move(self._engine.force_closed)

    def reset(self) -> None:
        """Return to the state of a new breaker, counts included."""
        self._move(self._engine.reset)

    def _move(self, change: Callable[[float], Transition]) -> None:
        now = self._clock.now()
        with self._lock:
            self._news.add(change(now))
        self._news.publish()

    def describe(self) -> str:
        """Say in one line what it does."""
        config = self._engine.config
        return f"circuit breaker {self.name!r}: {config.trip!r} opens it for {config.open_for:g} s; {config.recovery!r}"

    def __repr__(self) -> str:
        """Show the settings and the whole state."""
        return f"CircuitBreaker({self._name!r}, {self._engine.config!r}, {self.snapshot()!r})"


def _half_open(success_threshold: int) -> HalfOpen:
    return HalfOpen(success_threshold=success_threshold)


def _one_of(rule: T | None, rule_name: str, number: int | None, number_name: str, make: Callable[[int], T]) -> T | None:
    if rule is not None and number is not None:
        raise ConfigError(f"give either {rule_name}= or {number_name}=, not both", path=number_name)
    return make(number) if number is not None else rule


def _later(permit: BreakerPermit, result: Any) -> Any:
    if hasattr(result, "add_done_callback"):
        result.add_done_callback(permit.judge_future)
        return result  # a future is somebody's: it is handed on as it is
    return _judged(permit, result)


async def _judged(permit: BreakerPermit, result: Awaitable[Any]) -> Any:
    with BreakerGuard(lambda: permit):
        return await result
