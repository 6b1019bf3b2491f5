"""Read a stream of server-sent events from bytes that come in any pieces.

Source: WHATWG HTML, section 9.2 "Server-sent events", parsing and interpreting an event stream. Parsers that work on
whole lines of an HTTP client keep comments to themselves, and a comment is how a server says that it lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from outlast.errors import ConfigError, StreamProtocolError

_BOM: Final = b"\xef\xbb\xbf"
_DIGITS: Final = frozenset("0123456789")
_LONGEST_RETRY: Final = 9
"""Digits of the longest reconnection time that is believed: more than eleven days is no instruction but a mistake."""


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """Hold one event of a stream.

    Args:
        data: The lines of its data, joined by newlines.
        event: Its type; `message` where the stream names none.
        id: The last id that the stream has named up to here, which may be that of an earlier event; empty for none.
    """

    data: str
    event: str = "message"
    id: str = ""


class SseParser:
    r"""Turn bytes into events; however the bytes are cut, the events are the same.

    An event is there as soon as the empty line behind it is, also where that line ends in a carriage return whose line
    feed is still to come. What stands behind the last empty line when a stream ends was cut off, and is no event.

    Args:
        last_id: The id at which a stream is resumed; events without an id of their own carry it. Default none.
        max_event_bytes: The most that one unfinished event may take, >= 1. Default 1 MiB.

    Raises:
        ConfigError: `max_event_bytes` is below 1.

    Thread-safe: no. Complexity: O(bytes) time, O(one event) memory.

    >>> parser = SseParser()
    >>> parser.feed(b": hello\n\nid: 7\ndata: one\ndata: tw")
    []
    >>> parser.feed(b"o\r\n\r\n")
    [ServerSentEvent(data='one\ntwo', event='message', id='7')]
    """

    def __init__(self, *, last_id: str = "", max_event_bytes: int = 1 << 20) -> None:
        if max_event_bytes < 1:
            raise ConfigError(f"must be at least 1, not {max_event_bytes!r}", path="max_event_bytes")
        self._max = max_event_bytes
        self._line = bytearray()
        self._fresh = True  # no line has ended yet, so a byte order mark may stand before this one
        self._after_cr = False
        self._data: list[str] = []
        self._type = ""
        self._held = 0
        self.last_id = last_id
        """The id to resume at: the last one that an event or an empty line has confirmed."""
        self._next_id = last_id
        self.retry: float | None = None
        """Seconds that the stream has asked to wait before a reconnection, or None."""

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Take further bytes and return the events that they complete.

        Raises:
            StreamProtocolError: An event is larger than `max_event_bytes`; the parser is of no further use.
        """
        events: list[ServerSentEvent] = []
        if chunk and self._after_cr:
            self._after_cr = False  # its line feed, if it has one, ended no further line
            chunk = chunk.removeprefix(b"\n")
        for piece in chunk.splitlines(keepends=True):
            line = piece.rstrip(b"\r\n")
            self._keep(line)
            if len(line) < len(piece):
                self._end_line(events)
        self._after_cr = chunk.endswith(b"\r") if chunk else self._after_cr
        return events

    def _keep(self, part: bytes) -> None:
        self._line += part
        if len(self._line) + self._held > self._max:
            raise StreamProtocolError(f"an event of the stream is larger than {self._max} bytes")

    def _end_line(self, events: list[ServerSentEvent]) -> None:
        line = bytes(self._line)
        self._line.clear()
        if self._fresh:
            self._fresh = False
            line = line.removeprefix(_BOM)
        if line:
            self._field(line)
        else:
            self._dispatch(events)

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        self.last_id = self._next_id
        if self._data:
            events.append(ServerSentEvent("\n".join(self._data), self._type or "message", self.last_id))
        self._data, self._type, self._held = [], "", 0

    def _field(self, line: bytes) -> None:
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
                self._held += len(line)
            case "event":
                self._type = value
            case "id" if "\0" not in value:
                self._next_id = value
            case "retry" if value and _DIGITS.issuperset(value) and len(value) <= _LONGEST_RETRY:
                self.retry = int(value) / 1000
            case _:
                pass  # a comment, or a field of another version
