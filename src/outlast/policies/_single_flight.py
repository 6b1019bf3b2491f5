"""Let equal calls that happen at the same time share one execution."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final, NoReturn

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.engines.single_flight import Flight, FlightEngine, SingleFlightSnapshot
from outlast.errors import ConfigError, DeadlineExceededError, Outcome
from outlast.events import DEFAULT_BUS, EventBus, FlightJoined
from outlast.policies._deadline import remaining
from outlast.policies._landing import Landing, TaskLanding, ThreadLanding
from outlast.policies._policy import Policy
from outlast.policies._reap import reap
from outlast.policies._shape import PLAIN, AnyFunction, is_awaitable
from outlast.registry import DEFAULT_REGISTRY, Registry

_INSIDE: Final[ContextVar[tuple[Flight, ...]]] = ContextVar("outlast_flights", default=())


class SingleFlight(Policy):
    """Run a call once for all who make an equal one while it runs, and give all of them its result.

    Calls are equal when `key` says so; the key must name all that the answer depends on. Nothing is kept: who
    calls after the end starts anew. Coroutines share within their event loop, sync calls among all threads.

    An async execution is a task that belongs to no caller: who is cancelled leaves, and when the last has
    left it is cancelled and has ended before that one goes on. A sync execution runs in the thread of the
    first caller; if that is interrupted, one of the others starts anew. It runs in a copy of the first
    caller's context, its deadline included.

    Everybody gets the same result object, and the same exception object if it fails. Around one function
    there should be one `SingleFlight`: of two functions around which the same one stands, calls with equal keys share.

    Args:
        key: A function of the call's arguments that returns something hashable. It must be given.
        name: Under which it is registered, and shown in errors and events. Default: none, not registered.
        clock: Tells the time. Default: the machine's.
        bus: Takes the events. Default: the shared one.
        registry: Knows it by name. Default: the shared one.

    Raises:
        ConfigError: `key` is no function or returns something that cannot be a key; the work calls, itself or
            over other flights, what would wait for it; or, at decoration, the function is a generator.
        DuplicateNameError: A live one has the name.
        DeadlineExceededError: A sync caller's deadline ended before the shared execution did.

    Cancel: the caller leaves; the work goes on while anybody waits for it.

    Thread-safe: yes.

    >>> SingleFlight(key=lambda text: text).call(len, "fine")
    4
    """

    def __init__(
        self,
        *,
        key: Callable[..., Hashable] | None = None,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = DEFAULT_BUS,
        registry: Registry = DEFAULT_REGISTRY,
    ) -> None:
        if not callable(key):
            raise ConfigError(
                f"must be a function of the call's arguments that names what equal calls have in common, not {key!r}",
                path="key",
            )
        self._key = key
        self._engine = FlightEngine()
        self._lock = threading.Lock()
        self._name = name
        self._clock = clock
        self._bus = bus
        if name is not None:
            registry.register("single_flight", self)

    @property
    def name(self) -> str:
        """Return the name, or `single_flight` when it has none."""
        return "single_flight" if self._name is None else self._name

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value, or an awaitable whose result is then shared."""

        def shared(*args: Any, **kwargs: Any) -> Any:
            key = self._key_of(None, args, kwargs)
            while True:
                flight, new, inside = self._join(key, ThreadLanding)
                landing: ThreadLanding = flight.landing
                try:
                    if new:
                        result = self._lead(flight, inside, fn, args, kwargs)
                        is_plain = type(result) in PLAIN or not is_awaitable(result)
                        return result if is_plain else self._later(result, fn, args, kwargs)
                    if self._follow(flight, inside):
                        return landing.outcome()
                finally:
                    del flight, landing  # they keep the error, whose traceback keeps this frame

        return shared

    def _lead(
        self, flight: Flight, inside: tuple[Flight, ...], fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        landing: ThreadLanding = flight.landing
        token = _INSIDE.set((*inside, flight))
        try:
            result = fn(*args, **kwargs)
            if type(result) in PLAIN or not is_awaitable(result):
                landing.succeed(result)
            return result
        except Exception as error:
            landing.fail(error)
            raise
        finally:
            _INSIDE.reset(token)
            with self._lock:
                self._engine.land(flight)
                self._engine.leave(flight, inside)
            landing.end()
            del flight, landing  # as above

    def _follow(self, flight: Flight, inside: tuple[Flight, ...]) -> bool:
        """Wait for another caller's work; False says that it was interrupted and somebody must start anew."""
        landing: ThreadLanding = flight.landing
        try:
            ended = landing.wait(remaining())
        finally:
            with self._lock:
                self._engine.leave(flight, inside)
        if ended:
            return landing.landed
        raise DeadlineExceededError(
            f"{self.name}: no time is left to wait for the execution that another caller has begun",
            outcome=Outcome.IN_DOUBT,
            operation=self.name,
            timestamp=self._clock.wall(),
        )

    async def _later(self, result: Any, fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Share what a sync call turned out to return only to be awaited; the one at hand is used if it leads."""
        given = [result]

        async def first(*args: Any, **kwargs: Any) -> Any:
            return await (given.pop() if given else fn(*args, **kwargs))

        try:
            return await self.wrap_async(first)(*args, **kwargs)
        finally:
            for unused in given:
                if hasattr(unused, "close"):
                    unused.close()  # else Python warns that nobody awaited it

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""

        async def shared(*args: Any, **kwargs: Any) -> Any:
            loop = asyncio.get_running_loop()
            flight, new, inside = self._join(self._key_of(loop, args, kwargs), TaskLanding)
            landing: TaskLanding = flight.landing
            if new:
                work = self._fly(flight, inside, fn, args, kwargs)
                landing.task = loop.create_task(work, name=f"outlast-{self.name}")
            try:
                await self._wait(flight, inside, landing.task)
                return landing.outcome()
            finally:
                del flight, landing  # as above

        return shared

    async def _fly(
        self, flight: Flight, inside: tuple[Flight, ...], fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        token = _INSIDE.set((*inside, flight))  # in the task's own copy of the context
        landing: TaskLanding = flight.landing
        try:
            landing.succeed(await fn(*args, **kwargs))
        except Exception as error:
            landing.fail(error)
        finally:
            with self._lock:
                self._engine.land(flight)
            with suppress(ValueError):  # it may be closed in another context
                _INSIDE.reset(token)  # the task keeps its context, and the landing the task
            del flight, landing  # as above

    async def _wait(self, flight: Flight, inside: tuple[Flight, ...], task: asyncio.Task[None]) -> None:
        try:
            await asyncio.wait((task,))
        finally:
            with self._lock:
                last = self._engine.leave(flight, inside)
            if last and not task.done():
                await reap((task,))

    def _key_of(
        self, loop: asyncio.AbstractEventLoop | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Hashable:
        # A task belongs to its loop, so calls of different loops, and sync calls, never share with each other.
        key = self._key(*args, **kwargs)
        try:
            hash(key)
        except TypeError as error:
            raise ConfigError(f"{self.name}: key= returned {key!r}, which cannot be hashed", path="key") from error
        return (loop, key)

    def _join(self, key: Hashable, landing: type[Landing]) -> tuple[Flight, bool, tuple[Flight, ...]]:
        inside = _INSIDE.get()
        with self._lock:
            flight, new = self._engine.join(key, inside)
            if flight is not None and new:
                flight.landing = landing()
            elif flight is not None:
                flight.landing.expect()
            waiting = 0 if flight is None else flight.waiting
        if flight is None:
            raise ConfigError(
                f"{self.name}: the work makes a call that waits for the work itself, and would never end",
                operation=self.name,
            )
        if not new:
            self._bus.emit(FlightJoined, source=self.name, at=self._clock.now(), waiting=waiting)
        return flight, new, inside

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Refuse: a stream has one reader.

        Raises:
            ConfigError: Always.
        """
        _refuse_stream(fn)

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Refuse: a stream has one reader.

        Raises:
            ConfigError: Always.
        """
        _refuse_stream(fn)

    def guard(self) -> NoReturn:
        """Refuse: a block has no arguments by which another could be equal to it.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("SingleFlight shares the result of a call, and a with block has none to share")

    def describe(self) -> str:
        """Say in one line what it does."""
        return f"single-flight {self.name!r}: equal calls at the same time share one execution"

    def snapshot(self) -> SingleFlightSnapshot:
        """Return what is under way and how often calls were spared."""
        with self._lock:
            return self._engine.snapshot()

    def idle(self) -> bool:
        """Tell whether nothing is under way."""
        return self._engine.idle

    def __repr__(self) -> str:
        """Show the state."""
        return f"SingleFlight({self._name!r}, {self.snapshot()!r})"


def _refuse_stream(fn: AnyFunction) -> NoReturn:
    raise ConfigError(f"{fn!r} is a generator, and a stream has one reader; share the call that collects its items")
