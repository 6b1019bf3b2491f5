"""Give the items of a collection, or of another stream, as a stream of their own."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any, cast

from outlast.errors import ConfigError
from outlast.policies._relay import AsyncItems, Items


def items_of(source: Any) -> Items:
    """Yield the items of whatever can be iterated over; what a generator returns comes through.

    Raises:
        ConfigError: It cannot be.
    """
    if not isinstance(source, Iterable):
        raise ConfigError(f"a stream needs items to give, and {source!r} has none")
    return (yield from cast("Iterable[Any]", source))


async def aitems_of(source: Any) -> AsyncItems:
    """Yield the items of whatever can be iterated over, with `for` or `async for`.

    Raises:
        ConfigError: It cannot be.
    """
    if not isinstance(source, AsyncIterable):
        for item in items_of(source):
            yield item
        return
    async for item in cast("AsyncIterable[Any]", source):
        yield item
