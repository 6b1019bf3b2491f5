"""Hand events to who waits for them, and make the feed wait for who is slow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self

from outlast.sync_engine._feed_records import FeedEvent


class FeedMessages:
    """Iterate over the events of a feed as they are stored.

    The feed waits for a reader that is behind by as much as it may be: it stops reading its socket, and what the server
    then drops is pulled later. Nothing is skipped while the reader is there. Thread-safe: no.

    Args:
        max_buffer: Events that may lie here unread.
        over: Returns why no event will come, or None while some may; a feed may have ended before its reader came.
    """

    def __init__(self, max_buffer: int, over: Callable[[], BaseException | None]) -> None:
        self._max = max_buffer
        self._over = over
        self._events: deque[FeedEvent] = deque()
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._ended = False
        self._failure: BaseException | None = None

    async def put(self, event: FeedEvent) -> None:
        """Add an event, once there is room; after the end it is dropped."""
        while len(self._events) >= self._max and not self._ended:
            self._writable.clear()
            await self._writable.wait()
        if not self._ended:
            self._events.append(event)
            self._readable.set()

    def end(self, failure: BaseException | None = None) -> None:
        """Let the reader finish what lies here, and nobody wait any longer.

        Args:
            failure: What the reader is told then, or None.
        """
        if not self._ended:
            self._ended, self._failure = True, failure
            self._readable.set()
            self._writable.set()

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> FeedEvent:
        """Wait for the next event; raises what the feed has failed with.

        Cancel: no event is lost by it.
        """
        while not self._events:
            if self._ended:
                raise self._failure or StopAsyncIteration
            over = self._over()
            if over is not None:
                raise over
            self._readable.clear()
            await self._readable.wait()
        self._writable.set()
        return self._events.popleft()
