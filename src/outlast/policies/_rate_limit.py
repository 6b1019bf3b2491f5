"""The rate limit's face: it asks the engine for a turn, and waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.config import check_number
from outlast.engines.breaker_records import Refusal
from outlast.engines.rate import RateConfig, RateEngine, RateSnapshot, Ticket
from outlast.engines.worst import Worst
from outlast.errors import ConfigError, ThrottledError
from outlast.events import DEFAULT_BUS, CallRejected, CallWaited, EventBus, PolicyReconfigured
from outlast.policies._deadline import remaining
from outlast.policies._policy import Policy
from outlast.policies._relay import AsyncOpened, Finished, Opened, aopen_stream, arelay, open_stream, relay
from outlast.policies._shape import AnyFunction
from outlast.policies._turn import TaskTurn, ThreadTurn
from outlast.registry import DEFAULT_REGISTRY, Registry

Cost = float | Callable[..., float]


class RateLimit(Policy):
    """Let only so many calls pass in each period; the others wait for their turn or are refused.

    Up to `burst` calls pass at once after a pause, then one each `per / calls` seconds. A call that may
    wait knows its turn from the start, so one whose turn lies beyond `max_wait` or the deadline in force
    is refused at once. A stream counts once, when it is opened.

    Args:
        calls: Calls that may pass in each period, > 0.
        per: Length of the period in seconds, > 0. Default 1.
        burst: Calls that may pass at once after a pause, >= 1. Default: as many as in one period.
        max_wait: Seconds that a call may wait for its turn, >= 0. Default 0: it is refused at once.
        cost: How many calls one counts for: a number, or a function of its arguments. Default 1.
        name: Under which it is registered, and shown in errors and events. Default: `rate_limit`, not
            registered.
        clock: Tells the time and waits. Default: the machine's.
        bus: Takes the events. Default: the shared one.
        registry: Knows it by name. Default: the shared one.

    Raises:
        ConfigError: A number makes no sense; on a call: it costs more than could ever pass at once.
        DuplicateNameError: A live rate limit has the name.
        ThrottledError: On a call: its turn is too far away. `retry_after` says how far.

    Cancel: who waits gives its place back, and those behind move up.

    Thread-safe: yes; one limit may serve any number of threads and event loops.

    >>> limit = RateLimit(2, per=60.0)
    >>> limit.call(len, "fine"), limit.call(len, "fine"), round(limit.snapshot().available)
    (4, 4, 0)
    """

    def __init__(
        self,
        calls: float,
        per: float = 1.0,
        *,
        burst: float | None = None,
        max_wait: float = 0.0,
        cost: Cost = 1.0,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = DEFAULT_BUS,
        registry: Registry = DEFAULT_REGISTRY,
    ) -> None:
        for setting, value in (("calls", calls), ("per", per), ("burst", burst), ("max_wait", max_wait)):
            check_number(setting, 1.0 if value is None else value)
        self._engine = RateEngine(RateConfig(calls, per, burst, max_wait))
        if not callable(cost):
            check_number("cost", cost)
            self._engine.check_cost(cost)
        self._cost = cost
        self._name = name
        self._clock = clock
        self._bus = bus
        self._lock = threading.Lock()
        if name is not None:
            registry.register("rate_limit", self)

    @property
    def name(self) -> str:
        """Return the name, or `rate_limit` when it has none."""
        return "rate_limit" if self._name is None else self._name

    def cost_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
        """Return how many calls one with these arguments counts for."""
        cost = self._cost
        return cost(*args, **kwargs) if callable(cost) else cost

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value, or an awaitable, which counts when it is made."""
        wait, engine, now, lock = self.wait, self._engine, self._clock.now, self._lock
        cost_of, fixed = self.cost_of, None if callable(self._cost) else self._cost

        def limited(*args: Any, **kwargs: Any) -> Any:
            cost, at = cost_of(args, kwargs) if fixed is None else fixed, now()
            with lock:
                passes = engine.passes(at, cost)
            if not passes:
                wait(cost)
            return fn(*args, **kwargs)

        return limited

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""
        wait, engine, now, lock = self.await_turn, self._engine, self._clock.now, self._lock
        cost_of, fixed = self.cost_of, None if callable(self._cost) else self._cost

        async def limited(*args: Any, **kwargs: Any) -> Any:
            cost, at = cost_of(args, kwargs) if fixed is None else fixed, now()
            with lock:
                passes = engine.passes(at, cost)
            if not passes:
                await wait(cost)
            return await fn(*args, **kwargs)

        return limited

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function; opening it counts."""
        return relay(fn, opening=self._open)

    def _open(self, fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Opened | Finished:
        self.wait(self.cost_of(args, kwargs))
        return open_stream(fn, args, kwargs)

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function; opening it counts."""
        return arelay(fn, opening=self._aopen)

    async def _aopen(self, fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncOpened | Finished:
        await self.await_turn(self.cost_of(args, kwargs))
        return await aopen_stream(fn, args, kwargs)

    def guard(self, cost: float | None = None) -> TurnGuard:
        """Return a guard for one block, for `with` or `async with`, which waits at the start of it.

        Args:
            cost: How many calls it counts for. Default: the limit's `cost`, or 1 where that is a function.
        """
        own = 1.0 if callable(self._cost) else self._cost
        return TurnGuard(self, own if cost is None else cost)

    def wait(self, cost: float = 1.0) -> None:
        """Return when it is the caller's turn, blocking the thread until then.

        Args:
            cost: How many calls it counts for, >= 0. Default 1.

        Raises:
            ThrottledError: Its turn is too far away.
            ConfigError: It costs more than could ever pass at once.
        """
        began = self._clock.now()
        ticket = self._ask(began, cost)
        if ticket.left(began):
            turn = ThreadTurn(self._clock)
            ticket.wake = turn.wake  # before the time left is read: whoever moves the turn up moves it, then wakes
            try:
                while left := ticket.left(self._clock.now()):
                    turn.wait(left)
            except BaseException:
                self._give_back(ticket)
                raise
            self._waited(began)

    async def await_turn(self, cost: float = 1.0) -> None:
        """Return when it is the caller's turn, suspending the task until then; the twin of `wait`.

        Args:
            cost: How many calls it counts for, >= 0. Default 1.

        Raises:
            ThrottledError: Its turn is too far away.
            ConfigError: It costs more than could ever pass at once.

        Cancel: the place is given back, and those behind move up.
        """
        began = self._clock.now()
        ticket = self._ask(began, cost)
        if ticket.left(began):
            turn = TaskTurn()
            ticket.wake = turn.wake  # as in wait()
            try:
                while left := ticket.left(self._clock.now()):
                    await turn.wait(left)
            except BaseException:
                self._give_back(ticket)
                raise
            self._waited(began)

    def _ask(self, now: float, cost: float) -> Ticket:
        most = remaining()
        with self._lock:
            answer = self._engine.ask(now, cost, most)
        match answer:
            case Ticket():
                return answer
            case Refusal(retry_after=wait):
                self._bus.emit(CallRejected, source=self.name, at=now, retry_after=wait)
                raise ThrottledError(
                    f"{self.name}: the next turn is {wait:.3g} s away, which is longer than the call may wait",
                    retry_after=wait,
                    operation=self.name,
                    timestamp=self._clock.wall(),
                )

    def _give_back(self, ticket: Ticket) -> None:
        now = self._clock.now()
        with self._lock:
            earlier = self._engine.give_back(ticket, now)
        for other in earlier:
            other.wake()

    def _waited(self, began: float) -> None:
        now = self._clock.now()
        self._bus.emit(CallWaited, source=self.name, at=now, seconds=now - began)

    def reconfigure(self, **settings: Any) -> None:
        """Change settings while it runs: what is used up stays used up, and who waits keeps the place.

        Args:
            **settings: `calls`, `per`, `burst`, `max_wait`.

        Raises:
            ConfigError: One is unknown, makes no sense, or cannot be changed; nothing was changed.
        """
        self._made_with.check(settings)
        if fixed := sorted(settings.keys() & {"cost"}):
            raise ConfigError(f"cannot change {', '.join(fixed)} while it runs; make a new one", path=self.name)
        now = self._clock.now()
        with self._lock:
            earlier = self._engine.reconfigure(replace(self._engine.config, **settings), now)
        for other in earlier:
            other.wake()
        self._bus.emit(PolicyReconfigured, source=self.name, at=now, settings=tuple(settings))

    def idle(self) -> bool:
        """Tell whether nothing of its burst is used up."""
        return self.snapshot().available >= self._engine.config.capacity

    def worst(self, inner: Worst) -> Worst:
        """Add the longest wait."""
        return replace(inner, latency=inner.latency + self._engine.config.max_wait)

    def describe(self) -> str:
        """Say in one line what it does."""
        config = self._engine.config
        wait = f", waits up to {config.max_wait:g} s" if config.max_wait else ""
        return (
            f"rate limit {self.name!r}: {config.calls:g} calls each {config.per:g} s, {config.capacity:g} at once{wait}"
        )

    def snapshot(self) -> RateSnapshot:
        """Return the state as a frozen record."""
        now = self._clock.now()
        with self._lock:
            return self._engine.snapshot(now)

    def __repr__(self) -> str:
        """Show the settings and the state."""
        return f"RateLimit({self._name!r}, {self._engine.config!r}, {self.snapshot()!r})"


class TurnGuard:
    """Wait for a turn at the start of a block, for `with` and `async with`.

    Cancel: during the wait the place is given back; later the turn is used up.
    """

    __slots__ = ("_cost", "_limit")

    def __init__(self, limit: RateLimit, cost: float) -> None:
        self._limit = limit
        self._cost = cost

    def __enter__(self) -> Self:
        """Wait for the turn.

        Raises:
            ThrottledError: It is too far away.
        """
        self._limit.wait(self._cost)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: a turn is used up when it comes."""

    async def __aenter__(self) -> Self:
        """Wait for the turn.

        Raises:
            ThrottledError: It is too far away.
        """
        await self._limit.await_turn(self._cost)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: a turn is used up when it comes."""
