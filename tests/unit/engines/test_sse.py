import pytest

from outlast.engines.sse import ServerSentEvent, SseParser
from outlast.errors import ConfigError, StreamProtocolError


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        pytest.param(b"data: YHOO\ndata: +2\ndata: 10\n\n", [("YHOO\n+2\n10", "message", "")], id="lines-are-joined"),
        pytest.param(b": test\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n",
                     [("first", "message", "1"), ("second", "message", ""), (" third", "message", "")],
                     id="the-example-of-ids"),
        pytest.param(b"data\n\ndata\ndata\n\ndata:", [("", "message", ""), ("\n", "message", "")], id="empty-data"),
        pytest.param(b"data:test\n\ndata: test\n\n", [("test", "message", "")] * 2, id="one-space-goes"),
        pytest.param(b"event: add\ndata: 1\n\ndata: 2\n\n", [("1", "add", ""), ("2", "message", "")], id="types"),
        pytest.param(b"event: add\n\ndata: 2\n\n", [("2", "message", "")], id="no-data-no-event"),
        pytest.param(b"id: 1\n\ndata: 2\n\n", [("2", "message", "1")], id="an-id-alone-counts"),
        pytest.param(b"id: a\0b\ndata: 2\n\n", [("2", "message", "")], id="no-nul-in-an-id"),
        pytest.param(b"\xef\xbb\xbfdata: 1\n\n\xef\xbb\xbfdata: 2\n\n", [("1", "message", "")], id="one-mark-only"),
        pytest.param(b"unknown: 1\ndata: \xff\n\n", [("\ufffd", "message", "")], id="unknown-fields-and-bytes"),
    ],
)  # fmt: skip
def test_streams(stream, events):
    """Streams mean what the standard says."""
    assert SseParser().feed(stream) == [ServerSentEvent(*event) for event in events]


@pytest.mark.parametrize(
    ("value", "seconds"), [("250", 0.25), ("0", 0.0), ("-1", None), ("1.5", None), ("٣", None), ("", None)]
)
def test_retry_takes_digits_only(value, seconds):
    """The stream may ask for a wait in milliseconds, and nothing else is taken for one."""
    parser = SseParser()
    parser.feed(f"retry: {value}\n\n".encode())

    assert parser.retry == seconds


def test_nobody_waits_eleven_days():
    """A wait of more than nine digits is a mistake and not believed."""
    parser = SseParser()
    parser.feed(b"retry: 100\nretry: 1000000000\n")

    assert parser.retry == 0.1


def test_the_id_to_resume_at_is_that_of_whole_events():
    """An id whose event was cut off is not taken for seen; a resumed stream goes on with its own."""
    parser = SseParser(last_id="4")
    events = parser.feed(b"data: x\n\nid: 5\ndata: y\n")

    assert (events[0].id, parser.last_id) == ("4", "4")
    parser.feed(b"\n")
    assert parser.last_id == "5"


@pytest.mark.parametrize("piece", [b"data: 12345678\n", b"data: 123456789012345678901234567890", b"data:\n"])
def test_an_endless_event_is_refused(piece):
    """Memory is bounded: an event beyond the limit ends the stream with a clear error."""
    parser = SseParser(max_event_bytes=30)

    with pytest.raises(StreamProtocolError, match="larger than 30 bytes"):
        [parser.feed(piece) for _ in range(10)]


def test_an_empty_piece_changes_nothing():
    """Not even between the two halves of a line end."""
    parser = SseParser()

    assert parser.feed(b"data: 1\r") + parser.feed(b"") + parser.feed(b"\n\r") == [ServerSentEvent("1")]


def test_a_limit_of_nothing_is_refused():
    """No event fits into no bytes."""
    with pytest.raises(ConfigError, match="max_event_bytes"):
        SseParser(max_event_bytes=0)
