"""Relay what cannot be read whole: a stream of events, or a connection that becomes a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from outlast.lab._wire import ClientSide, Message

_CHUNK_BYTES = 65536


def streams(request: Message) -> bool:
    """Tell whether the answer to a request has no end that could be waited for."""
    return request.header(b"upgrade") is not None or "text/event-stream" in (request.header(b"accept") or "")


async def relay(client: ClientSide, request: Message, address: tuple[str, int], status: Callable[[int], None]) -> None:
    """Hand a request on, then pass bytes both ways until one side ends; the client's side is left to the caller.

    Args:
        client: The connection that the request came over.
        request: The request.
        address: Host and port of the server.
        status: Told of the status of the answer.

    Raises:
        OSError: The server refused.

    Cancel: the connection to the server is closed.
    """
    early, reader, writer = client.take_over()
    up_reader, up_writer = await asyncio.open_connection(*address)
    try:
        up_writer.write(_raw(request) + early)
        first = await up_reader.read(_CHUNK_BYTES)
        status(int(first.split(b" ", 2)[1]))
        writer.write(first)
        ways = [asyncio.create_task(_pass(reader, up_writer)), asyncio.create_task(_pass(up_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
    finally:
        up_writer.transport.abort()
        with contextlib.suppress(OSError):
            await up_writer.wait_closed()


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(_CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()


def _raw(request: Message) -> bytes:
    headers = list(request.headers)
    if request.header(b"upgrade") is None:
        # The next request must come as a request of its own, not as bytes within this relay.
        headers = [(name, value) for name, value in headers if name != b"connection"] + [(b"connection", b"close")]
    lines = [b"%s %s HTTP/1.1" % (request.method, request.target), *(b"%s: %s" % header for header in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + request.body


__all__ = ["relay", "streams"]
