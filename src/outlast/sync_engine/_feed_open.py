"""Open the rung that the ladder names."""

from __future__ import annotations

from collections.abc import Mapping

from outlast.clock import Clock
from outlast.engines.feed_records import Rung
from outlast.storage import require
from outlast.sync_engine._feed_http import FeedHttp
from outlast.sync_engine._feed_lines import Line, LongPollLine, PollLine, SseLine
from outlast.sync_engine._feed_records import FeedFormat, Position


class RungOpener:
    """Open rungs.

    Args:
        http: The client for those that are HTTP.
        form: How the server writes the feed.
        addresses: The address for each rung, as one of HTTP.
        hold: Seconds for which a long poll is held.
        heartbeat: Seconds of silence after which a WebSocket is lost.
        clock: Gives Unix seconds.
    """

    def __init__(
        self,
        http: FeedHttp,
        form: FeedFormat,
        addresses: Mapping[Rung, str],
        *,
        hold: float,
        heartbeat: float,
        clock: Clock,
    ) -> None:
        self._http = http
        self._form = form
        self._addresses = addresses
        self._hold = hold
        self._heartbeat = heartbeat
        self._clock = clock

    async def open(self, rung: Rung, position: Position) -> Line:
        """Open a rung behind a position.

        Raises:
            RungError: It does not open.
            RefusedError: The credentials are refused.
            MissingExtraError: The library for it is not installed.

        Cancel: what was opened is closed.
        """
        match rung:
            case Rung.WEBSOCKET:
                return await self._websocket()
            case Rung.SSE:
                return await SseLine.open(self._http, self._form, position)
            case Rung.LONG_POLL:
                return LongPollLine(self._http, self._hold)
            case Rung.POLL:
                return PollLine()

    async def _websocket(self) -> Line:
        require("websockets", extra="service", purpose="the WebSocket of a feed")
        from outlast.sync_engine._feed_websocket import WebSocketLine

        address = self._addresses[Rung.WEBSOCKET]
        return await WebSocketLine.open(
            f"ws{address.removeprefix('http')}",
            self._form,
            self._http.headers(),
            call_timeout=self._http.call_timeout,
            heartbeat=self._heartbeat,
            wall=self._clock.wall(),
        )
