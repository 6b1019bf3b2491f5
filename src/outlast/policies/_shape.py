"""Tell sync, async, generator and async generator functions apart; the only place that does."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from enum import Enum
from types import CodeType, FunctionType, GeneratorType
from typing import Any, Protocol

from outlast.errors import ConfigError

AnyFunction = Callable[..., Any]

# Results of these types are judged at once; any other is asked whether it can be awaited.
PLAIN = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict, set, frozenset})


class Shape(Enum):
    """Name what calling a function gives."""

    SYNC = "sync"
    ASYNC = "async"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"


_BY_FLAG = {
    inspect.CO_COROUTINE: Shape.ASYNC,
    inspect.CO_GENERATOR: Shape.GENERATOR,
    inspect.CO_ASYNC_GENERATOR: Shape.ASYNC_GENERATOR,
}
_FLAGS = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


class Wraps(Protocol):
    """Put something around a function of each shape."""

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value, or sometimes an awaitable."""
        ...

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""
        ...

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function."""
        ...

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function."""
        ...


def shape_of(fn: AnyFunction) -> Shape:
    """Say what calling `fn` gives, looking through partials and at the `__call__` of objects.

    A function that returns an awaitable without saying so (a lambda, a cached coroutine function)
    counts as SYNC; its result is looked at when it is there.

    Raises:
        ConfigError: It cannot be called.

    >>> shape_of(functools.partial(len)), shape_of(inspect.isawaitable)
    (<Shape.SYNC: 'sync'>, <Shape.SYNC: 'sync'>)
    """
    if isinstance(fn, FunctionType) and not fn.__dict__:
        return _BY_FLAG.get(fn.__code__.co_flags & _FLAGS, Shape.SYNC)  # the usual case, and the quick way
    if not callable(fn):
        raise ConfigError(f"needs a function or another callable, not {fn!r}")
    while isinstance(fn, functools.partial):
        fn = fn.func
    candidates = (fn,) if inspect.isroutine(fn) else (fn, inspect.getattr_static(type(fn), "__call__"))
    for candidate in candidates:
        if inspect.iscoroutinefunction(candidate):
            return Shape.ASYNC
        if inspect.isasyncgenfunction(candidate):
            return Shape.ASYNC_GENERATOR
        if inspect.isgeneratorfunction(candidate):
            return Shape.GENERATOR
    return Shape.SYNC


def wrap(policy: Wraps, fn: AnyFunction) -> AnyFunction:
    """Put a policy around a function, by its shape."""
    match shape_of(fn):
        case Shape.SYNC:
            return policy.wrap_sync(fn)
        case Shape.ASYNC:
            return policy.wrap_async(fn)
        case Shape.GENERATOR:
            return policy.wrap_generator(fn)
        case Shape.ASYNC_GENERATOR:
            return policy.wrap_async_generator(fn)


def as_async(fn: AnyFunction) -> AnyFunction:
    """Return a coroutine function that does what `fn` does and awaits its result if it can be awaited.

    Raises:
        ConfigError: It is a generator function, whose items nobody would get.
    """
    match shape_of(fn):
        case Shape.ASYNC:
            return fn
        case Shape.SYNC:
            return _awaiting(fn)
        case Shape.GENERATOR | Shape.ASYNC_GENERATOR as shape:
            raise ConfigError(f"acall() awaits one result; use call() or the decorator for this {shape.value} function")


def _awaiting(fn: AnyFunction) -> AnyFunction:
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        result = fn(*args, **kwargs)
        return await result if is_awaitable(result) else result

    return awaited


def is_awaitable(result: object) -> bool:
    """Tell whether a result can be awaited."""
    kind = type(result)
    if kind in PLAIN:
        return False
    return hasattr(kind, "__await__") or (isinstance(result, GeneratorType) and _is_coroutine_code(result.gi_code))


def _is_coroutine_code(code: CodeType) -> bool:
    return bool(code.co_flags & inspect.CO_ITERABLE_COROUTINE)


def after_first(first: Awaitable[Any], fn: AnyFunction) -> AnyFunction:
    """Return a coroutine function whose first call awaits what `fn` gave already, and each later one calls `fn`.

    It lets a policy that learns only from a result that it must be awaited hand over to its async form.
    """
    given = [first]

    async def again(*args: Any, **kwargs: Any) -> Any:
        return await (given.pop() if given else fn(*args, **kwargs))

    return again
