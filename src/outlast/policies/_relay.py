"""Pass on what a generator yields, returns, is sent and has thrown into it, with a policy around it.

Each policy names what it puts around the whole stream, around its opening (up to the first item), or
around each later step; the relaying itself is written once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from outlast.policies._shape import AnyFunction

Items = Generator[Any, Any, Any]
AsyncItems = AsyncGenerator[Any, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """The generator ended before its first item."""

    value: Any = None


@dataclass(frozen=True, slots=True)
class Opened:
    """The generator gave its first item."""

    items: Items
    first: Any


@dataclass(frozen=True, slots=True)
class AsyncOpened:
    """The async generator gave its first item."""

    items: AsyncItems
    first: Any


def open_stream(fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Opened | Finished:
    """Start a generator and take its first item."""
    items: Items = fn(*args, **kwargs)
    try:
        return Opened(items, next(items))
    except StopIteration as stop:
        return Finished(stop.value)


async def aopen_stream(fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncOpened | Finished:
    """Start an async generator and take its first item."""
    items: AsyncItems = fn(*args, **kwargs)
    try:
        return AsyncOpened(items, await anext(items))
    except StopAsyncIteration:
        return Finished()


def relay(
    fn: AnyFunction,
    *,
    whole: Callable[[], AbstractContextManager[Any]] = nullcontext,
    opening: Callable[..., Opened | Finished] = open_stream,
    step: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> AnyFunction:
    """Return a generator function that relays `fn`.

    Args:
        fn: The generator function.
        whole: Entered for the length of the stream.
        opening: Starts the stream; called like `open_stream`.
        step: Entered for each item after the first.
    """

    def relayed(*args: Any, **kwargs: Any) -> Items:
        with whole():
            match opening(fn, args, kwargs):
                case Finished(value=value):
                    return value
                case Opened(items=items, first=first):
                    return (yield from _rest(items, first, step))

    return relayed


def _rest(items: Items, item: Any, step: Callable[[], AbstractContextManager[Any]]) -> Items:
    try:
        while True:
            try:
                sent = yield item
            except GeneratorExit:
                raise
            except BaseException as error:
                move = partial(items.throw, error)
            else:
                move = partial(items.send, sent)
            with step():
                item = move()
    except StopIteration as stop:
        return stop.value
    finally:
        items.close()


def arelay(
    fn: AnyFunction,
    *,
    whole: Callable[[], AbstractAsyncContextManager[Any]] = nullcontext,
    opening: Callable[..., Awaitable[AsyncOpened | Finished]] = aopen_stream,
    step: Callable[[], AbstractAsyncContextManager[Any]] = nullcontext,
) -> AnyFunction:
    """Return an async generator function that relays `fn`; the twin of `relay`.

    Cancel: the generator behind is closed before the cancellation goes on.
    """

    async def relayed(*args: Any, **kwargs: Any) -> AsyncItems:
        async with whole():
            opened = await opening(fn, args, kwargs)
            if isinstance(opened, Finished):
                return
            items, item = opened.items, opened.first
            try:
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        move = partial(items.athrow, error)
                    else:
                        move = partial(items.asend, sent)
                    async with step():
                        item = await move()
            except StopAsyncIteration:
                return
            finally:
                await items.aclose()

    return relayed
