"""Ask a feed over HTTP: pulls, held or not, and streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol
from urllib.parse import urlsplit, urlunsplit

from outlast.clock import Clock
from outlast.engines.feed_records import Rung, Trouble
from outlast.errors import ConfigError
from outlast.storage import require
from outlast.sync_engine._feed_records import FeedFormat, FeedPage, Position
from outlast.sync_engine._feed_trouble import RungError, as_trouble, judge_status

_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_PUSHED: Final = "text/event-stream"


class StreamingClient(Protocol):
    """Be an async client of httpx2 or of httpx, by its shape."""

    def build_request(self, method: str, url: str, *, params: Any, headers: Any, timeout: Any) -> Any:
        """Make a request."""
        ...

    async def send(self, request: Any, *, stream: bool) -> Any:
        """Send a request and return the answer, with `stream` before its body."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


def check_address(url: str, path: str) -> str:
    """Return the address of a feed as one of HTTP.

    Raises:
        ConfigError: It is not an absolute address of http, https, ws or wss, or there are credentials in it.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ConfigError("is not an absolute http, https, ws or wss address", path=path)
    if "@" in parts.netloc or parts.fragment:
        raise ConfigError("must hold neither credentials nor a fragment; give credentials as `token`", path=path)
    return urlunsplit(parts._replace(scheme=_SCHEMES[parts.scheme]))


class FeedHttp:
    """Ask the server of a feed, with the credentials of the moment.

    Args:
        addresses: The address for each rung; that of `Rung.POLL` is the one to pull from.
        form: How the server writes the feed.
        headers: Returns the headers to add to each request; they may be secret.
        page_limit: Events asked for in one pull; fewer as long as so many do not arrive in time.
        call_timeout: Seconds for one request, on top of those that it may be held.
        client: A client of httpx2 (or httpx) to use; it is not closed here. Default: an own one.
        clock: Gives Unix seconds.
    """

    def __init__(
        self,
        addresses: Mapping[Rung, str],
        form: FeedFormat,
        headers: Callable[[], Mapping[str, str]],
        *,
        page_limit: int,
        call_timeout: float,
        client: StreamingClient | None,
        clock: Clock,
    ) -> None:
        self._addresses = addresses
        self._form = form
        self.headers = headers
        self._page_limit = self._limit = page_limit
        self.call_timeout = call_timeout
        self._owned = client is None
        self._client = _open() if client is None else client
        self._clock = clock

    async def pull(self, position: Position, *, hold: float | None = None) -> FeedPage:
        """Pull one page.

        Args:
            position: What to pull behind.
            hold: Seconds that the server may wait for something to come, or None for not at all.

        Raises:
            RungError: No page came; a later attempt may succeed.
            RefusedError: The credentials are refused.
            OutlastError: The server will never give one.
        """
        rung = Rung.POLL if hold is None else Rung.LONG_POLL
        params = self._form.query(position.cursor, self._limit, hold)
        body = await self._whole(rung, params, self.call_timeout + (hold or 0.0))
        try:
            return self._form.page(body)
        except (ValueError, RecursionError) as error:
            raise RungError(Trouble.UNREACHABLE, f"what came is no page of a feed: {error}") from error

    async def _whole(self, rung: Rung, params: Mapping[str, str], seconds: float) -> bytes:
        with as_trouble(Trouble.UNREACHABLE):
            try:
                async with asyncio.timeout(seconds):
                    body = await self._read(rung, params)
            except TimeoutError:  # of half as much even a slow line may bring something, and so get on
                self._limit = max(1, self._limit // 2)
                raise
        self._limit = min(self._page_limit, self._limit + max(1, self._limit // 4))
        return body

    async def _read(self, rung: Rung, params: Mapping[str, str]) -> bytes:
        response = await self._send(rung, params, {"Accept": "application/json"})
        try:
            self._check(response, rung)
            body: bytes = await response.aread()
        finally:
            await response.aclose()
        return body

    async def stream(self, rung: Rung, position: Position) -> Any:
        """Open a stream of events behind a position and return the answer; raises as `pull` does.

        Cancel: the connection is closed.
        """
        headers: dict[str, str | bytes] = {"Accept": _PUSHED, "Cache-Control": "no-store", **_resumed(position.cursor)}
        params = self._form.query(position.cursor, self._page_limit, None)
        with as_trouble(Trouble.UNREACHABLE):
            async with asyncio.timeout(self.call_timeout):
                response = await self._send(rung, params, headers)
        try:
            self._check(response, rung)
            self._check_kind(response)
        except BaseException:
            await response.aclose()
            raise
        return response

    def _check_kind(self, response: Any) -> None:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.status_code != HTTPStatus.OK or kind != _PUSHED:
            raise RungError(Trouble.UNSUPPORTED, f"the server answered with {kind or 'nothing'}, not with events")

    async def _send(self, rung: Rung, params: Mapping[str, str], headers: Mapping[str, str | bytes]) -> Any:
        # Limits are those of `asyncio.timeout`, also where the client is the caller's: one that gives up a read after
        # its usual 5 s would end every quiet stream and every request that is held.
        request = self._client.build_request(
            "GET", self._addresses[rung], params=params, headers={**self.headers(), **headers}, timeout=None
        )
        return await self._client.send(request, stream=True)

    def _check(self, response: Any, rung: Rung) -> None:
        error = judge_status(response.status_code, response.headers, self._clock.wall(), rung=rung is not Rung.POLL)
        if error is not None:
            raise error

    async def aclose(self) -> None:
        """Close the connections, unless the client was brought by the caller."""
        if self._owned:
            await self._client.aclose()


def _resumed(cursor: str | None) -> Mapping[str, bytes]:
    # As browsers write it. What no header can hold stands in the query alone.
    if cursor is None or not cursor.isprintable() or cursor != cursor.strip():
        return {}
    return {"Last-Event-ID": cursor.encode()}


def _open() -> StreamingClient:
    module = require("httpx2", extra="http", purpose="the realtime feed")
    client: StreamingClient = module.AsyncClient(follow_redirects=False)
    return client
