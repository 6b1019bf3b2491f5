"""What may have taken effect is sent again only where that does no harm."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from outlast.errors import InDoubtError
from outlast.http import AsyncResilientTransport
from outlast.policies import CircuitBreaker, CircuitState, Hedge, Pipeline, Timeout
from outlast.registry import Registry

RESET, REFUSED = httpx2.ReadError("reset"), httpx2.ConnectError("refused")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
@pytest.mark.parametrize("trouble", [500, RESET], ids=["500", "reset"])
def test_in_doubt_and_repeatable(face, method, trouble):
    """Safe and idempotent methods are sent again."""
    server = face.server(trouble, 200)

    assert (face.send(server, method).status_code, len(server.seen)) == (200, 2)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_in_doubt_and_not_repeatable(face, method):
    """What may have taken effect is not sent again by another method; the caller gets what came."""
    server, cut = face.server(500, 200), face.server(RESET, 200)

    assert (face.send(server, method, content=b"a").status_code, len(server.seen)) == (500, 1)
    with pytest.raises(httpx2.ReadError) as caught:
        face.send(cut, method, content=b"a")
    assert (caught.value, len(cut.seen)) == (RESET, 1)


@pytest.mark.parametrize("trouble", [500, RESET], ids=["500", "reset"])
def test_a_key_makes_it_repeatable(face, trouble):
    """With an idempotency key the server knows the second one; the bytes and the key are the same."""
    server = face.server(trouble, 200)

    got = face.send(server, "POST", content=b"abc", headers={"Idempotency-Key": "k-1"})

    assert (got.status_code, [request.body for request in server.seen]) == (200, [b"abc", b"abc"])
    assert {request.headers["idempotency-key"] for request in server.seen} == {"k-1"}


@pytest.mark.parametrize("trouble", [503, 429, 408, REFUSED], ids=["503", "429", "408", "refused"])
def test_surely_not_applied_is_sent_again(face, trouble):
    """What surely did nothing may be sent again by any method."""
    server = face.server(trouble, 200)

    assert (face.send(server, "POST", content=b"a").status_code, len(server.seen)) == (200, 2)


def test_a_rule_of_the_user_cannot_send_it_twice(face):
    """Even a retry that wants everything again does not get a POST in doubt sent twice."""
    server = face.server(500, 200)

    got = face.send(server, "POST", content=b"a", policy=face.retry(on=lambda error: True))

    assert (got.status_code, len(server.seen)) == (500, 1)


def test_a_stream_is_sent_once(face):
    """A body that was read is gone, whatever the answer and the method."""
    server = face.server(503, 200)

    got = face.send(server, "PUT", content=face.stream(b"a", b"b"))

    assert (got.status_code, [request.body for request in server.seen]) == (503, [b"ab"])


def test_a_stream_that_was_not_read_may_go(face):
    """A connection that was refused has taken nothing of the body."""

    class Refusing(face.inner):
        def handle_request(self, request):
            return self.server.next(request) if not self.server.seen else super().handle_request(request)

        async def handle_async_request(self, request):
            return self.server.next(request) if not self.server.seen else await super().handle_async_request(request)

    server = face.server(REFUSED, 200)
    transport = face.transport(server)
    transport._inner = Refusing(server)
    face.transport = lambda *_: transport

    got = face.send(server, "POST", content=face.stream(b"a", b"b"))

    assert (got.status_code, server.seen[1].body) == (200, b"ab")


def test_an_upload_of_files_is_a_stream(face):
    """Whether a file can be read again is not known, so it is not tried."""
    server = face.server(503, 200)

    got = face.send(server, "PUT", files={"file": b"abc"})

    assert (got.status_code, len(server.seen)) == (503, 1)
    assert b"abc" in server.seen[0].body


def test_a_post_in_doubt_still_counts(face):
    """That it may not be sent again does not make it a success."""
    breaker = CircuitBreaker(failure_threshold=1, clock=face.clock, bus=face.bus)

    with pytest.raises(httpx2.ReadError):
        face.send(face.server(RESET), "POST", policy=breaker)
    assert breaker.state is CircuitState.OPEN


def test_notes_reach_the_caller(face):
    """An exception that was held back carries what the policies noted."""
    error = httpx2.ReadError("reset")

    with pytest.raises(httpx2.ReadError) as caught:
        face.send(face.server(error), "POST")

    assert any("outlast" in note for note in caught.value.__notes__)
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


def test_a_limit_leaves_a_post_in_doubt(async_face):
    """A POST that was cut is not sent again, and the caller learns that it may have taken effect."""
    seen = []

    class Hanging(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request):
            seen.append(request)
            await asyncio.sleep(60)

    limit = Timeout(1.0, clock=async_face.clock, bus=async_face.bus)
    policy = Pipeline("cut", async_face.retry(), limit, registry=Registry())
    transport = AsyncResilientTransport(Hanging(), pipeline=lambda _: policy, clock=async_face.clock)

    async def go():
        async with httpx2.AsyncClient(transport=transport) as client:
            await client.post("http://api/x")

    with pytest.raises(InDoubtError, match="POST /x may have taken effect"):
        async_face.runner.run(go())
    assert len(seen) == 1


def test_a_post_is_never_hedged(async_face):
    """A hedge gets a GET sent twice at once, and what lost is closed although it was answered; a POST it gets once."""
    server, sent = async_face.server(200), []

    class Slow(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request):
            sent.append(request.method)
            await asyncio.sleep(2.0 if len(sent) == 1 else 1.0)
            return server.next(request)

    hedge = Hedge(delay=1.0, idempotent=True, clock=async_face.clock, bus=async_face.bus)
    transport = AsyncResilientTransport(Slow(), pipeline=lambda _: hedge, clock=async_face.clock)

    async def go(method):
        sent.clear()
        async with httpx2.AsyncClient(transport=transport) as client:
            return (await client.request(method, "http://api/x")).status_code, list(sent)

    assert async_face.runner.run(go("GET")) == (200, ["GET", "GET"])
    assert (len(server.given), server.open_answers) == (2, 0)
    assert async_face.runner.run(go("POST")) == (200, ["POST"])
