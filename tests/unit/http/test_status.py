from __future__ import annotations

import json

import pytest

from outlast.engines.op import Applied, AuthNeeded, Busy, Gone, Rejected, Stale
from outlast.http import answer_for

DATE = "Sun, 22 Nov 2026 10:00:00 GMT"
LATER = "Sun, 22 Nov 2026 10:00:09 GMT"
KEY_IN_PROGRESS = json.dumps({"type": "https://example.org/problems/request-in-progress", "title": "Wait"}).encode()
KEY_REUSED = json.dumps({"type": "/problems/idempotency-key-reused", "detail": "another body"}).encode()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(200, b"", Applied(None, 200), id="200-applied"),
        pytest.param(201, b"", Applied(None, 201), id="201-applied"),
        pytest.param(204, b"", Applied(None, 204), id="204-applied"),
        pytest.param(400, b"", Rejected("400", 400), id="400-our-mistake"),
        pytest.param(401, b"", AuthNeeded("401"), id="401-credentials"),
        pytest.param(403, b"", Rejected("403", 403), id="403-not-allowed"),
        pytest.param(404, b"", Gone("404"), id="404-missing"),
        pytest.param(405, b"", Rejected("405", 405), id="405-no-such-method"),
        pytest.param(408, b"", Busy("408"), id="408-transient"),
        pytest.param(409, b"", Stale("409"), id="409-clash"),
        pytest.param(409, KEY_IN_PROGRESS, Busy("409 Wait"), id="409-first-try-still-runs"),
        pytest.param(409, b'{"type": "/problems/idempotency-conflict"}', Busy("409"), id="409-of-the-key"),
        pytest.param(409, b"\r\n " + KEY_IN_PROGRESS, Busy("409 Wait"), id="409-behind-blanks"),
        pytest.param(409, b"\xef\xbb\xbf" + KEY_IN_PROGRESS, Busy("409 Wait"), id="409-behind-a-byte-order-mark"),
        pytest.param(410, b"", Gone("410"), id="410-tombstone"),
        pytest.param(412, b"", Stale("412"), id="412-stale"),
        pytest.param(413, b"", Rejected("413", 413), id="413-too-big"),
        pytest.param(415, b"", Rejected("415", 415), id="415-media-type"),
        pytest.param(422, b"", Rejected("422", 422), id="422-validation"),
        pytest.param(422, KEY_REUSED, Rejected("422 another body", 422), id="422-key-reused"),
        pytest.param(423, b"", Busy("423"), id="423-locked"),
        pytest.param(425, b"", Busy("425"), id="425-too-early"),
        pytest.param(428, b"", Rejected("428", 428), id="428-precondition-wanted"),
        pytest.param(429, b"", Busy("429", whole_origin=True), id="429-quota-of-the-origin"),
        pytest.param(500, b"", Busy("500", in_doubt=True), id="500-unknown"),
        pytest.param(501, b"", Rejected("501", 501), id="501-never"),
        pytest.param(502, b"", Busy("502", in_doubt=True), id="502-unknown"),
        pytest.param(503, b"", Busy("503"), id="503-busy"),
        pytest.param(504, b"", Busy("504", in_doubt=True), id="504-unknown"),
        pytest.param(505, b"", Rejected("505", 505), id="505-never"),
        pytest.param(507, b"", Busy("507", in_doubt=True), id="507-disk-full-over-there"),
        pytest.param(522, b"", Busy("522", in_doubt=True), id="522-a-gateway-of-its-own"),
        pytest.param(529, b"", Busy("529"), id="529-overloaded"),
        pytest.param(304, b"", Rejected("304", 304), id="304-nonsense-for-a-write"),
    ],
)
def test_every_status_means_one_thing(status, body, expected):
    """The table: what an answer says about the write, and what it does not."""
    assert answer_for(status, {}, body, wall=0.0) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"retry-after": "7"}, 7.0, id="seconds"),
        pytest.param({"retry-after": "1.5"}, 1.5, id="decimals"),
        pytest.param({"retry-after-ms": "250", "retry-after": "9"}, 0.25, id="milliseconds-first"),
        pytest.param({"retry-after": LATER, "date": DATE}, 9.0, id="date-against-the-answers-own"),
        pytest.param({"retry-after": DATE, "date": LATER}, 0.0, id="date-in-the-past"),
        pytest.param({"retry-after": "soon"}, None, id="garbage"),
        pytest.param({"retry-after": "-3"}, 0.0, id="negative"),
        pytest.param({"retry-after": "nan"}, None, id="not-a-number"),
        pytest.param({}, None, id="none"),
    ],
)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_the_server_asks_to_wait(status, headers, expected):
    """Retry-After is understood in all its forms wherever it may stand."""
    assert answer_for(status, headers, b"", wall=0.0).retry_after == expected


def test_the_version_of_the_result_is_kept():
    """The ETag of a success travels on, for the next write of the entity."""
    assert answer_for(200, {"etag": '"7"'}, b"", wall=0.0) == Applied('"7"', 200)


def test_where_it_moved_to_is_said():
    """A redirect is not followed with a write, but its target helps a person."""
    assert answer_for(308, {"location": "/v2"}, b"", wall=0.0) == Rejected("308: it moved to /v2", 308)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b'{"detail": "too long", "title": "Bad"}', "400 too long", id="detail"),
        pytest.param(b'{"title": "Bad"}', "400 Bad", id="title"),
        pytest.param(b'{"message": "no"}', "400 no", id="message"),
        pytest.param(b'{"error": "no"}', "400 no", id="error"),
        pytest.param(b'{"error": {"code": 5}}', "400", id="not-a-text"),
        pytest.param(b'{"type": 5}', "400", id="type-not-a-text"),
        pytest.param(b"{broken", "400", id="broken"),
        pytest.param(b'{"detail": "\xff"}', "400", id="not-utf-8"),
        pytest.param(b"<html>", "400", id="html"),
        pytest.param(b"[1]", "400", id="a-list"),
        pytest.param(b'{"detail": "' + b"x" * 500 + b'"}', "400 " + "x" * 196, id="shortened"),
        pytest.param(b'{"a":' * 50_000, "400", id="nested-too-deeply"),
    ],
)
def test_the_reason_comes_from_the_problem_document(body, reason):
    """Whatever the body holds, the reason is short and the status is in it."""
    assert answer_for(400, {}, body, wall=0.0) == Rejected(reason, 400)


def test_a_refusal_that_was_kept_is_told_from_a_new_one():
    """Whoever sends a dead letter again after mending the server sees that the server was not asked anew."""
    answer = answer_for(403, {"idempotent-replayed": "true"}, b'{"detail": "not yours"}', wall=0.0)

    assert answer == Rejected("403 not yours; it is what was answered before, and kept under this key", 403)


def test_the_body_of_a_success_is_not_looked_at():
    """An applied write stays applied, whatever the server shows of it: else it would be sent again for ever."""
    assert answer_for(200, {}, b'{"a":' * 50_000, wall=0.0) == Applied(None, 200)
