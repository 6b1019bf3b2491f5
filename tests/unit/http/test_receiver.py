"""The receiver's parts that need no database: fences, keys, what is kept, and half-finished requests and answers."""

from __future__ import annotations

import contextlib
import io
import json

import pytest

from outlast.errors import ConfigError, StorageBusyError
from outlast.http import (
    AsgiReceiver,
    Fence,
    Receiver,
    ReceiverRules,
    StoredResponse,
    WsgiReceiver,
    answer_for,
    fingerprint,
    is_final,
)
from outlast.http._receiver_records import InProgress, Replay, Reused
from outlast.http._receiver_rules import Collected, TooLargeError, Write, sized


@pytest.mark.parametrize(
    "value", ["", "7", "seven;sender=a", '7;sender=""', '-1;sender="a"', '7;sender="a b"', f'{"9" * 16};sender="a"']
)
def test_what_is_no_fence(value):
    """A header that makes no sense is none, and is never read as a low number."""
    assert Fence.parse(value) is None


def test_a_fence_survives_its_header():
    """What is sent is what is read."""
    assert Fence.parse(f" {Fence('box-7', 12).header()} ") == Fence("box-7", 12)


@pytest.mark.parametrize(("sender", "number"), [("", 1), ('a"b', 1), ("a\nb", 1), ("a", -1), ("a" * 256, 1)])
def test_a_fence_that_no_header_could_carry(sender, number):
    """It is refused where it is made."""
    with pytest.raises(ConfigError, match="fence"):
        Fence(sender, number)


def test_equal_requests_have_equal_fingerprints():
    """Method, target and body count, and where one ends and the next begins."""
    asked = [
        ("POST", "/a", b"x"),
        ("PUT", "/a", b"x"),
        ("POST", "/ax", b""),
        ("POST", "/a?x", b"x"),
        ("POST", "/a", b"y"),
    ]

    assert len({fingerprint(*one) for one in asked}) == len(asked)
    assert fingerprint("POST", "/\udce4", b"x") == fingerprint("POST", "/\udce4", b"x")


def test_what_ends_a_matter_for_an_outbox_is_final():
    """Exactly those answers are kept after which our own sender does not come back with the same key."""
    comes_back = {s for s in range(200, 600) if type(answer_for(s, {}, b"", 0.0)).__name__ in {"Busy", "AuthNeeded"}}

    # A failure of the server is never kept, also where no repetition would change it.
    assert {status for status in range(200, 600) if not is_final(status)} == comes_back | {501, 505}


def test_a_problem_in_progress_is_understood_by_an_outbox():
    """Our sender waits when the first is at work, and takes a reused key for what it is."""
    rules = ReceiverRules(retry_after=3)
    waiting, reused = rules.answer_to(InProgress()), rules.answer_to(Reused())

    answer = answer_for(waiting.status, dict(waiting.headers), waiting.body, 0.0)
    assert (type(answer).__name__, answer.retry_after) == ("Busy", 3.0)
    assert type(answer_for(reused.status, dict(reused.headers), reused.body, 0.0)).__name__ == "Rejected"


@pytest.mark.parametrize(
    "options", [{"max_body_bytes": 0}, {"max_wait": 0}, {"max_wait": float("inf")}, {"retry_after": 0}]
)
def test_rules_that_make_no_sense(options):
    """Numbers out of range are refused, and named."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        ReceiverRules(**options)


def test_a_fence_without_a_key_is_of_no_use():
    """Without a key nothing is kept, so there is nothing to guard."""
    assert ReceiverRules().admit(None, "garbage") == Write(None, None)


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "two, keys", "ü", '""'])
def test_what_is_no_key(key):
    """Neither nothing, nor a novel, nor a list."""
    answer = ReceiverRules().admit(key, None)

    assert (answer.status, b"idempotency-key-invalid" in answer.body) == (400, True)


def test_what_belongs_to_one_answer_is_not_kept():
    """Cookies and dates are not given again, whatever the case of their names."""
    headers = (("Set-Cookie", "a=b"), ("DATE", "today"), ("ETag", '"1"'))

    assert ReceiverRules().kept(StoredResponse(200, headers)).headers == (("ETag", '"1"'),)


@pytest.mark.parametrize(("status", "length"), [(200, "3"), (204, None), (304, None)])
def test_answers_say_their_length(status, length):
    """Also those that came in parts; an answer that has no body does not."""
    assert dict(sized(StoredResponse(status, (), b"abc")).headers).get("content-length") == length


def test_an_application_that_overlooks_the_limit():
    """Once too much came, the answer is never whole."""
    collected = Collected(3)
    collected.start(200, [])
    with pytest.raises(TooLargeError):
        collected.add(b"abcd")

    with pytest.raises(TooLargeError):
        collected.whole()


def test_an_answer_that_replaces_another():
    """Nothing of the first goes out with the second, whose length it would belie."""
    collected = Collected(9)
    collected.start(200, [])
    collected.add(b"half a ")
    collected.start(422, [("content-length", "5")])
    collected.add(b"wrong")

    assert collected.whole() == StoredResponse(422, (("content-length", "5"),), b"wrong")


def test_a_body_without_a_status():
    """It is a mistake of the application, and no answer."""
    with pytest.raises(RuntimeError, match="without a status"):
        Collected(3).whole()


def test_a_replay_is_marked():
    """The rest is as it was."""
    old = StoredResponse(201, (("etag", '"1"'),), b"made")

    given = ReceiverRules().answer_to(Replay(old))

    assert given == StoredResponse(201, (("etag", '"1"'), ("idempotent-replayed", "true")), b"made")


class Started:
    """What a WSGI server was told."""

    def __call__(self, status, headers, error=None):
        self.status, self.headers = status, dict(headers)


def environ(**changes):
    """Make a request."""
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "wsgi.input": io.BytesIO(b"abc"),
        "CONTENT_LENGTH": "3",
        **changes,
    }


def never(*args):
    """Stand where nobody should get to."""
    raise AssertionError(args)


def busy():
    """Have no connection to give."""
    raise StorageBusyError("all are in use")


def test_half_a_body_is_no_request():
    """A client that is cut while it sends does not claim its key for the half."""
    started = Started()
    body = WsgiReceiver(never, never, scope="all")(environ(CONTENT_LENGTH="4"), started)

    assert started.status == "400 Bad Request"
    assert json.loads(b"".join(body))["type"].endswith("request-broken-off")


def test_a_body_in_chunks_is_not_taken_for_an_empty_one():
    """Where the server does not say that they end, the sender is asked for a length; it was told that all went well."""
    started = Started()
    chunked = environ(CONTENT_LENGTH="", HTTP_TRANSFER_ENCODING="chunked")
    body = WsgiReceiver(never, never, scope="all")(chunked, started)

    assert started.status == "411 Length Required"
    assert json.loads(b"".join(body))["type"].endswith("request-without-length")


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        (
            {"CONTENT_LENGTH": "", "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
            b"abc",
        ),
        ({"CONTENT_LENGTH": "", "wsgi.input_terminated": True}, b"abc"),
        ({"CONTENT_LENGTH": "", "wsgi.input_terminated": False}, b""),
        ({"CONTENT_LENGTH": "3"}, b"abc"),
    ],
)
def test_bodies_without_a_length(changes, seen):
    """They are read where the server says that they end."""
    bodies, started = [], Started()

    def app(environ, start_response):
        bodies.append(environ["wsgi.input"].read())
        start_response("799 Odd", [])(b"written")
        return []

    body = WsgiReceiver(app, database, scope="all")(environ(**changes), started)

    assert (bodies, b"".join(body), started.status) == ([seen], b"written", "799 Unknown")


@contextlib.contextmanager
def database():
    """A database of its own for each request."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(":memory:", check_same_thread=False)) as connection:
        Receiver().create_tables(connection)
        yield connection


async def test_no_connection_to_be_had():
    """What says that nothing was done is 503, on both sides."""
    started, sent = Started(), []
    WsgiReceiver(never, busy, scope="all")(environ(), started)

    async def receive():
        return {"type": "http.request", "body": b"abc"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    await AsgiReceiver(never, busy, scope="all")(scope, receive, send)

    assert started.status == "503 Service Unavailable"
    assert (started.headers["retry-after"], sent[0]["status"]) == ("1", 503)


def test_a_receiver_shows_its_settings():
    """For logs and failing tests."""
    assert repr(Receiver(retention=60)) == "Receiver(retention=60.0)"
