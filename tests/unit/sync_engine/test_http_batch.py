import json

import pytest

from outlast.engines.op import Accepted, Applied, Busy, Gone, InDoubt, Rejected, Verb
from outlast.outbox import Op, SealedRequest
from outlast.sync_engine._accepted import accepted, progress
from outlast.sync_engine._http_batch import decode_batch, encode_batch


def parcel(seq, body=b'{"n":1}', url="https://api.test/v1/note/a?x=1"):
    """Make an op with its request."""
    op = Op(
        seq=seq, generation=0, key=f"s.1:{seq}:0", lane=seq, verb=Verb.PUT, kind="note", entity="a", target=None,
        body=body, content_type="application/json", if_match=None, created_at=0.0,
    )  # fmt: skip
    return op, SealedRequest(method="PUT", url=url, headers=(("If-Match", '"1"'),), body=body)


def test_a_batch_shows_each_request_under_its_key():
    """Method, path with query, headers and body; a delete has none."""
    shown = json.loads(encode_batch([parcel(1), parcel(2, None, "https://api.test/v1/note/b")]))

    assert shown["requests"] == [
        {"id": "s.1:1:0", "method": "PUT", "path": "/v1/note/a?x=1", "headers": {"If-Match": '"1"'}, "body": {"n": 1}},
        {"id": "s.1:2:0", "method": "PUT", "path": "/v1/note/b", "headers": {"If-Match": '"1"'}},
    ]


@pytest.mark.parametrize("body", [b"\xff", b'{"n": NaN}', '{"n":1}'.encode("utf-16"), b"[" * 100_000 + b"]" * 100_000])
def test_what_is_no_json_has_no_place_in_a_batch(body):
    """Nor has what some take for JSON and others do not, nor what is nested too deeply to be looked at."""
    assert encode_batch([parcel(1, body)]) is None


def test_a_body_is_sent_in_a_batch_as_it_was_sealed():
    """Read and written anew, its digits would be lost and its largest number would be none that JSON knows."""
    body = b'{"price": 0.12345678901234567890, "far": 1e400, "name": "\xc3\xa4"}'

    assert b'"body":' + body + b"}" in encode_batch([parcel(1, body)])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param([{"status": 200}, {"status": 204}], {1: Applied(None, 200), 2: Applied(None, 204)}, id="by-order"),
        pytest.param(
            {"responses": [{"id": "s.1:2:0", "status": 200, "headers": {"ETag": '"4"'}}]},
            {2: Applied('"4"', 200)},
            id="by-id",
        ),
        pytest.param([{"status": 200}], {}, id="too-few"),
        pytest.param([{"id": "other", "status": 200}, {"status": 200}], {}, id="ids-of-others"),
        pytest.param([{"id": 2, "status": 400}, {"id": 1, "status": 200}], {}, id="ids-that-are-numbers"),
        pytest.param(
            [{"status": True}, "nonsense"],
            {seq: InDoubt("its part of the answer has no status") for seq in (1, 2)},
            id="no-status",
        ),
        pytest.param({"responses": 7}, {}, id="no-list"),
        pytest.param("text", {}, id="a-text"),
    ],
)
def test_an_answer_is_taken_apart(answer, expected):
    """By id or by order; what it does not say is left out."""
    parcels = [parcel(1), parcel(2)]

    found = decode_batch(parcels, json.dumps(answer).encode(), 0.0)

    if answer == [{"status": True}, "nonsense"]:
        assert set(found) == {1, 2}
        assert isinstance(found[2], InDoubt)
    else:
        assert found == expected


def test_an_answer_that_is_no_json_says_nothing():
    """Each op is in doubt then."""
    assert decode_batch([parcel(1)], b"<html>", 0.0) == {}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"location": "/m/1", "retry-after": "3"}, Accepted("/m/1", 3.0, 202)),
        ({"operation-location": "/m/2", "location": "/m/1"}, Accepted("/m/2", None, 202)),
        ({}, None),
    ],
    ids=repr,
)
def test_a_202_names_where_to_ask(headers, expected):
    """The header made for it goes before the general one."""
    assert accepted(headers, 0.0) == expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (202, b"", Accepted(None, 5.0)),
        (303, b"", Applied(None, 303)),
        (200, b"", Applied('"e"', 200)),
        (200, b"[1]", Applied('"e"', 200)),
        (200, b'{"status": 7}', Applied('"e"', 200)),
        (200, b'{"provisioningState": "Succeeded"}', Applied(None, 200)),
        (200, b'{"state": "in-progress"}', Accepted(None, 5.0)),
        (200, b'{"status": "CANCELED"}', Rejected("200 canceled", 200)),
        (200, b'{"status": "error", "detail": "why"}', Rejected("200 why", 200)),
        (404, b"", Gone("404")),
        (503, b"", Busy("503", retry_after=5.0)),
    ],
)
def test_what_a_monitor_says(status, body, expected):
    """A state in the body decides; without one 200 is the result itself."""
    assert progress(status, {"retry-after": "5", "etag": '"e"'}, body, 0.0) == expected
