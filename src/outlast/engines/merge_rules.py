"""What becomes of a field that two sides changed differently."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any

from outlast.engines.json_values import ABSENT, encode, identity, is_array, is_object


class Rule(StrEnum):
    """Name a way to settle a field that both sides changed."""

    OURS = "ours"
    """Our value."""
    THEIRS = "theirs"
    """Their value."""
    MAX = "max"
    """The greater of two numbers or texts; a removed one loses."""
    MIN = "min"
    """The smaller of two numbers or texts; a removed one loses."""
    UNION = "union"
    """The items of both lists, as sets; what one side took out of the base stays out."""
    ASK = "ask"
    """Nobody but a person can say; theirs stands in until then."""


@dataclass(frozen=True, slots=True)
class FieldConflict:
    """Hold the three values of a field that both sides changed.

    Args:
        path: Where it is, empty for the whole.
        base: What both began with; ABSENT if there was nothing, UNKNOWN if it was not kept.
        ours: Our value, or ABSENT.
        theirs: Their value, or ABSENT.
    """

    path: str
    base: Any
    ours: Any
    theirs: Any


FieldRule = Rule | Callable[[FieldConflict], Any]
"""A rule by name, or a pure function that returns the value, ABSENT to remove it, or a `Rule` to be followed."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A rule has found the value.

    Args:
        value: The value, or ABSENT.
        why: How, in words.
    """

    value: Any
    why: str


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A person must decide.

    Args:
        why: Why the rule could not.
    """

    why: str


def apply_rule(rule: FieldRule, conflict: FieldConflict) -> Settled | Unsettled:
    """Settle a field that both sides changed differently.

    Args:
        rule: What to do; what a function of the user raises passes through.
        conflict: The three values.

    >>> apply_rule(Rule.UNION, FieldConflict("tags", ["a", "b"], ["b"], ["a", "b", "c"])).value
    ['b', 'c']
    """
    if isinstance(rule, Rule):
        return _named(rule, conflict)
    answer = rule(conflict)
    if isinstance(answer, Rule):
        return _named(answer, conflict)
    return Settled(answer, "both sides changed it, and a function merged them")


def _named(rule: Rule, conflict: FieldConflict) -> Settled | Unsettled:
    match rule:
        case Rule.OURS:
            return Settled(conflict.ours, "both sides changed it, and the rule is ours")
        case Rule.THEIRS:
            return Settled(conflict.theirs, "both sides changed it, and the rule is theirs")
        case Rule.MAX | Rule.MIN:
            return _extreme(rule, conflict)
        case Rule.UNION:
            return _union(conflict)
        case Rule.ASK:
            return Unsettled("both sides changed it differently")


def _extreme(rule: Rule, conflict: FieldConflict) -> Settled | Unsettled:
    ours, theirs = conflict.ours, conflict.theirs
    why = f"both sides changed it, and the rule is {rule}"
    if ours is ABSENT or theirs is ABSENT:
        return Settled(theirs if ours is ABSENT else ours, f"{why}; a removed one loses")
    if not (_comparable(ours) and _comparable(theirs) and isinstance(ours, str) == isinstance(theirs, str)):
        return Unsettled(f"both sides changed it, and {rule} cannot compare the two values")
    greater = max(ours, theirs)
    return Settled(greater if rule is Rule.MAX else min(ours, theirs), why)


def _comparable(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _union(conflict: FieldConflict) -> Settled | Unsettled:
    ours, theirs = conflict.ours, conflict.theirs
    why = "both sides changed it, and the rule is union"
    if ours is ABSENT or theirs is ABSENT:
        return Settled(theirs if ours is ABSENT else ours, f"{why}; a removed one loses")
    if not (is_array(ours) and is_array(theirs)):
        return Unsettled("both sides changed it, and union needs two lists")
    base: list[Any] = conflict.base if is_array(conflict.base) else []
    in_base, in_ours, in_theirs = (set(map(identity, items)) for items in (base, ours, theirs))
    kept = [item for item in base if identity(item) in in_ours and identity(item) in in_theirs]
    # Sorted, so that the result does not depend on which side is called ours.
    added = sorted((item for item in chain(ours, theirs) if identity(item) not in in_base), key=_rank)
    return Settled(_distinct([*kept, *added]), why)


def _distinct(items: list[Any]) -> list[Any]:
    found: dict[Hashable, Any] = {}
    for item in items:
        found.setdefault(identity(item), item)
    return list(found.values())


def _rank(item: Any) -> tuple[str, float, bytes]:
    # 1 and 1.0 are one item and must stand at one place; objects are equal in any order of their members.
    if isinstance(item, int | float):
        return type(item).__name__ if isinstance(item, bool) else "number", item, b""
    return type(item).__name__, 0.0, encode(_sorted(item))


def _sorted(value: Any) -> Any:
    if is_object(value):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return list(map(_sorted, value)) if is_array(value) else value
