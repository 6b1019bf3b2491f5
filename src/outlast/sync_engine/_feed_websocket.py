"""The topmost rung of a feed: a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from outlast.engines.feed_records import Trouble
from outlast.sync_engine._feed_lines import read_push
from outlast.sync_engine._feed_records import FeedEvent, FeedFormat, FeedPage, Position
from outlast.sync_engine._feed_trouble import RefusedError, RungError, judge_status

_REFUSED: Final = frozenset({3000, 3003, 4401, 4403})
"""Closing codes that mean credentials: unauthorised and forbidden, registered and customary. 1008 may mean anything
that a server does not like; if it is the credentials, the pull says so."""
_CLOSE_TIMEOUT: Final = 1.0
"""Seconds that a closing handshake may take: the place in the feed is stored, so nothing is lost without one."""


class _Connect(connect):
    """Connect to the address as given: a redirect would take the credentials elsewhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Follow none."""
        return exc


class WebSocketLine:
    """Read the messages of a WebSocket, and ask a silent peer whether it lives.

    The pings are sent from here and only while somebody listens: the library's own would cut a connection whose reader
    is slow, because it reads no pong while its buffer is full. Nothing is compressed: what comes in one piece would be
    unpacked at once, however much it is, and whoever reads it.

    Args:
        socket: The open connection.
        form: How the server writes events.
        heartbeat: Seconds of silence after which it is lost; at half of them there is a ping.
    """

    def __init__(self, socket: ClientConnection, form: FeedFormat, heartbeat: float) -> None:
        self._socket = socket
        self._form = form
        self._heartbeat = heartbeat

    @classmethod
    async def open(
        cls,
        url: str,
        form: FeedFormat,
        headers: Mapping[str, str],
        *,
        call_timeout: float,
        heartbeat: float,
        wall: float,
    ) -> WebSocketLine:
        """Connect.

        Args:
            url: The address.
            form: How the server writes events.
            headers: Headers to add to the handshake.
            call_timeout: Seconds for the handshake.
            heartbeat: Seconds after which a peer that answers no ping is lost.
            wall: Unix seconds, for a Retry-After date.

        Raises:
            RungError: It did not come about.
            RefusedError: The credentials are refused.

        Cancel: the connection is closed.
        """
        connecting = _Connect(
            url, additional_headers=dict(headers), open_timeout=call_timeout, close_timeout=_CLOSE_TIMEOUT,
            ping_interval=None, compression=None,
        )  # fmt: skip
        try:
            return cls(await connecting, form, heartbeat)
        except InvalidStatus as error:
            # Their own mapping refuses to read a header that came twice.
            headers = {name.lower(): value for name, value in error.response.headers.raw_items()}
            refusal = judge_status(error.response.status_code, headers, wall, rung=True)
            raise refusal or RungError(Trouble.UNSUPPORTED, "the server does not switch to WebSocket") from error
        except (OSError, TimeoutError, EOFError) as error:
            raise RungError(Trouble.UNREACHABLE, f"{type(error).__name__}: {error}") from error
        except WebSocketException as error:
            # A server that hangs up in the handshake is away; one that answers it with something else has none.
            gone = isinstance(error.__cause__, EOFError | OSError)
            raise RungError(Trouble.UNREACHABLE if gone else Trouble.UNSUPPORTED, str(error)) from error

    async def receive(self, position: Position) -> Sequence[FeedEvent] | FeedPage:
        """Wait for the next message."""
        del position
        try:
            return [read_push(self._form, await self._next())]
        except ConnectionClosed as error:
            code = None if error.rcvd is None else error.rcvd.code
            if code in _REFUSED:
                raise RefusedError(f"the server closed the connection with {code}") from error
            raise RungError(Trouble.LOST, f"the connection was closed ({code or 'cut'})") from error

    async def _next(self) -> str | bytes:
        pong: Awaitable[float] | None = None
        while True:
            try:
                async with asyncio.timeout(self._heartbeat / 2):
                    return await self._socket.recv()
            except TimeoutError:
                if isinstance(pong, asyncio.Future) and not pong.done():
                    raise RungError(Trouble.LOST, "the server answers no ping") from None
            pong = await self._socket.ping()

    async def aclose(self) -> None:
        """Close the connection.

        Cancel: it is cut without a goodbye.
        """
        try:
            async with asyncio.timeout(2 * _CLOSE_TIMEOUT):
                await self._socket.close()
        finally:
            self._socket.transport.abort()
