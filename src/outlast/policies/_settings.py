"""Remember what a policy was made with, so that it can tell its settings, and be made afresh for another key."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from outlast.config import check_known

_SURROUNDINGS = frozenset({"bus", "clock", "name", "random", "registry"})
"""Parameters that say where a policy lives, not what it does."""


class Settings:
    """Hold the arguments of one policy by name.

    They are bound to the names only when somebody asks, so that making a policy stays cheap.

    Args:
        init: The policy's `__init__`.
        args: The positional arguments.
        kwargs: The keyword arguments.

    Thread-safe: yes; a change replaces what is held.
    """

    __slots__ = ("_args", "_changes", "_init", "_kwargs")

    def __init__(self, init: Callable[..., None], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._init = init
        self._args = args
        self._kwargs = kwargs
        self._changes: Mapping[str, Any] = {}

    def _bound(self) -> inspect.BoundArguments:
        bound = _signature(self._init).bind(None, *self._args, **self._kwargs)
        bound.arguments.update(self._changes)
        return bound

    def given(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults."""
        defaults = _signature(self._init).parameters
        return {name: value for name, value in self.all().items() if not _same(defaults[name].default, value)}

    @property
    def given_name(self) -> str | None:
        """Return the name, unless it is the default one."""
        name, parameter = self.place("name"), _signature(self._init).parameters.get("name")
        return None if parameter is None or _same(parameter.default, name) else name

    def all(self) -> dict[str, Any]:
        """Return every setting, the defaults included, by name."""
        bound = self._bound()
        bound.apply_defaults()
        return {name: value for name, value in list(bound.arguments.items())[1:] if name not in _SURROUNDINGS}

    def change(self, changes: Mapping[str, Any], instead_of: Iterable[tuple[str, str]] = ()) -> None:
        """Take over settings that were changed at run time.

        Args:
            changes: The settings by name.
            instead_of: Pairs that say the same thing; when one of a pair changes, the other is the default again.
        """
        dropped: dict[str, Any] = {}
        parameters = _signature(self._init).parameters
        changes = {name: value for name, value in changes.items() if name in parameters}
        for pair in instead_of:
            if len(changes.keys() & set(pair)) == 1:
                dropped.update({name: parameters[name].default for name in pair if name not in changes})
        self._changes = {**self._changes, **dropped, **changes}

    def check(self, names: Mapping[str, Any]) -> None:
        """Refuse settings that the policy does not have.

        Raises:
            ConfigError: One is unknown.
        """
        check_known(names, self.all())

    def arguments(self, **places: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments that make a policy of the same settings.

        Args:
            **places: What to pass instead, where the policy takes it at all.
        """
        bound = self._bound()
        known = _signature(self._init).parameters
        bound.arguments.update({name: value for name, value in places.items() if name in known})
        ordered = {name: bound.arguments[name] for name in known if name in bound.arguments}
        bound.arguments = ordered
        return bound.args[1:], bound.kwargs

    def place(self, name: str) -> Any:
        """Return one of the surroundings (`name`, `bus`, `clock`, ...), or None when the policy has it not."""
        bound = self._bound()
        bound.apply_defaults()
        return bound.arguments.get(name)


_signature = lru_cache(maxsize=256)(inspect.signature)


def _same(default: Any, value: Any) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default))
