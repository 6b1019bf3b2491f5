"""Compare what a write wanted an entity to hold with what the server holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

_Object = Mapping[str, Any]
_Array = Sequence[Any]


def holds(found: bytes, wanted: bytes, *, patch: bool = False) -> bool:
    """Tell whether an entity holds everything that a write wanted it to hold.

    Members that the server added count for nothing; every member that was sent must be there with the
    same value, and lists must be equal item by item. What is not JSON is compared byte for byte.

    Args:
        found: The entity as the server shows it.
        wanted: The body that was sent.
        patch: Whether `wanted` is a merge patch, in which `null` means that the member is gone.

    >>> holds(b'{"id": 1, "name": "a"}', b'{"name": "a"}')
    True
    >>> holds(b'{"name": "a"}', b'{"name": "b"}')
    False
    """
    try:
        return _holds(json.loads(found), json.loads(wanted), patch=patch)
    except (ValueError, RecursionError):
        return found == wanted


def _holds(found: Any, wanted: Any, *, patch: bool) -> bool:
    if isinstance(found, dict) and isinstance(wanted, dict):
        return _holds_members(cast("_Object", found), cast("_Object", wanted), patch=patch)
    if isinstance(found, list) and isinstance(wanted, list):
        return _holds_items(cast("_Array", found), cast("_Array", wanted))
    # In Python True == 1, in JSON it is not.
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)


def _holds_members(found: _Object, wanted: _Object, *, patch: bool) -> bool:
    return all(
        name not in found if patch and value is None else name in found and _holds(found[name], value, patch=patch)
        for name, value in wanted.items()
    )


def _holds_items(found: _Array, wanted: _Array) -> bool:
    return len(wanted) == len(found) and all(_holds(f, w, patch=False) for f, w in zip(found, wanted, strict=True))
