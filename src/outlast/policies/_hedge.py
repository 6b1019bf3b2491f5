"""Start a slow call a second time and take the answer that comes first."""

from __future__ import annotations

import asyncio
import math
import threading
from dataclasses import asdict, replace
from typing import Any, NoReturn

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.config import check_known, check_number
from outlast.engines.hedge import HedgeConfig, HedgeEngine, HedgeSnapshot
from outlast.engines.worst import Worst
from outlast.errors import ConfigError
from outlast.events import DEFAULT_BUS, EventBus, PolicyReconfigured
from outlast.policies._hedge_race import TaskRace, ThreadRace
from outlast.policies._hedge_run import HedgeBudget, HedgeParts, HedgeRun, Targets
from outlast.policies._policy import Policy
from outlast.policies._shape import PLAIN, AnyFunction, after_first, is_awaitable
from outlast.policies._worker import Workers
from outlast.registry import DEFAULT_REGISTRY, Registry


class Hedge(Policy):
    """Start a call again when it is slower than usual, and take the first answer.

    The attempts run side by side. The first success wins; the others are cancelled and have ended before the
    call returns. One that fails while others run is waited out; when all have failed, the first error is
    raised, with a note about the others. A hedge is no retry: a call that fails before one was due has failed.

    Around sync functions every attempt runs in a thread of its own, with a copy of the context. A thread
    cannot be stopped: losers run to their end, and while `max_abandoned` of them do, calls run in the
    caller's thread, unhedged. So do sync functions that are called where an event loop runs.

    Args:
        delay: Seconds after which a hedge is started, >= 0. Default: by the quantile.
        quantile: Start it when this share of recent calls had answered, above 0 and below 1. Default 0.95,
            which adds about 5 % of calls.
        floor: The shortest delay in seconds that the quantile may give. Default 0.001.
        ceiling: The longest, and the delay until `min_samples` are known. Default inf: no hedge until then.
        min_samples: Latencies to know before the quantile is trusted, >= 1. Default 100.
        memory: Latencies that count in full, >= 1; older ones fade. Default 1000.
        max_hedges: Further attempts that one call may start, >= 1. Default 1.
        budget: Asked before each hedge, such as the `RetryBudget` of the retry around it. A spent one stops
            new hedges and nothing else. Default: none.
        targets: What each hedge is sent to instead: a sequence, taken in turn, or a function of the number of
            the hedge, from 1. Default: the same.
        target_argument: Which argument of the call that is: a position or a keyword. Default 0, the first.
        idempotent: Must be True. It is your word that running the call twice at once does no harm.
        max_abandoned: Losers that may be running in threads, >= 1. Default 64.
        name: Under which it is registered, and shown in notes and events. Default: none, not registered.
        clock: Tells the time. Default: the machine's.
        bus: Takes the events. Default: the shared one.
        registry: Knows it by name. Default: the shared one.

    Raises:
        ConfigError: `idempotent=True` is missing, a number makes no sense, both a delay and a quantile were
            given; or, at decoration, the function is a generator.
        DuplicateNameError: A live hedge has the name.

    Cancel: every attempt is cancelled and has ended; threads go on and count as abandoned.

    Thread-safe: yes.

    >>> Hedge(delay=0.1, idempotent=True).call(len, "fine")
    4
    """

    def __init__(
        self,
        *,
        delay: float | None = None,
        quantile: float | None = None,
        floor: float = 0.001,
        ceiling: float = math.inf,
        min_samples: int = 100,
        memory: int = 1000,
        max_hedges: int = 1,
        budget: HedgeBudget | None = None,
        targets: Targets | None = None,
        target_argument: int | str = 0,
        idempotent: bool = False,
        max_abandoned: int = 64,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = DEFAULT_BUS,
        registry: Registry = DEFAULT_REGISTRY,
    ) -> None:
        _check(delay, quantile, targets, idempotent=idempotent)
        check_number("max_abandoned", max_abandoned, least=1)
        config = HedgeConfig(
            delay=delay,
            quantile=0.95 if quantile is None else quantile,
            floor=floor,
            ceiling=ceiling,
            min_samples=min_samples,
            memory=memory,
            max_hedges=max_hedges,
        )
        self._name = name
        self._parts = HedgeParts(
            self.name, HedgeEngine(config), budget, targets, target_argument, clock, bus, threading.Lock()
        )
        self._workers = Workers(self.name, max_abandoned)
        if name is not None:
            registry.register("hedge", self)

    @property
    def name(self) -> str:
        """Return the name, or `hedge` when it has none."""
        return "hedge" if self._name is None else self._name

    @property
    def budget(self) -> HedgeBudget | None:
        """Return what each hedge asks first, or None."""
        return self._parts.budget

    def share_budget(self, budget: HedgeBudget, *, pays_in: bool = False) -> None:
        """Draw on a budget; nothing happens where the user has given one, or functions are decorated already.

        Args:
            budget: Shared by several policies.
            pays_in: Of no meaning here: only retries pay in.
        """
        del pays_in
        if self._parts.budget is None:
            self._parts = replace(self._parts, budget=budget)

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value, or an awaitable whose result is then raced."""
        parts, workers = self._parts, self._workers

        def hedged(*args: Any, **kwargs: Any) -> Any:
            if workers.full or _on_a_loop():
                result = fn(*args, **kwargs)
            else:
                result = ThreadRace(HedgeRun(parts, args, kwargs), fn, workers).race()
            if type(result) not in PLAIN and is_awaitable(result):
                return self.wrap_async(after_first(result, fn))(*args, **kwargs)
            return result

        return hedged

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""
        parts = self._parts

        async def hedged(*args: Any, **kwargs: Any) -> Any:
            return await TaskRace(HedgeRun(parts, args, kwargs), fn, parts.name).race()

        return hedged

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Refuse: a stream belongs to the thread that opened it.

        Raises:
            ConfigError: Always.
        """
        _refuse_stream(fn)

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Refuse: a stream belongs to the task that opened it.

        Raises:
            ConfigError: Always.
        """
        _refuse_stream(fn)

    def reconfigure(self, **settings: Any) -> None:
        """Change settings for calls that begin from now on; what was learnt stays, unless `memory` changes.

        Args:
            **settings: `delay`, `quantile`, `floor`, `ceiling`, `min_samples`, `memory`, `max_hedges`.

        Raises:
            ConfigError: One is unknown or makes no sense; nothing was changed.
        """
        parts, engine = self._parts, self._parts.engine
        check_known(settings, asdict(engine.config), path=self.name)
        if settings.get("quantile", 0.0) is None:
            settings = {**settings, "quantile": 0.95}  # as in the constructor
        with parts.lock:
            engine.reconfigure(replace(engine.config, **settings))
        parts.bus.emit(PolicyReconfigured, source=self.name, at=parts.clock.now(), settings=tuple(settings))

    def idle(self) -> bool:
        """Tell whether no loser of it runs in a thread."""
        return self._workers.abandoned == 0

    def worst(self, inner: Worst) -> Worst:
        """Return the worst of one call: the last hedge starts late and takes as long as any.

        Args:
            inner: The worst of one call of what it wraps.
        """
        config = self._parts.engine.config
        delay = config.ceiling if config.delay is None else config.delay
        late = config.max_hedges * min(delay, inner.latency)
        return Worst(inner.latency + late, inner.calls * (1 + config.max_hedges))

    def describe(self) -> str:
        """Say in one line what it does."""
        config = self._parts.engine.config
        when = f"the p{100 * config.quantile:g} of recent calls" if config.delay is None else f"{config.delay:g} s"
        return f"hedge {self.name!r}: up to {config.max_hedges} more after {when}"

    def snapshot(self) -> HedgeSnapshot:
        """Return its present delay and its counts."""
        with self._parts.lock:
            return self._parts.engine.snapshot(self._workers.abandoned)

    def __repr__(self) -> str:
        """Show the settings and the state."""
        return f"Hedge({self._name!r}, {self._parts.engine.config!r}, {self.snapshot()!r})"


def _check(delay: float | None, quantile: float | None, targets: Targets | None, *, idempotent: bool) -> None:
    if idempotent is not True:
        raise ConfigError(
            "a hedge runs the same call twice at once; say with idempotent=True that this does no harm",
            path="idempotent",
        )
    for name, value in (("delay", delay), ("quantile", quantile)):
        check_number(name, 0.5 if value is None else value)
    if delay is not None and quantile is not None:
        raise ConfigError("give either delay= or quantile=, not both", path="quantile")
    if targets is not None and not callable(targets) and not targets:
        raise ConfigError("must name at least one target", path="targets")


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _refuse_stream(fn: AnyFunction) -> NoReturn:
    raise ConfigError(
        f"{fn!r} is a generator, and a stream cannot move from the task or thread that opened it; "
        "hedge the call that fetches its first part instead"
    )
