"""Read one setting from plain values, by the annotation of the argument that it is for.

So a policy can be configured as soon as it exists, and what a configuration may say is what its constructor
takes: numbers, durations such as `30s`, shares such as `50%`, words, rules by their names, exceptions by
theirs. Functions and other objects are given in code.
"""

from __future__ import annotations

import builtins
import inspect
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from enum import Enum
from typing import Any, Literal, TypeGuard, Union, get_args, get_origin, get_type_hints

import outlast.errors
from outlast.config import check_known, join, parse_duration, suggest
from outlast.engines import HalfOpen, TripRule
from outlast.errors import ConfigError
from outlast.policies._breaker_rules import recovery_from, rule_from
from outlast.policies._budget import RetryBudget
from outlast.policies._hedge_run import HedgeBudget

_STANDS_FOR: dict[Any, Any] = {HedgeBudget: RetryBudget}
_LISTS = frozenset({tuple, Sequence, Iterable})
_MADE_BY_NAME = (RetryBudget,)
_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class _NotThisError(Exception):
    """The value is not of this kind; the text says what it would have to be."""


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    """Tell whether a plain value is a list."""
    return isinstance(value, (list, tuple))


def is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Tell whether a plain value is a mapping."""
    return isinstance(value, Mapping)


def snake(name: str) -> str:
    """Return `SlowCalls` as `slow_calls`."""
    return _WORD.sub("_", name).lower()


def parameters(kind: Callable[..., Any]) -> dict[str, Any]:
    """Return the arguments that something is made with, by name, each with its annotation."""
    init: Any = inspect.getattr_static(kind, "__init__")
    hints = get_type_hints(init)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = list(inspect.signature(init).parameters.values())[1:]
    return {parameter.name: hints.get(parameter.name, Any) for parameter in known if parameter.kind in named}


def make(kind: Callable[..., Any], body: Any, path: str, **places: Any) -> Any:
    """Make a policy, a rule or another part from plain values.

    Args:
        kind: Its class.
        body: Its settings by name; or the first of them alone; or None for the defaults.
        path: Where they stand, for errors.
        **places: Clock, bus and the like, passed on where they are taken.

    Raises:
        ConfigError: A setting is unknown, of the wrong type or out of range, or one is missing.
    """
    known = parameters(kind)
    settable = [name for name in known if name not in places]
    settings = _by_name(body, settable, path)
    check_known(settings, settable, path=path)
    given = {name: read(known[name], value, join(path, name)) for name, value in settings.items()}
    taken = {name: value for name, value in places.items() if name in known}
    _refuse_missing(kind, given, path)
    try:
        return kind(**given, **taken)
    except ConfigError as error:
        error.path = _within(path, error.path, settings)
        raise


def _refuse_missing(kind: Callable[..., Any], given: Mapping[str, Any], path: str) -> None:
    needed = [
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.default is inspect.Parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    missing = [name for name in needed if name not in given]
    if missing:
        raise ConfigError(f"needs {' and '.join(missing)}", path=path)


def _by_name(body: Any, settable: Sequence[str], path: str) -> Mapping[str, Any]:
    if body is None:
        return {}
    if is_mapping(body):
        return body
    if not settable:
        raise ConfigError(f"takes no settings, not {body!r}", path=path)
    return {settable[0]: body}


def _within(path: str, inner: str, settings: Mapping[str, Any]) -> str:
    """Return the whole path of an error whose own path begins somewhere below, or with the part's own name."""
    if not inner:
        return path
    steps = inner.split(".")
    while steps and steps[0] not in settings and len(steps) > 1:
        steps.pop(0)
    return join(path, ".".join(steps)) if steps[0] in settings else path


def read(hint: Any, value: Any, path: str) -> Any:
    """Return a value as what an annotation asks for.

    Args:
        hint: The annotation, resolved.
        value: The plain value.
        path: Where it stands, for errors.

    Raises:
        ConfigError: It is not that.
    """
    options = _options(hint)
    if value is not None and TripRule in options:
        return rule_from({value: {}} if isinstance(value, str) else value, path)
    if value is not None and HalfOpen in options:
        return recovery_from(value, path)
    problems: list[str] = []
    for option in options:
        try:
            return _read_one(option, value, path)
        except _NotThisError as problem:
            problems.append(str(problem))
    wanted = [problem for problem in dict.fromkeys(problems) if problem]
    if not wanted:
        raise ConfigError("is an object, which only code can give", path=path)
    raise ConfigError(f"must be {' or '.join(wanted)}, not {value!r}", path=path, suggestion=_near(hint, value))


def _options(hint: Any) -> list[Any]:
    members = get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)
    return sorted(members, key=_rank)


def _rank(option: Any) -> int:
    """Say how late something is tried: a part takes a lone value as its first setting, and a text takes any word."""
    if option is str:
        return 3
    if option in _PLAIN or _words(option) or get_origin(option) is Literal:
        return 0
    return 1 if get_origin(option) in {*_LISTS, type} else 2


def _words(option: Any) -> list[str]:
    if get_origin(option) is Literal:
        return [word for word in get_args(option) if isinstance(word, str)]
    return [str(member.value) for member in option] if isinstance(option, type) and issubclass(option, Enum) else []


def _near(hint: Any, value: Any) -> str:
    words = [word for option in _options(hint) for word in _words(option)]
    return suggest(value, words) if isinstance(value, str) else ""


def _read_one(option: Any, value: Any, path: str) -> Any:
    option = _STANDS_FOR.get(option, option)
    if option is Any or (option is type(None) and value is None):
        return value
    if option in _PLAIN:
        return _PLAIN[option](value)
    if _words(option) or get_origin(option) is Literal:
        return _word(option, value)
    if get_origin(option) in _LISTS:
        return _several(option, value, path)
    if get_origin(option) is type:
        return _exception(value)
    return _part(option, value, path)


def _word(option: Any, value: Any) -> Any:
    if get_origin(option) is Literal:
        if any(value is word or (isinstance(word, str) and value == word) for word in get_args(option)):
            return value
        raise _NotThisError(" or ".join(str(word) for word in get_args(option)))
    try:
        return option(value)
    except ValueError:
        raise _NotThisError(" or ".join(_words(option))) from None


def _several(option: Any, value: Any, path: str) -> tuple[Any, ...]:
    inner = get_args(option)
    if not is_list(value):
        raise _NotThisError("a list of them" if get_origin(inner[0]) is type else "a list")
    alike = inner[-1] is Ellipsis or get_origin(option) is not tuple
    kinds = [inner[0]] * len(value) if alike else inner
    if len(kinds) != len(value):
        raise _NotThisError(f"a list of {len(kinds)}")
    return tuple(
        read(kind, item, join(path, place)) for place, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _exception(value: Any) -> type[BaseException]:
    found = None
    if isinstance(value, str):
        found = getattr(builtins, value, None) or getattr(outlast.errors, value, None)
    if isinstance(found, type) and issubclass(found, BaseException):
        return found
    raise _NotThisError("the name of an exception of Python or of outlast.errors")


def _part(option: Any, value: Any, path: str) -> Any:
    if not isinstance(option, type) or not (is_dataclass(option) or option in _MADE_BY_NAME):
        raise _NotThisError("")
    return make(option, value, path)


def _number(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        if (percent := _PERCENT.fullmatch(value)) is not None:
            return float(percent[1]) / 100
        try:
            return parse_duration(value)
        except ConfigError:
            pass
    raise _NotThisError("a number, a duration such as 30s or a share such as 50%")


def _count(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _NotThisError("a whole number")


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _NotThisError("true or false")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _NotThisError("a text")


_PLAIN: dict[Any, Callable[[Any], Any]] = {float: _number, int: _count, bool: _truth, str: _text}
