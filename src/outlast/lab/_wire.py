"""Both sides of the fault proxy on the wire: the client's connection and one exchange with the server.

Messages are read whole before they are passed on, so there is a moment at which the server has answered and the
client knows nothing. What cannot be read whole, a stream of events or an upgrade, is relayed by `_relay`. Trailers are
not for this proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus

import h11

Headers = tuple[tuple[bytes, bytes], ...]

_CHUNK_BYTES = 65536
# They belong to one connection, not to the message (RFC 9110, section 7.6.1), and h11 writes its own.
_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect")
)


@dataclass(frozen=True, slots=True)
class Message:
    """A request, or an answer (then `status` is set), read whole."""

    headers: Headers
    body: bytes = b""
    method: bytes = b""
    target: bytes = b""
    status: int = 0
    reason: bytes = b""

    def header(self, name: bytes) -> str | None:
        """Return the first header of that lower-case name, or None."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), None)


class ClientSide:
    """Speak HTTP/1.1 to one client that has connected.

    Not thread-safe. After a cancellation only `reset` and `close` are of use.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER)
        self._early = b""

    async def receive(self) -> Message | None:
        """Read the next request whole; None when the client has left or speaks something else."""
        try:
            return await self._receive()
        except (h11.RemoteProtocolError, OSError):
            return None

    async def _receive(self) -> Message | None:
        request: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                await self._continue_if_asked()
                self._http.receive_data(await self._read())
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                return Message(tuple(request.headers), bytes(body), method=request.method, target=request.target)
            else:
                return None

    async def answer(self, message: Message) -> bool:
        """Send an answer; tell whether the client was still there to take it."""
        if await self.is_gone():
            return False
        framed = _framed(message, declared=message.header(b"content-length"))
        events: list[h11.Event] = [
            h11.Response(status_code=message.status, headers=list(framed), reason=message.reason),
            *([h11.Data(data=message.body)] if message.body else []),
            h11.EndOfMessage(),
        ]
        try:
            self._send(*events)
            await self._writer.drain()
        except OSError:
            return False
        return True

    def next_cycle(self) -> bool:
        """Get ready for another request on this connection; False when it has to end."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            return True
        return False

    async def gone(self) -> None:
        """Wait until the client has closed or reset the connection; what it sends meanwhile is kept for `receive`."""
        with contextlib.suppress(OSError):
            while chunk := await self._reader.read(_CHUNK_BYTES):
                self._early += chunk

    async def hold(self, seconds: float) -> None:
        """Wait that long, but not longer than the client does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.gone()

    async def is_gone(self) -> bool:
        """Tell whether the client has closed or reset the connection by now."""
        # The end of a connection is seen by the selector one turn of the loop later, and handled in the next one.
        for _ in range(3):
            await asyncio.sleep(0)
        return self._reader.at_eof() or self._reader.exception() is not None

    def take_over(self) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
        """Leave the connection to the caller: what has come behind the request, and both ends of it."""
        return self._http.trailing_data[0] + self._early, self._reader, self._writer

    def reset(self) -> None:
        """Cut the connection with a TCP reset, dropping what was not sent yet."""
        sock: socket.socket | None = self._writer.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            # Lingering for zero seconds is how a close becomes a reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close the connection once all that was sent is out."""
        self._writer.close()
        await self.closed()

    async def closed(self) -> None:
        """Wait until the socket is free, after `close` or `reset`."""
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _continue_if_asked(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            self._send(h11.InformationalResponse(status_code=100, headers=[]))
            await self._writer.drain()

    async def _read(self) -> bytes:
        early, self._early = self._early, b""
        return early or await self._reader.read(_CHUNK_BYTES)

    def _send(self, *events: h11.Event) -> None:
        self._writer.write(b"".join(self._http.send(event) or b"" for event in events))


class Upstream:
    """One exchange with the server, over a connection of its own.

    A pooled connection may die under a request for reasons of its own, which would add a fault that nobody asked for.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self.sent = False

    async def exchange(self, request: Message) -> Message:
        """Send the request and read the whole answer.

        `sent` is true from the moment at which all of the request has been handed to the server's socket.

        Raises:
            OSError: The server refused, went away, or did not speak HTTP.
        """
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            http = h11.Connection(h11.CLIENT)
            await self._send(http, writer, request)
            return await _read_answer(http, reader)
        except h11.RemoteProtocolError as error:
            raise ConnectionError(f"the server broke off or does not speak HTTP: {error}") from error
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _send(self, http: h11.Connection, writer: asyncio.StreamWriter, request: Message) -> None:
        declared = request.header(b"content-length") or (str(len(request.body)) if request.body else None)
        headers = [*_framed(request, declared=declared), (b"connection", b"close")]
        events: list[h11.Event] = [h11.Request(method=request.method, target=request.target, headers=headers)]
        if request.body:
            events.append(h11.Data(data=request.body))
        events.append(h11.EndOfMessage())
        writer.write(b"".join(http.send(event) or b"" for event in events))
        await writer.drain()
        self.sent = True


def error_message(code: int, retry_after: int | None = None) -> Message:
    """Return an error as RFC 9457 has it, with Retry-After in seconds if given."""
    reason = HTTPStatus(code).phrase if code in set(HTTPStatus) else "Error"
    body = json.dumps({"type": "about:blank", "title": reason, "status": code}).encode()
    headers = [(b"content-type", b"application/problem+json")]
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    return Message(tuple(headers), body, status=code, reason=reason.encode())


async def _read_answer(http: h11.Connection, reader: asyncio.StreamReader) -> Message:
    response: h11.Response | None = None
    body = bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(_CHUNK_BYTES))
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and response is not None:
            headers = tuple(response.headers)
            return Message(headers, bytes(body), status=response.status_code, reason=response.reason)
        elif not isinstance(event, h11.InformationalResponse):
            raise ConnectionError("the server closed the connection instead of answering")


def _framed(message: Message, *, declared: str | None) -> Headers:
    """Return the headers without those of the connection, with the length of what was read whole."""
    kept = [(name, value) for name, value in message.headers if name not in _HOP_BY_HOP and name != b"content-length"]
    length = str(len(message.body)) if message.body else declared
    return tuple(kept if length is None else [*kept, (b"content-length", length.encode())])


__all__ = ["ClientSide", "Headers", "Message", "Upstream", "error_message"]
