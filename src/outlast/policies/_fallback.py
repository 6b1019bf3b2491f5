"""Answer from something else when a call fails."""

from __future__ import annotations

import math
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from typing import Any, Final, NoReturn, TypeVar

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.engines.fallback import FallbackEngine, FallbackSnapshot, Rescue
from outlast.engines.worst import Worst
from outlast.errors import Category, ConfigError, Outcome, OutlastError, classify
from outlast.events import DEFAULT_BUS, EventBus, FallbackFailed, FallbackUsed
from outlast.policies._answers import awaited, plain
from outlast.policies._fallback_link import Link, check_sync, link_of, value_link
from outlast.policies._items import aitems_of, items_of
from outlast.policies._notes import note
from outlast.policies._policy import Policy
from outlast.policies._relay import AsyncOpened, Finished, Opened, aopen_stream, arelay, open_stream, relay
from outlast.policies._retry_run import ExceptionTypes, RetryRule, rule_from
from outlast.policies._shape import PLAIN, AnyFunction, after_first, is_awaitable
from outlast.registry import DEFAULT_REGISTRY, Registry

T = TypeVar("T")

NOTHING: Final = object()
"""Stands for "no value was given": None is a value."""

Functions = AnyFunction | Sequence[AnyFunction]
Unwanted = Callable[[Any], bool]


class Fallback(Policy):
    """Answer with a value, or with what a function gives, when a call fails.

    The functions are tried in their order, each only if the one before failed, and the value comes last. When
    all fail, the error of the last is raised, with that of the call as its context and a note about the rest.
    Of a generator only the opening falls back, up to its first item: to the items of the value, or of what
    the function gives.

    What answers instead should be cheap and local: a fallback that needs the same network fails with it.

    Args:
        value: The answer of last resort; of a stream, its items. Default: none.
        function: A function, or several. One that takes a single argument gets the error, one that takes more
            also the arguments of the call, and one that takes none gets nothing; parameters with a default
            do not count. May be async where the call is.
        on: When to fall back: exception types, or a function from the exception to True, False or None (decide
            as without it). Default: any exception but cancellation and those that say that the call itself
            was wrong (`INVALID_INPUT`).
        on_result: True for a result that is as bad as a failure, asked of functions' answers
            too, but not of streams. Default: none is.
        name: Under which it is registered, and shown in notes and events. Default: none, not registered.
        clock: Tells the time. Default: the machine's.
        bus: Takes the events. Default: the shared one.
        registry: Knows it by name. Default: the shared one.

    Raises:
        ConfigError: There is neither a value nor a function, `on` is neither types nor a function; or, at
            decoration, a sync function has an async fallback.
        DuplicateNameError: A live fallback has the name.

    Cancel: the call or the fallback under way is cancelled; nothing stands in for a cancelled call.

    Thread-safe: yes.

    >>> Fallback(value=0, on=ValueError).call(int, "many")
    0
    """

    def __init__(
        self,
        *,
        value: Any = NOTHING,
        function: Functions | None = None,
        on: ExceptionTypes | RetryRule | None = None,
        on_result: Unwanted | None = None,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = DEFAULT_BUS,
        registry: Registry = DEFAULT_REGISTRY,
    ) -> None:
        self._functions = _functions(function)
        self._has_value = value is not NOTHING
        links = [link_of(fn) for fn in self._functions]
        self._links: tuple[Link, ...] = (*links, value_link(value)) if self._has_value else tuple(links)
        if not self._links:
            raise ConfigError("needs a value= or a function= to fall back to", path="fallback")
        self._rule = rule_from(on)
        self._unwanted = on_result
        self._engine = FallbackEngine(len(self._links))
        self._lock = threading.Lock()
        self._name = name
        self._clock = clock
        self._bus = bus
        if name is not None:
            registry.register("fallback", self)

    @property
    def name(self) -> str:
        """Return the name, or `fallback` when it has none."""
        return "fallback" if self._name is None else self._name

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value, or an awaitable that then has the fallbacks.

        Raises:
            ConfigError: One of the fallbacks is async.
        """
        check_sync(self._functions, fn)
        engine, unwanted = self._engine, self._unwanted

        def covered(*args: Any, **kwargs: Any) -> Any:
            try:
                result = fn(*args, **kwargs)
                if type(result) not in PLAIN and is_awaitable(result):
                    return self.wrap_async(after_first(result, fn))(*args, **kwargs)
                if unwanted is not None:
                    self._check_result(result)
            except Exception as error:
                rescue = self._begin(error)
                if rescue is None:
                    raise
                return self._rescue(rescue, args, kwargs, plain)
            engine.primary_ok += 1  # no lock: see FallbackEngine
            return result

        return covered

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""
        engine, unwanted = self._engine, self._unwanted

        async def covered(*args: Any, **kwargs: Any) -> Any:
            try:
                result = await fn(*args, **kwargs)
                if unwanted is not None:
                    self._check_result(result)
            except Exception as error:
                rescue = self._begin(error)
                if rescue is None:
                    raise
                return await self._arescue(rescue, args, kwargs, awaited)
            engine.primary_ok += 1  # no lock: see FallbackEngine
            return result

        return covered

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function; only its opening, up to the first item, has the fallbacks.

        Raises:
            ConfigError: One of the fallbacks is async.
        """
        check_sync(self._functions, fn)
        return relay(fn, opening=self._open)

    def _open(self, fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Opened | Finished:
        try:
            opened = open_stream(fn, args, kwargs)
        except Exception as error:
            rescue = self._begin(error)
            if rescue is None:
                raise
            return self._rescue(rescue, args, kwargs, _opened)
        self._engine.primary_ok += 1
        return opened

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function; only its opening, up to the first item, has the fallbacks."""
        return arelay(fn, opening=self._aopen)

    async def _aopen(self, fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncOpened | Finished:
        try:
            opened = await aopen_stream(fn, args, kwargs)
        except Exception as error:
            rescue = self._begin(error)
            if rescue is None:
                raise
            return await self._arescue(rescue, args, kwargs, _aopened)
        self._engine.primary_ok += 1
        return opened

    def _check_result(self, result: Any) -> None:
        if self._unwanted is not None and self._unwanted(result):
            raise OutlastError(
                f"{self.name}: on_result refused the result",
                outcome=Outcome.APPLIED,
                operation=self.name,
                metadata={"result": result},
                timestamp=self._clock.wall(),
            )

    def _begin(self, error: Exception) -> Rescue | None:
        """Return how to go on after a failure, or None when it is not the fallback's business."""
        if _is_ours(self._rule(error), error):
            return Rescue(len(self._links), error)
        with self._lock:
            self._engine.passed()
        return None

    def _rescue(self, rescue: Rescue, args: tuple[Any, ...], kwargs: dict[str, Any], use: Callable[[Any], T]) -> T:
        try:
            while True:
                try:
                    answer = use(self._ask(rescue, args, kwargs))
                    return self._answered(rescue, answer)
                except Exception as error:
                    if not rescue.failed(error):
                        raise
        finally:
            self._end(rescue)

    async def _arescue(
        self, rescue: Rescue, args: tuple[Any, ...], kwargs: dict[str, Any], use: Callable[[Any], Awaitable[T]]
    ) -> T:
        try:
            while True:
                try:
                    answer = await use(self._ask(rescue, args, kwargs))
                    return self._answered(rescue, answer)
                except Exception as error:
                    if not rescue.failed(error):
                        raise
        finally:
            self._end(rescue)

    def _ask(self, rescue: Rescue, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._links[rescue.link](rescue.first, args, kwargs)

    def _answered(self, rescue: Rescue, answer: T) -> T:
        if rescue.link < len(self._functions) and not isinstance(answer, (Opened, AsyncOpened, Finished)):
            self._check_result(answer)
        rescue.succeeded()
        return answer

    def _end(self, rescue: Rescue) -> None:
        with self._lock:
            self._engine.ended(rescue)
        now, first = self._clock.now(), type(rescue.first).__name__
        match rescue.answered:
            case True:
                self._bus.emit(FallbackUsed, source=self.name, at=now, link=rescue.link + 1, error=first)
            case False:
                last, told = type(rescue.error).__name__, ", ".join(rescue.earlier)
                note(rescue.error, f"outlast {self.name}:", f" the last fallback failed with this, after {told}")
                self._bus.emit(FallbackFailed, source=self.name, at=now, error=first, last=last)
            case None:
                pass

    def guard(self) -> NoReturn:
        """Refuse: a block has no answer in whose place another could be given.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("Fallback answers in place of a call, and a with block has no answer")

    def worst(self, inner: Worst) -> Worst:
        """Return what it is given for a value; how long a function takes nobody knows.

        Args:
            inner: The worst of one call of what it wraps.
        """
        return Worst(math.inf, inner.calls) if self._functions else inner

    def describe(self) -> str:
        """Say in one line what it does."""
        names = [getattr(fn, "__qualname__", repr(fn)) for fn in self._functions]
        return f"fallback {self.name!r}: {', then '.join([*names, *(['a value'] if self._has_value else [])])}"

    def snapshot(self) -> FallbackSnapshot:
        """Return how calls have ended."""
        with self._lock:
            return self._engine.snapshot()

    def __repr__(self) -> str:
        """Show the fallbacks and the counts."""
        return f"Fallback({self.describe()!r}, {self.snapshot()!r})"


def _functions(function: Functions | None) -> tuple[AnyFunction, ...]:
    if function is None:
        return ()
    if callable(function):
        return (function,)
    given: Any = function
    if not isinstance(given, Iterable):
        raise ConfigError(f"must be a function, or a list of them, not {given!r}", path="function")
    return tuple(function)


def _is_ours(listed: bool | None, error: Exception) -> bool:  # noqa: FBT001
    if isinstance(error, CancelledError):
        return False
    return classify(error).category is not Category.INVALID_INPUT if listed is None else listed


def _opened(answer: Any) -> Opened | Finished:
    return open_stream(items_of, (answer,), {})


async def _aopened(answer: Any) -> AsyncOpened | Finished:
    return await aopen_stream(aitems_of, (await awaited(answer),), {})
