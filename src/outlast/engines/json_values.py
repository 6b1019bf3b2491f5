"""JSON as plain Python values: what counts as equal, what is not there, and bodies that change as little as possible.

Two things that Python blurs are kept apart: `true` is not 1, and a member that is `null` is not a member
that is absent.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from enum import Enum
from typing import Any, Final, Literal, TypeGuard


class Nothing(Enum):
    """Name the two ways in which there can be no value."""

    ABSENT = "absent"
    """It is known that there is nothing."""
    UNKNOWN = "unknown"
    """Nobody knows what there is or was."""

    def __repr__(self) -> str:
        """Return the name."""
        return self.name


ABSENT: Final = Nothing.ABSENT
UNKNOWN: Final = Nothing.UNKNOWN
Absent = Literal[Nothing.ABSENT]

_KEPT_DIGITS: Final = 15
"""Every decimal number of so many digits survives being a float (IEEE 754 binary64)."""


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Tell whether a value is a JSON object."""
    return isinstance(value, dict)


def is_array(value: Any) -> TypeGuard[list[Any]]:
    """Tell whether a value is a JSON array."""
    return isinstance(value, list)


def same(a: Any, b: Any) -> bool:
    """Tell whether two JSON values are equal; numbers are by value, and `true` is no number.

    >>> same({"n": 1}, {"n": 1.0}), same(True, 1), same(None, ABSENT)
    (True, False, False)
    """
    if is_object(a) and is_object(b):
        return a.keys() == b.keys() and all(same(value, b[name]) for name, value in a.items())
    if is_array(a) and is_array(b):
        return len(a) == len(b) and all(map(same, a, b))
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def identity(value: Any) -> Hashable:
    """Return what two JSON values have in common exactly if they are the `same`, to find one among many.

    >>> identity({"n": 1, "t": [None]}) == identity({"t": [None], "n": 1.0}), identity(True) == identity(1)
    (True, False)
    """
    if is_object(value):
        return frozenset((name, identity(member)) for name, member in value.items())
    if is_array(value):
        return tuple(map(identity, value))
    return isinstance(value, bool), value


def decode(body: bytes) -> Any:
    """Return the value of a JSON body.

    Raises:
        ValueError: It is no JSON, or it has a number that would lose digits.
    """
    try:
        return json.loads(body, parse_float=_faithful, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def encode(value: Any) -> bytes:
    """Return a value as a JSON body, without spaces.

    Raises:
        ValueError: It holds what JSON has no form for.
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, RecursionError) as error:
        raise ValueError(f"it cannot be written as JSON: {error}") from error


def _faithful(text: str) -> float:
    mantissa = text.lower().partition("e")[0]
    digits = mantissa.replace(".", "").lstrip("-0")
    number = float(text)
    if len(digits) > _KEPT_DIGITS or number in {float("inf"), float("-inf")} or (digits and not number):
        raise ValueError(f"the number {text} would lose digits")
    return number


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
