"""The adaptive throttle's face: chance, the clock, the importance of a call, and the events."""

from __future__ import annotations

import threading
from asyncio import CancelledError
from dataclasses import fields, replace
from functools import partial
from types import TracebackType
from typing import Any, Self

from outlast.clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, Random
from outlast.config import check_callable
from outlast.engines.adaptive_throttle import (
    AdaptiveThrottleConfig,
    AdaptiveThrottleEngine,
    AdaptiveThrottleSnapshot,
)
from outlast.engines.breaker_records import Verdict
from outlast.errors import ConfigError, ThrottledError
from outlast.events import (
    DEFAULT_BUS,
    CallRejected,
    EventBus,
    PolicyReconfigured,
    ThrottlingStarted,
    ThrottlingStopped,
)
from outlast.policies._judge import FailureRule, Judge
from outlast.policies._policy import Policy
from outlast.policies._priority import PriorityRule, current_priority, priority_of
from outlast.policies._pushback import load_verdict
from outlast.policies._relay import arelay, relay
from outlast.policies._shape import PLAIN, AnyFunction, after_first, is_awaitable
from outlast.registry import DEFAULT_REGISTRY, Registry


class AdaptiveThrottle(Policy):
    """Refuse calls in proportion to how many the backend does not accept, the least important first.

    While more than one call in `k` is accepted nothing is refused. Beyond that a call is refused with the
    chance `max(0, (requests - k * accepts) / (requests + 1))`, counted over the last while. Unlike a
    circuit breaker it never stops asking, and it lets the important calls have what the backend can do.
    A call is accepted unless it fails, judged as by a `CircuitBreaker`, except that HTTP 429 is a failure.

    Args:
        k: How many requests are allowed for each that is accepted, >= 1. Default 2.
        over_seconds: How long a call is remembered, > 0. Default 60.
        min_calls: With fewer calls in that time none is refused, >= 0. Default 10.
        max_chance: The largest share of all calls that is refused, 0 to 1. Default 0.95.
        priority: A function of the call's arguments that returns its importance; higher is refused later.
            A few classes, such as `Criticality`, not a number for each call. Default: what `priority(...)`
            around the call says.
        failure_if: Asked first: True for not accepted, False for accepted, None to let the rules decide.
        ignore: Exceptions of calls that are not counted.
        name: Under which it is registered, and shown in errors and events. Default: none, not registered.
        clock: Tells the time. Default: the machine's.
        random: Rolls the dice. Default: the machine's.
        bus: Takes the events. Default: the shared one.
        registry: Knows it by name. Default: the shared one.

    Raises:
        ConfigError: A number makes no sense.
        DuplicateNameError: A live adaptive throttle has the name.
        ThrottledError: On a call: it was refused. Nothing was run.

    Cancel: a cancelled call is not counted.

    Thread-safe: yes; one throttle may serve any number of threads and event loops.

    >>> throttle = AdaptiveThrottle()
    >>> throttle.call(len, "fine"), throttle.snapshot().chance
    (4, 0.0)
    """

    def __init__(
        self,
        k: float = 2.0,
        *,
        over_seconds: float = 60.0,
        min_calls: int = 10,
        max_chance: float = 0.95,
        priority: PriorityRule | None = None,
        failure_if: FailureRule | None = None,
        ignore: type[BaseException] | tuple[type[BaseException], ...] = (),
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        random: Random = SYSTEM_RANDOM,
        bus: EventBus = DEFAULT_BUS,
        registry: Registry = DEFAULT_REGISTRY,
    ) -> None:
        self._engine = AdaptiveThrottleEngine(AdaptiveThrottleConfig(k, over_seconds, min_calls, max_chance))
        self._judge = Judge(ignore if isinstance(ignore, tuple) else (ignore,), failure_if)
        check_callable("priority", priority)
        self._rule = priority
        self._name = name
        self._clock = clock
        self._random = random
        self._bus = bus
        self._lock = threading.Lock()
        if name is not None:
            registry.register("adaptive_throttle", self)

    @property
    def name(self) -> str:
        """Return the name, or `adaptive_throttle` when it has none."""
        return "adaptive_throttle" if self._name is None else self._name

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value, or an awaitable whose result is then what counts."""
        rule, engine, admit, ended = self._rule, self._engine, self._admit, self.ended

        def throttled(*args: Any, **kwargs: Any) -> Any:
            level = priority_of(rule, args, kwargs)
            if engine.shedding:  # no lock: see AdaptiveThrottleEngine
                admit(level)
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                ended(level, error)
                raise
            if type(result) not in PLAIN and is_awaitable(result):
                return self._later(level, result, fn)
            ended(level, None)
            return result

        return throttled

    def _later(self, level: float, result: Any, fn: AnyFunction) -> Any:
        if hasattr(result, "add_done_callback"):
            result.add_done_callback(partial(self._ended_with, level))
            return result  # a future is somebody's: it is handed on as it is
        return self._counted(level, after_first(result, fn))

    def _ended_with(self, level: float, future: Any) -> None:
        self.ended(level, CancelledError() if future.cancelled() else future.exception())

    async def _counted(self, level: float, fn: AnyFunction) -> Any:
        try:
            result = await fn()
        except BaseException as error:
            self.ended(level, error)
            raise
        self.ended(level, None)
        return result

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""
        rule, engine, admit, ended = self._rule, self._engine, self._admit, self.ended

        async def throttled(*args: Any, **kwargs: Any) -> Any:
            level = priority_of(rule, args, kwargs)
            if engine.shedding:  # no lock: see AdaptiveThrottleEngine
                admit(level)
            try:
                result = await fn(*args, **kwargs)
            except BaseException as error:
                ended(level, error)
                raise
            ended(level, None)
            return result

        return throttled

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function; the whole stream is one call, and its reader may close it early."""
        return relay(fn, whole=self.guard)

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function; the whole stream is one call, and its reader may close it early."""
        return arelay(fn, whole=self.guard)

    def guard(self) -> ThrottleGuard:
        """Return a guard for one block, for `with` or `async with`; its importance is what the context says."""
        return ThrottleGuard(self)

    def admit(self) -> float:
        """Return the importance of a call that may be made here.

        Raises:
            ThrottledError: It is refused.
        """
        level = current_priority()
        if self._engine.shedding:
            self._admit(level)
        return level

    def _admit(self, level: float) -> None:
        now, chance = self._clock.now(), self._random.random()
        with self._lock:
            refused = self._engine.refuses(now, level, chance)
            state = self._engine.snapshot(now) if refused else None
        if state is not None:
            self._bus.emit(CallRejected, source=self.name, at=now, retry_after=None)
            raise ThrottledError(
                f"{self.name}: the backend accepted {state.accepts} of the last {state.requests} calls, "
                f"so {state.chance:.0%} of them are not made",
                operation=self.name,
                timestamp=self._clock.wall(),
            )

    def ended(self, level: float, error: BaseException | None) -> None:
        """Count a call that has ended.

        Args:
            level: What `admit` gave.
            error: What it raised, or None.
        """
        verdict = Verdict.SUCCESS if error is None else load_verdict(self._judge, error)
        now = self._clock.now()
        with self._lock:
            engine = self._engine
            before = engine.shedding
            engine.settle(now, level, verdict)
            after, requests, accepts = engine.shedding, engine.requests, engine.accepts
        if after and not before:
            self._bus.emit(ThrottlingStarted, source=self.name, at=now, requests=requests, accepts=accepts)
        elif before and not after:
            self._bus.emit(ThrottlingStopped, source=self.name, at=now)

    def reconfigure(self, **settings: Any) -> None:
        """Change settings while it runs; what is counted stays.

        Args:
            **settings: `k`, `over_seconds`, `min_calls`, `max_chance`.

        Raises:
            ConfigError: One is unknown, makes no sense, or cannot be changed; nothing was changed.
        """
        self._made_with.check(settings)
        if fixed := sorted(settings.keys() - {field.name for field in fields(AdaptiveThrottleConfig)}):
            raise ConfigError(f"cannot change {', '.join(fixed)} while it runs; make a new one", path=self.name)
        now = self._clock.now()
        with self._lock:
            self._engine.reconfigure(replace(self._engine.config, **settings), now)
        self._bus.emit(PolicyReconfigured, source=self.name, at=now, settings=tuple(settings))

    def idle(self) -> bool:
        """Tell whether it refuses nothing."""
        return not self._engine.shedding

    def describe(self) -> str:
        """Say in one line what it does."""
        config = self._engine.config
        return (
            f"adaptive throttle {self.name!r}: at most {config.k:g} requests for each that is accepted, "
            f"over {config.over_seconds:g} s"
        )

    def snapshot(self) -> AdaptiveThrottleSnapshot:
        """Return the state as a frozen record."""
        now = self._clock.now()
        with self._lock:
            return self._engine.snapshot(now)

    def __repr__(self) -> str:
        """Show the settings and the state."""
        return f"AdaptiveThrottle({self._name!r}, {self._engine.config!r}, {self.snapshot()!r})"


class ThrottleGuard:
    """Ask at the start of a block and count it at the end; for `with` and `async with`.

    A stream whose reader closes it early was accepted.

    Cancel: it is not counted.
    """

    __slots__ = ("_level", "_throttle")

    def __init__(self, throttle: AdaptiveThrottle) -> None:
        self._throttle = throttle
        self._level = 0.0

    def __enter__(self) -> Self:
        """Ask.

        Raises:
            ThrottledError: The block is refused.
        """
        self._level = self._throttle.admit()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count how it ended."""
        self._throttle.ended(self._level, None if isinstance(error, GeneratorExit) else error)

    async def __aenter__(self) -> Self:
        """Ask.

        Raises:
            ThrottledError: The block is refused.
        """
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count how it ended."""
        self.__exit__(kind, error, trace)
