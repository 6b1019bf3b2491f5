"""The adaptive limit's face: slots as of a bulkhead, whose number follows what the engine learns."""

from __future__ import annotations

import threading
from asyncio import CancelledError
from dataclasses import fields, replace
from functools import partial
from typing import Any

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.engines.adaptive_limit import (
    AdaptiveLimitConfig,
    AdaptiveLimitEngine,
    AdaptiveLimitSnapshot,
    LimitChange,
)
from outlast.engines.breaker_records import Verdict
from outlast.engines.slots import SlotsConfig
from outlast.engines.worst import Worst
from outlast.errors import ConfigError
from outlast.events import DEFAULT_BUS, EventBus, LimitChanged, PolicyReconfigured
from outlast.policies._gate import SlotGate
from outlast.policies._judge import FailureRule, Judge
from outlast.policies._policy import Policy
from outlast.policies._priority import current_priority
from outlast.policies._pushback import load_verdict
from outlast.policies._relay import arelay, relay
from outlast.policies._ride import Ride
from outlast.policies._shape import PLAIN, AnyFunction, after_first, is_awaitable
from outlast.registry import DEFAULT_REGISTRY, Registry

_QUEUE = ("max_waiting", "max_wait")


class AdaptiveLimit(Policy):
    """Let as many calls run at once as the dependency can take, and find out by itself how many that is.

    The limit grows while it is used and calls are as fast as without load; it shrinks when they get
    slower and when they fail. Failures are judged as by a `CircuitBreaker`, except that HTTP 429 is one.
    Where calls stay slow, the load is halved for a moment now and then to measure what they take without.

    Args:
        initial: Calls at once at the start. Default 20.
        min_limit: Calls at once that are always allowed, >= 1. Default 1.
        max_limit: Calls at once that are never exceeded. Default 200.
        tolerance: How many times the latency without load calls may take, > 1. Default 1.5.
        window: Seconds between two judgements, at the least, > 0. Default 0.5.
        min_samples: Calls that a judgement needs, >= 1. Default 50.
        remeasure_every: Seconds between two measurements at lowered load, at the least, > 0. Default 30.
        max_waiting: Calls that may wait for a slot, >= 0. Default 0: they are refused at once.
        max_wait: Seconds that a call may wait. Default None: as long as the deadline in force allows.
        failure_if: Asked first: True for a failure, False for none, None to let the rules decide.
        ignore: Exceptions from which nothing is learnt.
        name: Under which it is registered, and shown in errors and events. Default: none, not registered.
        clock: Tells the time and waits. Default: the machine's.
        bus: Takes the events. Default: the shared one.
        registry: Knows it by name. Default: the shared one.

    Raises:
        ConfigError: A number makes no sense.
        DuplicateNameError: A live adaptive limit has the name.
        BulkheadFullError: On a call: as many run as the limit allows. Nothing was run.

    Cancel: the slot comes back, and nothing is learnt.

    Thread-safe: yes; one limit may serve any number of threads and event loops.

    >>> limit = AdaptiveLimit(initial=20)
    >>> limit.call(len, "fine"), limit.limit
    (4, 20)
    """

    def __init__(
        self,
        initial: int = 20,
        *,
        min_limit: int = 1,
        max_limit: int = 200,
        tolerance: float = 1.5,
        window: float = 0.5,
        min_samples: int = 50,
        remeasure_every: float = 30.0,
        max_waiting: int = 0,
        max_wait: float | None = None,
        failure_if: FailureRule | None = None,
        ignore: type[BaseException] | tuple[type[BaseException], ...] = (),
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = DEFAULT_BUS,
        registry: Registry = DEFAULT_REGISTRY,
    ) -> None:
        config = AdaptiveLimitConfig(initial, min_limit, max_limit, tolerance, window, min_samples, remeasure_every)
        self._engine = AdaptiveLimitEngine(config, clock.now())
        self._judge = Judge(ignore if isinstance(ignore, tuple) else (ignore,), failure_if)
        self._name = name
        self._clock = clock
        self._bus = bus
        self._lock = threading.Lock()
        self._gate = SlotGate(self.name, SlotsConfig(initial, max_waiting, max_wait), clock, bus)
        if name is not None:
            registry.register("adaptive_limit", self)

    @property
    def name(self) -> str:
        """Return the name, or `adaptive_limit` when it has none."""
        return "adaptive_limit" if self._name is None else self._name

    @property
    def limit(self) -> int:
        """Return how many calls may run at once now."""
        return self._engine.limit

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value, or an awaitable, which is then the call."""
        gate, now, ended = self._gate, self._clock.now, self.ended

        def limited(*args: Any, **kwargs: Any) -> Any:
            if not gate.take():
                gate.wait(current_priority())
            began = now()
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                ended(began, error)
                raise
            if type(result) not in PLAIN and is_awaitable(result):
                return self._later(began, result, fn, args, kwargs)
            ended(began, None)
            return result

        return limited

    def _later(self, began: float, result: Any, fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if hasattr(result, "add_done_callback"):
            result.add_done_callback(partial(self._ended_with, began))
            return result  # a future runs already, and is somebody's: it is handed on as it is
        # A coroutine runs only while it is awaited, and perhaps never is: it takes a slot of its own then.
        self.ended(began, None, timed=False)
        return self.wrap_async(after_first(result, fn))(*args, **kwargs)

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""
        gate, now, ended = self._gate, self._clock.now, self.ended

        async def limited(*args: Any, **kwargs: Any) -> Any:
            if not gate.take():
                await gate.await_turn(current_priority())
            began = now()
            try:
                result = await fn(*args, **kwargs)
            except BaseException as error:
                ended(began, error)
                raise
            ended(began, None)
            return result

        return limited

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function; it holds its slot to its end, and nothing is learnt from how long it took."""
        return relay(fn, whole=self._stream)

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function; it holds its slot to its end; nothing is learnt from how long it took."""
        return arelay(fn, whole=self._stream)

    def _stream(self) -> Ride:
        return Ride(self, self._gate, timed=False)

    def guard(self) -> Ride:
        """Return a guard for one block, for `with` or `async with`, which is timed."""
        return Ride(self, self._gate)

    def begin(self) -> float:
        """Return the moment at which a call begins."""
        return self._clock.now()

    def ended(self, began: float, error: BaseException | None, *, timed: bool = True) -> None:
        """Take note of a call that ends and give its slot back.

        Args:
            began: The moment at which it began.
            error: What it raised, or None.
            timed: Whether its length says how loaded the dependency is.
        """
        verdict = Verdict.IGNORED  # stands if the user's own rule raises
        try:
            if error is not None:
                verdict = self._verdict(error)
            elif timed:
                verdict = Verdict.SUCCESS
        finally:
            self._settle(began, verdict)

    def _ended_with(self, began: float, future: Any) -> None:
        self.ended(began, CancelledError() if future.cancelled() else future.exception())

    def _verdict(self, error: BaseException) -> Verdict:
        # An error that proves health was answered too fast or too slowly to be a sample.
        verdict = load_verdict(self._judge, error)
        return Verdict.FAILURE if verdict is Verdict.FAILURE else Verdict.IGNORED

    def _settle(self, began: float, verdict: Verdict) -> None:
        now = self._clock.now()
        with self._lock:
            change = self._engine.settle(began, now, self._gate.engine.running, verdict)
            if change is not None:
                self._gate.reconfigure(
                    max_concurrent=change.after
                )  # under the lock, so that moves are carried out in their order
        self._gate.give()
        self._announce(change, now)

    def _announce(self, change: LimitChange | None, now: float) -> None:
        if change is not None:
            self._bus.emit(
                LimitChanged,
                source=self.name,
                at=now,
                before=change.before,
                after=change.after,
                reason=change.reason,
            )

    def reconfigure(self, **settings: Any) -> None:
        """Change settings while it runs; who runs and who waits stays, and so does what was learnt.

        Args:
            **settings: All numbers of the constructor; `initial` must lie between the limits, and matters no more.

        Raises:
            ConfigError: One is unknown, makes no sense, or cannot be changed; nothing was changed.
        """
        self._made_with.check(settings)
        known = {field.name for field in fields(AdaptiveLimitConfig)} | set(_QUEUE)
        if fixed := sorted(settings.keys() - known):
            raise ConfigError(f"cannot change {', '.join(fixed)} while it runs; make a new one", path=self.name)
        now = self._clock.now()
        queue = {name: value for name, value in settings.items() if name in _QUEUE}
        with self._lock:
            engine = self._engine
            config = replace(engine.config, **{n: v for n, v in settings.items() if n not in _QUEUE})
            self._gate.reconfigure(**queue)  # which may refuse, as the line above
            change = engine.reconfigure(config)
            self._gate.reconfigure(max_concurrent=engine.limit)
        self._announce(change, now)
        self._bus.emit(PolicyReconfigured, source=self.name, at=now, settings=tuple(settings))

    def idle(self) -> bool:
        """Tell whether nobody is in it and its limit is no lower than at the start."""
        running, engine = self._gate.engine.running, self._engine
        return running == 0 and self._gate.engine.waiting == 0 and engine.limit >= engine.config.initial

    def worst(self, inner: Worst) -> Worst:
        """Add the longest wait; without `max_wait` only a deadline bounds it."""
        return replace(inner, latency=inner.latency + self._gate.engine.config.longest_wait)

    def describe(self) -> str:
        """Say in one line what it does."""
        config = self._engine.config
        return (
            f"adaptive limit {self.name!r}: {config.min_limit} to {config.max_limit} calls at once, "
            f"up to {config.tolerance:g} times the latency without load"
        )

    def snapshot(self) -> AdaptiveLimitSnapshot:
        """Return the state as a frozen record."""
        slots = self._gate.snapshot()
        with self._lock:
            return AdaptiveLimitSnapshot(
                limit=self._engine.limit,
                running=slots.running,
                waiting=slots.waiting,
                rejected=slots.rejected,
                latency=self._engine.latency,
                unloaded=self._engine.unloaded,
                measuring=self._engine.measuring,
            )

    def __repr__(self) -> str:
        """Show the settings and the state."""
        return f"AdaptiveLimit({self._name!r}, {self._engine.config!r}, {self.snapshot()!r})"
