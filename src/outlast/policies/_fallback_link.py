"""What a fallback asks in place of the call: a function, which is given what it takes, or a value."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from outlast.errors import ConfigError
from outlast.policies._shape import AnyFunction, Shape, shape_of

_MANY = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}

Link = Callable[[Exception, tuple[Any, ...], dict[str, Any]], Any]
"""Gives a fallback's answer: from the error, the call's arguments and its keyword arguments."""


def link_of(fn: AnyFunction) -> Link:
    """Return the link that calls `fn` with as much as it takes.

    One that takes nothing is called with nothing, one with a single parameter that must be given gets the
    error, and one with more, or with `*args` or `**kwargs`, the error and then the call's arguments.
    Parameters with a default do not count: they are not meant for the call's arguments.
    """
    shape_of(fn)
    try:
        parameters = inspect.signature(fn).parameters.values()
    except ValueError:  # some built-in functions have no signature
        return partial(_with_error, fn)
    needed = sum(parameter.default is parameter.empty for parameter in parameters)
    if needed > 1 or any(parameter.kind in _MANY for parameter in parameters):
        return partial(_with_all, fn)
    return partial(_with_error if parameters else _with_nothing, fn)


def value_link(value: Any) -> Link:
    """Return the link that gives a value."""
    return partial(_constant, value)


def _constant(value: Any, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    del error, args, kwargs
    return value


def _with_nothing(fn: AnyFunction, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    del error, args, kwargs
    return fn()


def _with_error(fn: AnyFunction, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    del args, kwargs
    return fn(error)


def _with_all(fn: AnyFunction, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return fn(error, *args, **kwargs)


def check_sync(functions: tuple[AnyFunction, ...], fn: AnyFunction) -> None:
    """Refuse async fallbacks for a function that is not, before an outage finds them.

    Raises:
        ConfigError: One cannot be called from sync code.
    """
    for fallback in functions:
        if shape_of(fallback) in {Shape.ASYNC, Shape.ASYNC_GENERATOR}:
            raise ConfigError(f"{fn!r} is sync, so it cannot await the fallback {fallback!r}", path="function")
