"""Give the items of a collection, or of another stream, as a stream of their own."""

from __future__ import annotations

from typing import Any, cast

from outlast.errors import ConfigError
from outlast.policies._relay import AsyncItems, Items


def items_of(source: Any) -> Items:
    """Yield the items of whatever can be iterated over; what a generator returns comes through.

    Raises:
        ConfigError: It cannot be.
    """
    if not _has(source, "__iter__"):
        raise ConfigError(f"a stream needs items to give, and {source!r} has none")
    return cast("Any", (yield from source))


async def aitems_of(source: Any) -> AsyncItems:
    """Yield the items of whatever can be iterated over, with `for` or `async for`.

    Raises:
        ConfigError: It cannot be.
    """
    if not _has(source, "__aiter__"):
        for item in items_of(source):
            yield item
        return
    async for item in source:
        yield item


def _has(source: object, method: str) -> bool:
    return hasattr(type(source), method)
