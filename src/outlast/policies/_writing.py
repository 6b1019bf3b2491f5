"""Write policies down as the plain values from which `_build` makes them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any, cast

from outlast.config import join
from outlast.engines import AnyOf
from outlast.errors import ConfigError
from outlast.policies._breaker_rules import RECOVERY_RULES, TRIP_RULES
from outlast.policies._budget import RetryBudget
from outlast.policies._lint import kind_of
from outlast.policies._policy import Policy
from outlast.policies._reading import is_list, is_mapping, parameters, snake


def write(policies: Sequence[Policy], path: str) -> list[dict[str, Any]]:
    """Return policies as a list of mappings with one key each, outermost first.

    Only what differs from a default is written; a first setting that is the only one stands alone.

    Args:
        policies: The policies.
        path: What they are called, for errors.

    Raises:
        ConfigError: Something about one cannot be written down, such as a function.
    """
    return [_policy(policy, join(path, place)) for place, policy in enumerate(policies)]


def can_be_written(value: Any) -> bool:
    """Tell whether a configuration could say a setting."""
    try:
        _plain(value, "")
    except ConfigError:
        return False
    return True


def _policy(policy: Policy, path: str) -> dict[str, Any]:
    kind = kind_of(policy)
    if kind == "pipeline":
        return {kind: policy.given_name}
    path = join(path, kind)
    settings = policy.settings(defaults=False)
    name = policy.given_name
    if name is not None:
        settings = {"name": name, **settings}
    plain = {key: _plain(value, join(path, key)) for key, value in settings.items()}
    return {kind: _shortest(plain, next(iter(parameters(type(policy))), None))}


def _shortest(settings: dict[str, Any], first: str | None) -> Any:
    if not settings:
        return None
    alone = list(settings) == [first]
    value = next(iter(settings.values()))
    return value if alone and not isinstance(value, Mapping) and value is not None else settings


def _plain(value: Any, path: str) -> Any:
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if is_list(value):
        return [_plain(item, join(path, place)) for place, item in enumerate(value)]
    if is_mapping(value):
        return {key: _plain(item, join(path, key)) for key, item in value.items()}
    if isinstance(value, type) and issubclass(value, BaseException):
        return value.__name__
    if isinstance(value, RetryBudget):
        return _fields(value.config, path)
    if is_dataclass(cast("object", value)):
        return _part(value, path)
    raise ConfigError(f"{value!r} cannot be written down; it can only be given in code", path=path)


def _part(value: Any, path: str) -> Any:
    if isinstance(value, AnyOf):
        each = [_rule(rule, path) for rule in value.rules]
        merged = {name: body for rule in each for name, body in rule.items()}
        return merged if len(merged) == len(each) else each
    if isinstance(value, (*TRIP_RULES.values(), *RECOVERY_RULES.values())):
        rule = _rule(value, path)
        name, body = next(iter(rule.items()))
        return rule if body else name
    return _fields(value, path)  # in full: what stands alone may mean another thing, as in `backoff: 2`


def _rule(rule: Any, path: str) -> dict[str, Any]:
    first = fields(rule)[0].name if fields(rule) else None
    settings = _fields(rule, path)
    return {snake(type(rule).__name__): _shortest(settings, first) if settings else {}}


def _fields(value: Any, path: str) -> dict[str, Any]:
    """Return the fields of a part that differ from their defaults."""
    result: dict[str, Any] = {}
    for field in fields(value):
        default = field.default if field.default is not MISSING else None
        held = getattr(value, field.name)
        if field.init and (field.default is MISSING or held != default):
            result[field.name] = _plain(held, join(path, field.name))
    return result
