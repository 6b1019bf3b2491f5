"""Disturb calls on purpose, to see whether everything around them holds."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, Final

from outlast.clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, Random
from outlast.config import check_known
from outlast.engines.chaos import ChaosConfig, ChaosEngine, ChaosSnapshot
from outlast.engines.worst import Worst
from outlast.errors import ConfigError
from outlast.events import DEFAULT_BUS, ChaosInjected, ChaosStopped, EventBus, PolicyReconfigured
from outlast.policies._answers import awaited, plain
from outlast.policies._disturbance import NOTHING, ChaosCall, ChaosGuard, Disturbance, Fault
from outlast.policies._items import aitems_of, items_of
from outlast.policies._policy import Policy
from outlast.policies._relay import AsyncOpened, Finished, Opened, aopen_stream, arelay, open_stream, relay
from outlast.policies._shape import AnyFunction
from outlast.registry import DEFAULT_REGISTRY, Registry


class Chaos(Policy):
    """Delay some calls, make them fail, or answer in their place, until it is told to stop.

    It belongs innermost, right around the function, so that every other policy meets what it does. It does
    nothing unless `enabled=True`: read that from where you like, such as
    `enabled=os.environ.get("OUTLAST_CHAOS") == "1"`. A disturbed call first waits for the latency, then runs
    the behaviour, then fails or gets the result; with neither, the function runs. Of a generator the opening
    is disturbed. A function that returns awaitables without being `async def` is treated as a sync one.

    It ends by itself after a time or a number of calls, when `stop_when` says so, when one of your rules raises,
    and at once by `stop()` or, for all of them, by `Chaos.stop_all()`.

    Args:
        rate: The share of calls that are disturbed, 0 to 1.
        fault: What they fail with: an exception, its type, or a function of the call that returns one.
        latency: Seconds that they wait first, or the least and the most. Default 0.
        result: What is returned in place of the function's result; of a stream, its items. Default: nothing.
        behaviour: Run with the call before anything else happens; may be async where the call is.
        when: Asked with each call (its `name`, `args` and `kwargs`) whether it may be disturbed at all.
        expires_after: Seconds from the start after which it stops, > 0. Default inf.
        max_injections: Disturbed calls after which it stops, >= 1. Default: no limit.
        stop_when: Asked before each call; True stops it. To end with a breaker:
            `stop_when=lambda: breaker.state is not CircuitState.CLOSED`.
        enabled: Whether it starts at once. Default False.
        name: Under which it is registered, and shown in events. Default: none, not registered.
        clock: Tells the time and waits. Default: the machine's.
        random: Chooses the calls and spreads the latency. Default: the machine's.
        bus: Takes the events. Default: the shared one.
        registry: Knows it by name. Default: the shared one.

    Raises:
        ConfigError: A number makes no sense, there is nothing to do, or both a fault and a result were given.
        DuplicateNameError: A live one has the name.

    Cancel: ends the wait or the behaviour; the function is not run.

    Thread-safe: yes.

    >>> Chaos(rate=1.0, result="broken", enabled=True).call(len, "fine")
    'broken'
    """

    def __init__(
        self,
        *,
        rate: float,
        fault: Fault | None = None,
        latency: float | tuple[float, float] = 0.0,
        result: Any = NOTHING,
        behaviour: Callable[[ChaosCall], Any] | None = None,
        when: Callable[[ChaosCall], bool] | None = None,
        expires_after: float = math.inf,
        max_injections: int | None = None,
        stop_when: Callable[[], bool] | None = None,
        enabled: bool = False,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        random: Random = SYSTEM_RANDOM,
        bus: EventBus = DEFAULT_BUS,
        registry: Registry = DEFAULT_REGISTRY,
    ) -> None:
        config = ChaosConfig(rate, latency, expires_after, max_injections)
        self._engine = ChaosEngine(config)
        self._does = Disturbance(fault, result, behaviour, delays=config.span[1] > 0)
        self._when = when
        self._stop_when = stop_when
        self._lock = threading.Lock()
        self._name = name
        self._clock = clock
        self._random = random
        self._bus = bus
        if name is not None:
            registry.register("chaos", self)
        _switch.add(self)
        if enabled:
            self.start()

    @property
    def name(self) -> str:
        """Return the name, or `chaos` when it has none."""
        return "chaos" if self._name is None else self._name

    def start(self) -> None:
        """Disturb calls from now on, with time and count as new; after `stop_all`, only once `allow_all` was called."""
        now = self._clock.now()
        with self._lock:
            self._engine.start(now)
        if _switch.thrown:
            self.stop(_switch.thrown)

    def stop(self, why: str = "stop() was called") -> None:
        """Disturb no further call, until `start`; a call that is being disturbed goes on.

        Args:
            why: For the event and the snapshot.
        """
        with self._lock:
            stopped = self._engine.stop(why)
        if stopped:
            self._bus.emit(ChaosStopped, source=self.name, at=self._clock.now(), reason=why)

    @staticmethod
    def stop_all(why: str = "Chaos.stop_all() was called") -> None:
        """Stop every chaos policy of the process, and keep new ones from starting until `allow_all`.

        Args:
            why: For the events and the snapshots.
        """
        for chaos in _switch.throw(why):
            chaos.stop(why)

    @staticmethod
    def allow_all() -> None:
        """Let chaos policies be started again; those that were stopped stay so until their `start`."""
        _switch.thrown = ""

    def strike(self, call: ChaosCall) -> float | None:
        """Return the seconds that a call must wait before it is disturbed, or None when it is left alone."""
        if not self._may(call):
            return None
        least, most = self._engine.config.span
        chance, spread = self._random.random(), self._random.random() if least < most else 0.0
        now = self._clock.now()
        with self._lock:
            why = self._engine.ended(now)
            wait = None if why else self._engine.strike(chance, spread)
            why = why or self._engine.ended(now)
        if wait is not None:
            what = self._does.what(wait)
            self._bus.emit(ChaosInjected, source=self.name, at=now, call=call.name, what=what, latency=wait)
        if why:
            self.stop(why)
        return wait

    def _may(self, call: ChaosCall) -> bool:
        """Ask the user's rules; whoever cannot tell whether it is safe must stop."""
        asked = "stop_when"
        try:
            if self._stop_when is not None and self._stop_when():
                self.stop("stop_when said so")
                return False
            asked = "when"
            return self._when is None or bool(self._when(call))
        except Exception as error:
            self.stop(f"{asked} raised {type(error).__name__}")
            return False

    def shake(self, call: ChaosCall) -> bool:
        """Disturb a sync call and tell whether the function is still to be run."""
        wait = self.strike(call)
        if wait is None:
            return True
        if wait:
            self._clock.sleep(wait)
        plain(self._does.behave(call))
        return self._does.fail_or_run(call)

    async def ashake(self, call: ChaosCall) -> bool:
        """Disturb an async call and tell whether the function is still to be run."""
        wait = self.strike(call)
        if wait is None:
            return True
        if wait:
            await self._clock.asleep(wait)
        await awaited(self._does.behave(call))
        return self._does.fail_or_run(call)

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value."""
        engine, name, result = self._engine, _name_of(fn), self._does.result

        def shaken(*args: Any, **kwargs: Any) -> Any:
            if not engine.active or self.shake(ChaosCall(name, args, kwargs)):
                return fn(*args, **kwargs)
            return result

        return shaken

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""
        engine, name, result = self._engine, _name_of(fn), self._does.result

        async def shaken(*args: Any, **kwargs: Any) -> Any:
            if not engine.active or await self.ashake(ChaosCall(name, args, kwargs)):
                return await fn(*args, **kwargs)
            return result

        return shaken

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function, whose opening is disturbed."""
        return relay(fn, opening=self._open)

    def _open(self, fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Opened | Finished:
        if not self._engine.active or self.shake(ChaosCall(_name_of(fn), args, kwargs)):
            return open_stream(fn, args, kwargs)
        return open_stream(items_of, (self._does.result,), {})

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function, whose opening is disturbed."""
        return arelay(fn, opening=self._aopen)

    async def _aopen(self, fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncOpened | Finished:
        if not self._engine.active or await self.ashake(ChaosCall(_name_of(fn), args, kwargs)):
            return await aopen_stream(fn, args, kwargs)
        return await aopen_stream(aitems_of, (self._does.result,), {})

    def guard(self) -> ChaosGuard:
        """Return a guard for one block, disturbed at its start; the call's name is that of the policy.

        Raises:
            ConfigError: It replaces results, and a block has none.
        """
        if self._does.result is not NOTHING:
            raise ConfigError("Chaos(result=...) answers in place of a call, and a with block has no answer")
        return ChaosGuard(self, ChaosCall(self.name))

    def reconfigure(self, **settings: Any) -> None:
        """Change settings while it runs; the count goes on, and a new time to expire counts from now.

        Args:
            **settings: `rate`, `latency`, `expires_after`, `max_injections`.

        Raises:
            ConfigError: One is unknown or makes no sense; nothing was changed.
        """
        engine, now = self._engine, self._clock.now()
        check_known(settings, asdict(engine.config), path=self.name)
        with self._lock:
            engine.reconfigure(replace(engine.config, **settings), now)
        self._bus.emit(PolicyReconfigured, source=self.name, at=now, settings=tuple(settings))

    def idle(self) -> bool:
        """Tell whether it was never started; one that was stopped must not come back as new."""
        return self._engine.fresh

    def worst(self, inner: Worst) -> Worst:
        """Add the longest latency while it is active; how long a behaviour takes nobody knows.

        Args:
            inner: The worst of one call of what it wraps.
        """
        if not self._engine.active:
            return inner
        added = math.inf if self._does.behaviour is not None else self._engine.config.span[1]
        return replace(inner, latency=inner.latency + added)

    def describe(self) -> str:
        """Say in one line what it does."""
        shot = self.snapshot()
        state = "" if shot.active else f" (stopped: {shot.why})"
        what = self._does.what(self._engine.config.span[1])
        return f"chaos {self.name!r}: {what} for {100 * shot.rate:g} % of calls{state}"

    def snapshot(self) -> ChaosSnapshot:
        """Return whether it is active, or why not, and how many calls it has disturbed."""
        with self._lock:
            return self._engine.snapshot()

    def __repr__(self) -> str:
        """Show the settings and the state."""
        return f"Chaos({self._name!r}, {self._engine.config!r}, {self.snapshot()!r})"


def _name_of(fn: AnyFunction) -> str:
    return getattr(fn, "__qualname__", None) or repr(fn)


class _Switch:
    """Know every live chaos policy, so that one call stops them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alive: weakref.WeakSet[Chaos] = weakref.WeakSet()
        self.thrown = ""

    def add(self, chaos: Chaos) -> None:
        with self._lock:
            self._alive.add(chaos)

    def throw(self, why: str) -> list[Chaos]:
        self.thrown = why
        with self._lock:
            return list(self._alive)


_switch: Final = _Switch()
