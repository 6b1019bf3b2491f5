"""The rungs of a feed that are plain HTTP: a stream of events, a request that is held, and nothing but pulls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Protocol

from outlast.engines.feed_records import Rung, Trouble
from outlast.engines.sse import ServerSentEvent, SseParser
from outlast.sync_engine._feed_http import FeedHttp
from outlast.sync_engine._feed_records import HINT, FeedEvent, FeedFormat, FeedPage, Position
from outlast.sync_engine._feed_trouble import RungError

_NOT_HELD: Final = 3
"""Answers in a row that came at once and brought nothing, after which the server is taken to hold no requests."""


class Line(Protocol):
    """Be an open rung."""

    async def receive(self, position: Position) -> Sequence[FeedEvent] | FeedPage:
        """Wait for a sign of life and return what was pushed with it, perhaps nothing.

        Raises:
            RungError: The connection is lost, or the server asks to come later.
            RefusedError: The credentials are refused.
        """
        ...

    async def aclose(self) -> None:
        """Close the connection."""
        ...


def read_push(form: FeedFormat, data: str | bytes, event_id: str = "") -> FeedEvent:
    """Return a pushed event; one that cannot be read is a hint to pull."""
    try:
        return form.push(data, event_id)
    except (ValueError, RecursionError):
        return HINT


class PollLine:
    """Say nothing ever; the ladder pulls from time to time."""

    async def receive(self, position: Position) -> Sequence[FeedEvent] | FeedPage:
        """Wait without end."""
        del position
        await asyncio.get_running_loop().create_future()
        return ()

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""


class LongPollLine:
    """Ask with a request that the server holds until there is something.

    Args:
        http: The client.
        hold: Seconds that the server may hold it.
    """

    def __init__(self, http: FeedHttp, hold: float) -> None:
        self._http = http
        self._hold = hold
        self._not_held = 0

    async def receive(self, position: Position) -> Sequence[FeedEvent] | FeedPage:
        """Wait for the answer to one held request."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        page = await self._http.pull(position, hold=self._hold)
        # The same events again are no news: a server may know nothing of cursors.
        news = bool(page.events) and page.cursor not in {None, position.cursor}
        held = news or page.more or loop.time() - asked >= min(1.0, self._hold / 2)
        self._not_held = 0 if held else self._not_held + 1
        if self._not_held >= _NOT_HELD:
            raise RungError(Trouble.UNSUPPORTED, "the server does not hold the requests of a long poll")
        return page

    async def aclose(self) -> None:
        """Do nothing: the request ends with the task that waits for it."""


class SseLine:
    """Read a stream of server-sent events.

    Args:
        response: The open answer.
        form: How the server writes events.
    """

    def __init__(self, response: Any, form: FeedFormat) -> None:
        self._response = response
        self._form = form
        # The id that it was resumed at is that of no event here: behind one without an id it would be a step back.
        self._parser = SseParser()
        self._chunks: AsyncIterator[bytes] = response.aiter_bytes()

    @classmethod
    async def open(cls, http: FeedHttp, form: FeedFormat, position: Position) -> SseLine:
        """Open the stream behind a position; raises as `receive` does."""
        return cls(await http.stream(Rung.SSE, position), form)

    async def receive(self, position: Position) -> Sequence[FeedEvent] | FeedPage:
        """Wait for the next bytes; a comment is a sign of life without events."""
        del position
        try:
            chunk = await anext(self._chunks, b"")
            events = self._parser.feed(chunk)
        except Exception as error:
            raise RungError(Trouble.LOST, f"{type(error).__name__}: {error}", self._parser.retry or 0.0) from error
        if not chunk:
            raise RungError(Trouble.LOST, "the server has ended the stream", self._parser.retry or 0.0)
        return [self._read(event) for event in events]

    def _read(self, event: ServerSentEvent) -> FeedEvent:
        return read_push(self._form, event.data, event.id)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._response.aclose()
