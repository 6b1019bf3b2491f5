"""The bulkhead's face: a success path that moves one token, and a gate behind it for everything else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.config import check_callable
from outlast.engines.slots import QueueOrder, SlotsConfig, SlotsSnapshot
from outlast.engines.worst import Worst
from outlast.errors import ConfigError
from outlast.events import DEFAULT_BUS, EventBus, PolicyReconfigured
from outlast.policies._gate import SlotGate, SlotGuard
from outlast.policies._policy import Policy
from outlast.policies._priority import PriorityRule, current_priority, priority_of
from outlast.policies._relay import arelay, relay
from outlast.policies._shape import PLAIN, AnyFunction, after_first, as_async, is_awaitable
from outlast.registry import DEFAULT_REGISTRY, Registry


class Bulkhead(Policy):
    """Let only so many calls run at once, and a few more wait for their turn.

    One cap over all threads and event loops that use the object. A stream holds its slot from its
    first item until it ends or is closed. A call that could not wait long enough is refused at once:
    when the deadline in force leaves no time, or less than the queue ahead of it takes at its present pace.
    Nor does a plain function wait that is called on the thread of an event loop, which it would hold up.

    Args:
        max_concurrent: Calls at once, >= 1. Default 10.
        max_waiting: Calls that may wait for a slot, >= 0. Default 20.
        max_wait: Seconds that a call may wait. Default None: as long as the deadline in force allows.
        order: Who is next: `fifo`, `lifo` or `priority`. Default `fifo`.
        priority: A function of the call's arguments that returns its priority; higher is sooner. Default:
            what `priority(...)` around the call says. Looked at only by the order `priority`.
        name: Under which it is registered, and shown in errors and events. Default: none, not registered.
        clock: Tells the time and waits. Default: the machine's.
        bus: Takes the events. Default: the shared one.
        registry: Knows it by name. Default: the shared one.

    Raises:
        ConfigError: A number makes no sense.
        DuplicateNameError: A live bulkhead has the name.
        BulkheadFullError: On a call: no slot is free, and it may not wait, or has waited in vain. Nothing
            was run. `retry_after` says when a slot will probably be free, if that is known.

    Cancel: who waits leaves the queue; who runs gives the slot back; a slot that was granted in the very
    moment of the cancellation goes to the next. No slot is ever lost.

    Thread-safe: yes; one bulkhead may serve any number of threads and event loops.

    >>> bulkhead = Bulkhead(2)
    >>> with bulkhead.guard():
    ...     bulkhead.utilisation, bulkhead.queue_depth
    (0.5, 0)
    >>> bulkhead.call(len, "fine")
    4
    """

    def __init__(
        self,
        max_concurrent: int = 10,
        *,
        max_waiting: int = 20,
        max_wait: float | None = None,
        order: QueueOrder | str = QueueOrder.FIFO,
        priority: PriorityRule | None = None,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = DEFAULT_BUS,
        registry: Registry = DEFAULT_REGISTRY,
    ) -> None:
        config = SlotsConfig(max_concurrent, max_waiting, max_wait, order)
        self._name = name
        self._clock = clock
        self._bus = bus
        check_callable("priority", priority)
        self._rule = priority
        self.gate = SlotGate(self.name, config, clock, bus)
        if name is not None:
            registry.register("bulkhead", self)

    @property
    def name(self) -> str:
        """Return the name, or `bulkhead` when it has none."""
        return "bulkhead" if self._name is None else self._name

    @property
    def utilisation(self) -> float:
        """Return the share of the slots that is taken, 0 to 1."""
        return self.snapshot().utilisation

    @property
    def queue_depth(self) -> int:
        """Return how many calls wait for a slot."""
        return self.gate.engine.waiting

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value, or an awaitable that then holds the slot while it is awaited."""
        return self.holding(fn, [])

    def holding(self, fn: AnyFunction, in_turn: list[AnyFunction]) -> AnyFunction:
        """Wrap a function that returns a value or an awaitable.

        Args:
            fn: The function.
            in_turn: How its calls wait, once it is known to return coroutines; empty until then. See `later`.
        """
        gate, engine, rule = self.gate, self.gate.engine, self._rule
        take, give = engine.free.pop, engine.free.append  # no lock: see SlotsEngine

        def held(*args: Any, **kwargs: Any) -> Any:
            if in_turn and (engine.crowded or not engine.free):
                return in_turn[0](*args, **kwargs)
            if engine.crowded:
                gate.wait(priority_of(rule, args, kwargs))
            else:
                try:
                    take()
                except IndexError:
                    gate.wait(priority_of(rule, args, kwargs))
            try:
                result = fn(*args, **kwargs)
            except BaseException:
                gate.give()
                raise
            if type(result) not in PLAIN and is_awaitable(result):
                return self.later(result, fn, args, kwargs, in_turn)
            give(None)
            if engine.crowded:
                gate.hand_on()
            return result

        return held

    def later(
        self, result: Any, fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any], in_turn: list[AnyFunction]
    ) -> Any:
        """Return what `fn` gave that must be awaited, so that it holds a slot while it is.

        Args:
            result: A coroutine or another awaitable; the call that gave it holds a slot.
            fn: The function.
            args: The arguments of the call.
            kwargs: Its keyword arguments.
            in_turn: Takes how later calls are to wait, once `fn` is known to return coroutines.
        """
        if hasattr(result, "add_done_callback"):
            result.add_done_callback(self.gate.give_after)
            return result  # a future runs already, and is somebody's: it is handed on as it is
        # A coroutine runs only while it is awaited, and perhaps never is: it takes a slot of its own then.
        self.gate.give()
        # To block the loop's thread until a slot comes free would keep its holders from ever giving one back.
        in_turn[:] = in_turn or [self.wrap_async(as_async(fn))]
        return self.wrap_async(after_first(result, fn))(*args, **kwargs)

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""
        gate, engine, rule = self.gate, self.gate.engine, self._rule
        take, give = engine.free.pop, engine.free.append  # no lock: see SlotsEngine

        async def held(*args: Any, **kwargs: Any) -> Any:
            if engine.crowded:
                await gate.await_turn(priority_of(rule, args, kwargs))
            else:
                try:
                    take()
                except IndexError:
                    await gate.await_turn(priority_of(rule, args, kwargs))
            try:
                return await fn(*args, **kwargs)
            finally:
                give(None)
                if engine.crowded:
                    gate.hand_on()

        return held

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function; it holds its slot until it ends or is closed."""
        return relay(fn, whole=self.guard)

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function; it holds its slot until it ends or is closed."""
        return arelay(fn, whole=self.guard)

    def guard(self) -> SlotGuard:
        """Return a guard for one block, for `with` or `async with`; its priority is what the context says."""
        return SlotGuard(self.gate, current_priority)

    def reconfigure(self, **settings: Any) -> None:
        """Change settings while it runs; who runs and who waits stays.

        With fewer slots nobody is stopped: as many calls as are too many end before another begins.

        Args:
            **settings: `max_concurrent`, `max_waiting`, `max_wait`, `order`.

        Raises:
            ConfigError: One is unknown, makes no sense, or cannot be changed; nothing was changed.
        """
        self._made_with.check(settings)
        if fixed := sorted(settings.keys() & {"priority"}):
            raise ConfigError(f"cannot change {', '.join(fixed)} while it runs; make a new one", path=self.name)
        self.gate.reconfigure(**settings)
        self._bus.emit(PolicyReconfigured, source=self.name, at=self._clock.now(), settings=tuple(settings))

    def idle(self) -> bool:
        """Tell whether nobody runs and nobody waits."""
        return self.gate.engine.running == 0 and self.gate.engine.waiting == 0

    def worst(self, inner: Worst) -> Worst:
        """Add the longest wait; without `max_wait` only a deadline bounds it."""
        return replace(inner, latency=inner.latency + self.gate.engine.config.longest_wait)

    def describe(self) -> str:
        """Say in one line what it does."""
        config = self.gate.engine.config
        wait = "" if config.max_wait is None else f" up to {config.max_wait:g} s"
        return (
            f"bulkhead {self.name!r}: {config.max_concurrent} calls at once, "
            f"{config.max_waiting} waiting{wait} ({config.order})"
        )

    def snapshot(self) -> SlotsSnapshot:
        """Return the state as a frozen record."""
        return self.gate.snapshot()

    def __repr__(self) -> str:
        """Show the settings and the state."""
        return f"Bulkhead({self._name!r}, {self.gate.engine.config!r}, {self.snapshot()!r})"
