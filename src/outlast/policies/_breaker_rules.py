"""Trip and recovery rules as plain values, for configuration files: read, and written back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from outlast.config import check_known, parse_duration, suggest
from outlast.engines import (
    AnyOf,
    ConsecutiveFailures,
    FailureRate,
    FailuresWithin,
    GradedRecovery,
    HalfOpen,
    LeakyFailures,
    RecoveryRule,
    ResetAfterCooldown,
    SlowCalls,
    TripRule,
)
from outlast.errors import ConfigError

TRIP_RULES: dict[str, Any] = {
    "consecutive_failures": ConsecutiveFailures,
    "failures_within": FailuresWithin,
    "leaky_failures": LeakyFailures,
    "failure_rate": FailureRate,
    "slow_calls": SlowCalls,
}
RECOVERY_RULES: dict[str, Any] = {
    "half_open": HalfOpen,
    "reset_after_cooldown": ResetAfterCooldown,
    "graded_recovery": GradedRecovery,
}
_DURATIONS = frozenset({"seconds", "over_seconds", "slower_than", "probe_expires_after"})
_SHARES = frozenset({"rate", "success_ratio", "start"})
_OUR_PATHS = ("recovery.", "failure_")  # what the rules' own checks put before a field's name


def rule_from(plain: Any, path: str = "trip") -> TripRule:
    """Return the trip rule that plain values describe.

    Durations may be text such as `30s`, shares text such as `50%`. Several rules together open the circuit
    when any of them does.

    Args:
        plain: A mapping from rule to its settings, or a list of such mappings. A single number stands for
            the rule's first setting.
        path: Where it stands in the configuration, for errors.

    Raises:
        ConfigError: It is none; the error has the path, and a suggestion for a mistyped word.

    >>> rule_from({"consecutive_failures": 3})
    ConsecutiveFailures(threshold=3)
    >>> rule_from({"failure_rate": {"rate": "50%", "over_seconds": "30s"}, "leaky_failures": 9}) == (
    ...     FailureRate(0.5, over_seconds=30.0) | LeakyFailures(9)
    ... )
    True
    """
    parts: list[TripRule]
    if _is_list(plain):
        parts = [rule_from(part, f"{path}[{number}]") for number, part in enumerate(plain)]
    else:
        parts = [_made(TRIP_RULES, name, value, path) for name, value in _mapping(plain, path, TRIP_RULES).items()]
    flat = [leaf for part in parts for leaf in (part.rules if isinstance(part, AnyOf) else (part,))]
    return flat[0] if len(flat) == 1 else AnyOf(tuple(flat))


def recovery_from(plain: Any, path: str = "recovery") -> RecoveryRule:
    """Return the recovery rule that plain values describe; as `rule_from`, but of one rule only.

    >>> recovery_from({"graded_recovery": {"over_seconds": "1m"}})
    GradedRecovery(over_seconds=60.0, start=0.1)
    >>> recovery_from("reset_after_cooldown")
    ResetAfterCooldown()
    """
    found = _mapping({plain: {}} if isinstance(plain, str) else plain, path, RECOVERY_RULES)
    if len(found) != 1:
        raise ConfigError(f"takes one rule, not {len(found)}: {', '.join(found)}", path=path)
    ((name, value),) = found.items()
    rule: RecoveryRule = _made(RECOVERY_RULES, name, value, path)
    return rule


def rule_to_plain(rule: object) -> dict[str, Any] | list[dict[str, Any]]:
    """Return a rule as plain values, from which `rule_from` or `recovery_from` makes an equal one.

    Raises:
        ConfigError: It is a rule of somebody else's.

    >>> rule_to_plain(FailuresWithin(10, 60.0) | SlowCalls(0.5, slower_than=1.0, over_calls=50))
    [{'failures_within': {'threshold': 10, 'seconds': 60.0}},
     {'slow_calls': {'rate': 0.5, 'slower_than': 1.0, 'over_calls': 50}}]
    """
    if isinstance(rule, AnyOf):
        return [_plain(part) for part in rule.rules]
    return _plain(rule)


def _plain(rule: Any) -> dict[str, Any]:
    for name, kind in {**TRIP_RULES, **RECOVERY_RULES}.items():
        if isinstance(rule, kind):
            values = {field.name: getattr(rule, field.name) for field in dataclasses.fields(rule)}
            return {name: {key: value for key, value in values.items() if value is not None}}
    raise ConfigError(f"{rule!r} has no plain form; only the rules of outlast have")


def _is_mapping(plain: Any) -> bool:
    return isinstance(plain, Mapping)


def _is_list(plain: Any) -> bool:
    return plain != [] and isinstance(plain, list)


def _mapping(plain: Any, path: str, known: Mapping[str, Any]) -> Mapping[str, Any]:
    if not _is_mapping(plain) or not plain:
        raise ConfigError(f"must map a rule to its settings, not {plain!r}; there are: {', '.join(known)}", path=path)
    for name in plain:
        if name not in known:
            near = suggest(str(name), known)
            raise ConfigError(f"unknown rule; there are: {', '.join(known)}", path=f"{path}.{name}", suggestion=near)
    rules: Mapping[str, Any] = plain
    return rules


def _made(kinds: Mapping[str, Any], name: str, plain: Any, path: str) -> Any:
    kind, here = kinds[name], f"{path}.{name}"
    fields = [field.name for field in dataclasses.fields(kind)]
    if fields and not _is_mapping(plain):
        plain = {fields[0]: plain}
    if not _is_mapping(plain):
        raise ConfigError(f"has no settings, so {plain!r} says nothing", path=here)
    check_known(plain, fields, path=here)
    values = {key: _value(key, value, here) for key, value in plain.items()}
    try:
        return kind(**values)
    except ConfigError as error:
        error.path = f"{here}.{_field(error.path)}"
        raise
    except TypeError:
        raise ConfigError(f"needs more settings; there are: {', '.join(fields)}", path=here) from None


def _field(path: str) -> str:
    for ours in _OUR_PATHS:
        path = path.removeprefix(ours)
    return path


def _value(name: str, value: Any, path: str) -> Any:
    if name in _DURATIONS and value is not None:
        return parse_duration(value, path=f"{path}.{name}")
    if name in _SHARES and isinstance(value, str):
        return _share(value, f"{path}.{name}")
    return value


def _share(text: str, path: str) -> float:
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        return float(number) / 100 if percent else float(number)
    except ValueError:
        raise ConfigError(f"{text!r} is no share; write such as 0.5 or 50%", path=path) from None
