"""Apply, compose and compute JSON merge patches.

In a merge patch an object changes some members of what is there, `null` removes a member, and anything else
replaces. Two patches do not always compose into one: after "remove `a`" and "set `b` within `a`" the member is
exactly `{"b": ...}`, and no merge patch says "replace by this object". Nor can one set a member to `null`.
Both are told, never approximated.

Source: RFC 7396.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from outlast.engines.json_values import is_object, same


@dataclass(frozen=True, slots=True)
class Expressed:
    """Hold the merge patch that does it.

    Args:
        patch: The patch.
    """

    patch: Any


@dataclass(frozen=True, slots=True)
class Inexpressible:
    """No merge patch can say that.

    Args:
        path: The names of the members that lead to the spot; empty for the whole.
        reason: Why not.
    """

    path: tuple[str, ...]
    reason: str


Patch = Expressed | Inexpressible

_REPLACES = "a merge patch cannot replace a member by an object"
_SETS_NULL = "a merge patch cannot set a member to null"


def apply_patch(target: Any, patch: Any) -> Any:
    """Return what a merge patch makes of a value; neither is changed.

    >>> apply_patch({"a": 1, "b": {"c": 2}}, {"a": None, "b": {"d": 3}})
    {'b': {'c': 2, 'd': 3}}
    """
    if not is_object(patch):
        return patch
    result = dict(target) if is_object(target) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply_patch(result.get(name), value)
    return result


def compose_patches(first: Any, second: Any) -> Patch:
    """Return the one patch that does what two do one after the other, whatever they are applied to.

    >>> compose_patches({"a": 1, "b": 2}, {"a": None, "c": 3})
    Expressed(patch={'a': None, 'b': 2, 'c': 3})
    >>> compose_patches({"a": None}, {"a": {"b": 1}}).path
    ('a',)
    """
    return _compose(first, second, ())


def _compose(first: Any, second: Any, path: tuple[str, ...]) -> Patch:
    if not is_object(second):
        return Expressed(second)
    if not is_object(first):
        return Inexpressible(path, _REPLACES)
    result = dict(first)
    for name, value in second.items():
        if name not in first:
            result[name] = value
            continue
        match _compose(first[name], value, (*path, name)):
            case Inexpressible() as problem:
                return problem
            case Expressed(patch=composed):
                result[name] = composed
    return Expressed(result)


def diff_patch(before: Any, after: Any) -> Patch:
    """Return the smallest patch that turns one value into another.

    >>> diff_patch({"a": 1, "b": 2}, {"b": 3})
    Expressed(patch={'a': None, 'b': 3})
    >>> diff_patch({}, {"a": None}).reason
    'a merge patch cannot set a member to null'
    """
    return _diff(before, after, ())


def _diff(before: Any, after: Any, path: tuple[str, ...]) -> Patch:
    if not is_object(after):
        # Only of the whole: a member that is to be null is found by the loop below.
        return Expressed(after)
    old = before if is_object(before) else {}
    result: dict[str, Any] = dict.fromkeys(name for name in old if name not in after)
    for name, value in after.items():
        if name in old and same(old[name], value):
            continue
        if value is None:
            return Inexpressible((*path, name), _SETS_NULL)
        match _diff(old.get(name), value, (*path, name)):
            case Inexpressible() as problem:
                return problem
            case Expressed(patch=change):
                result[name] = change
    return Expressed(result)
