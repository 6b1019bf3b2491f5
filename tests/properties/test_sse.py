"""Server-sent events: however the bytes are cut, the events are those of the standard."""

import itertools

import hypothesis.strategies as st
from hypothesis import example, given

from outlast.engines.sse import ServerSentEvent, SseParser

LINES = [b"data", b"id", b"event", b"retry", b":", b": ", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"7", b"x\0y"]
ODD = [b"\xef\xbb\xbf", "é".encode(), b"\xff", b"\xc3", "\u2028".encode()]
PIECES = st.sampled_from([*LINES, *ODD, b"data: a\n\n", b"event: e\n", b"id: 1\n", b"data:b\r\n\r\n"])
STREAMS = st.lists(PIECES, max_size=40).map(b"".join)


def by_the_book(stream):
    """Interpret a whole stream by the letter of the standard, on text, one line after the other."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _ = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    events, data, kind, last_id = [], "", "", ""
    for line in lines:
        field, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                events.append(ServerSentEvent(data.removesuffix("\n"), kind or "message", last_id))
            data = kind = ""
        elif colon and not field:
            pass
        elif field == "data":
            data += value + "\n"
        elif field == "event":
            kind = value
        elif field == "id" and "\0" not in value:
            last_id = value
    return events


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 200), max_size=20))
@example(stream=b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", cuts=[])
@example(stream=b"event: e\ndata: a\n\ndata: b\n\nevent: f\n\n", cuts=[])
@example(stream=b"data: a\r\r\ndata: b\r\n\r\n", cuts=[8, 9])
@example(stream=b"data: a\rdata: b\n\n", cuts=[8])
@example(stream=b"\xef\xbb\xbfdata: a\n\n", cuts=[1, 2])
@example(stream=b"data: a\r\n\r\n\ndata: b\n\n", cuts=[8, 9, 10, 11])
def test_any_chunking_gives_the_events_of_the_standard(stream, cuts):
    """Cutting a stream anywhere, also within a character or a line end, changes nothing."""
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    parser = SseParser()

    events = [event for a, b in itertools.pairwise(places) for event in parser.feed(stream[a:b])]

    assert events == by_the_book(stream)


@given(stream=STREAMS)
def test_an_event_is_there_with_the_byte_that_completes_it(stream):
    """What came whole is never held back until more comes."""
    parser = SseParser()
    seen = []
    for end in range(1, len(stream) + 1):
        seen += parser.feed(stream[end - 1 : end])

        assert seen == by_the_book(stream[:end])
