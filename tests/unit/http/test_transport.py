"""Requests through a pipeline: what is sent again, what is not, and what the caller gets."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from outlast.errors import (
    BadRequestError,
    CircuitOpenError,
    ConfigError,
    DeadlineExceededError,
    InDoubtError,
    OverloadedError,
    RateLimitError,
    ServerError,
)
from outlast.http import AnswerError, AsyncResilientTransport, ResilientTransport
from outlast.policies import CircuitBreaker, CircuitState, Hedge, Pipeline, Timeout
from outlast.registry import Registry

RESET, REFUSED = httpx2.ReadError("reset"), httpx2.ConnectError("refused")


def test_a_good_answer_goes_through(face):
    """One attempt, and the answer as it was."""
    server = face.server(200)

    got = face.send(server)

    assert (got.status_code, got.content, len(server.seen)) == (200, b"x", 1)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529])
def test_trouble_is_tried_again(face, status):
    """The statuses that a repetition may cure are repeated, and the answers of no use are closed."""
    server = face.server(status, status, 200)

    got = face.send(server)

    assert (got.status_code, len(server.seen), server.open_answers) == (200, 3, 0)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 412, 422, 501, 505])
def test_other_statuses_are_answers(face, status):
    """What no repetition cures is handed on at once."""
    server = face.server(status)

    assert (face.send(server).status_code, len(server.seen)) == (status, 1)


def test_the_last_answer_is_the_callers(face):
    """When all attempts were used, the caller gets the last answer, and can read it."""
    server = face.server(503)

    got = face.send(server)

    assert (got.status_code, got.content, len(server.seen)) == (503, b"x", 3)
    assert server.open_answers == 0


@pytest.mark.parametrize(
    ("status", "kind"), [(429, RateLimitError), (503, ServerError), (529, OverloadedError), (408, ServerError)]
)
def test_the_last_answer_can_be_raised(face, status, kind):
    """Asked for, the error of the tree is raised, with what the answer said; the answer is closed."""
    server = face.server(httpx2.Response(status, headers={"retry-after": "500", "x-request-id": "r-1"}))

    with pytest.raises(kind) as caught:
        face.send(server, options={"raise_answers": True})

    assert (caught.value.status_code, caught.value.retry_after, caught.value.request_id) == (status, 500.0, "r-1")
    assert (caught.value.operation, len(server.seen)) == ("GET /x", 1)
    assert server.given[0].is_closed


def test_answers_that_are_fine_are_never_raised(face):
    """A 404 is an answer; whoever wants it raised asks httpx2."""
    server = face.server(404)

    assert face.send(server, options={"raise_answers": True}).status_code == 404
    assert issubclass(BadRequestError, Exception)


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        pytest.param({"retry-after": "7"}, 7.0, id="seconds"),
        pytest.param({"retry-after": "0"}, 1.0, id="a-floor-only"),
        pytest.param({"retry-after-ms": "2500"}, 2.5, id="milliseconds"),
        pytest.param(
            {"date": "Sun, 22 Nov 2026 10:00:00 GMT", "retry-after": "Sun, 22 Nov 2026 10:00:09 GMT"}, 9.0, id="date"
        ),
    ],
)
def test_retry_after_is_the_least(face, headers, waits):
    """What the server asks to wait is waited."""
    server = face.server(httpx2.Response(503, headers=headers), 200)

    face.send(server)

    assert server.times[1] - server.times[0] == pytest.approx(waits)


def test_a_long_retry_after_ends_it(face):
    """A server that asks for more than the retry would wait gets no second request."""
    server = face.server(httpx2.Response(503, headers={"retry-after": "999"}))

    assert (face.send(server).status_code, len(server.seen)) == (503, 1)


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


def test_rules_of_the_user_see_the_answer(face):
    """A rule gets the error with the answer in it."""
    seen = []

    def rule(error):
        seen.append((type(error), error.response.headers["x-why"], str(error)))
        return False

    server = face.server(httpx2.Response(503, headers={"x-why": "maintenance"}))
    face.send(server, policy=face.retry(on=rule))

    assert seen == [(AnswerError, "maintenance", "GET /x: the server answered 503")]


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


def test_each_attempt_says_its_number(face):
    """The server sees which attempt it is; the caller's own request is not touched."""
    server = face.server(503, 503, 200)
    request = httpx2.Request("GET", "http://api/x")

    got = face.send(server, headers={"x": "y"})

    assert [seen.headers["outlast-attempt"] for seen in server.seen] == ["1", "2", "3"]
    assert all("outlast-timeout-ms" not in seen.headers for seen in server.seen)
    assert all(seen.headers["x"] == "y" and seen.headers["host"] == "api" for seen in server.seen)
    assert "outlast-attempt" not in got.request.headers
    assert "outlast-attempt" not in request.headers


def test_each_attempt_says_what_is_left(face):
    """With a deadline in force the server learns the rest, and httpx2's own limits shrink to it."""
    server = face.server(503, 200)

    face.send(server, within=4.0)

    assert [seen.headers["outlast-timeout-ms"] for seen in server.seen] == ["4000", "3000"]
    assert [seen.extensions["timeout"]["read"] for seen in server.seen] == [pytest.approx(4.0), pytest.approx(3.0)]


def test_no_time_left(face):
    """A request for which there is no time is not sent."""

    class Slow:
        def __init__(self, policy, clock):
            self.policy, self.clock = policy, clock

        def call(self, fn, *args):
            self.clock.advance(5.0)
            return fn(*args)

        async def acall(self, fn, *args):
            self.clock.advance(5.0)
            return await fn(*args)

    server = face.server(200)

    with pytest.raises(DeadlineExceededError):
        face.send(server, within=4.0, policy=Slow(None, face.clock))
    assert server.seen == []


def test_the_circuit_sees_answers(face):
    """5xx open the circuit, and what it then refuses is never sent; 4xx are a sign of health."""
    breaker = CircuitBreaker(failure_threshold=2, clock=face.clock, bus=face.bus)
    server = face.server(404, 500, 500, 200)

    assert [face.send(server, policy=breaker).status_code for _ in range(3)] == [404, 500, 500]
    with pytest.raises(CircuitOpenError):
        face.send(server, policy=breaker)
    assert (breaker.state, len(server.seen)) == (CircuitState.OPEN, 3)


def test_too_many_requests_say_nothing_of_health(face):
    """429 neither opens a circuit nor closes it."""
    breaker = CircuitBreaker(failure_threshold=1, clock=face.clock, bus=face.bus)

    assert face.send(face.server(429), policy=breaker).status_code == 429
    assert breaker.state is CircuitState.CLOSED


def test_a_post_in_doubt_still_counts(face):
    """That it may not be sent again does not make it a success."""
    breaker = CircuitBreaker(failure_threshold=1, clock=face.clock, bus=face.bus)

    with pytest.raises(httpx2.ReadError):
        face.send(face.server(RESET), "POST", policy=breaker)
    assert breaker.state is CircuitState.OPEN


def test_a_whole_pipeline(face):
    """Retry around breaker, in a pipeline."""
    breaker = CircuitBreaker(failure_threshold=5, clock=face.clock, bus=face.bus)
    pipeline = Pipeline("api", face.retry(), breaker, registry=Registry())
    server = face.server(500, 200)

    assert face.send(server, policy=pipeline).status_code == 200
    assert breaker.state is CircuitState.CLOSED


def test_notes_reach_the_caller(face):
    """An exception that was held back carries what the policies noted."""
    error = httpx2.ReadError("reset")

    with pytest.raises(httpx2.ReadError) as caught:
        face.send(face.server(error), "POST")

    assert any("outlast" in note for note in caught.value.__notes__)
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


def test_mistakes_of_the_caller_pass(face):
    """What is no failure of the network passes as it is."""
    error = RuntimeError("bug")

    with pytest.raises(RuntimeError) as caught:
        face.send(face.server(error))
    assert caught.value is error


def test_closing_closes_what_is_inside(face):
    """The inner transport belongs to the outer one."""
    server = face.server(200)
    transport = face.transport(server)
    face.transport = lambda *_: transport

    face.send(server)

    assert transport._inner.closed


@pytest.mark.parametrize(
    ("make", "inner"),
    [(ResilientTransport, httpx2.HTTPTransport), (AsyncResilientTransport, httpx2.AsyncHTTPTransport)],
)
def test_no_retries_below(make, inner):
    """A transport that retries by itself is refused: the attempts would multiply."""
    with pytest.raises(ConfigError, match="retries=0"):
        make(inner(retries=2))
    assert make(inner()).pipelines() == {}
    assert make().pipelines() == {}


def test_cancelling_leaves_nothing_open(async_face):
    """Cancellation in the wait before the next attempt closes what had come."""
    server = async_face.server(503)
    transport = async_face.transport(server, async_face.retry(wait=60.0))

    async def go():
        async with httpx2.AsyncClient(transport=transport) as client:
            task = asyncio.create_task(client.get("http://api/x"))
            await asyncio.sleep(1.0)
            task.cancel()
            await asyncio.wait([task])
            return task.cancelled()

    assert async_face.runner.run(go())
    assert (len(server.seen), server.open_answers) == (1, 0)


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
    """A hedge gets a GET sent twice at once, and closes what lost; a POST it gets once."""
    seen, bodies = [], []

    class Slow(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request):
            seen.append(request.method)
            await asyncio.sleep(5.0 if len(seen) == 1 else 1.0)
            got = httpx2.Response(200, text=request.method)
            bodies.append(got)
            return got

    hedge = Hedge(delay=1.0, idempotent=True, clock=async_face.clock, bus=async_face.bus)
    transport = AsyncResilientTransport(Slow(), pipeline=lambda _: hedge, clock=async_face.clock)

    async def go(method):
        seen.clear()
        async with httpx2.AsyncClient(transport=transport) as client:
            return (await client.request(method, "http://api/x")).status_code, list(seen)

    assert async_face.runner.run(go("GET")) == (200, ["GET", "GET"])
    assert async_face.runner.run(go("POST")) == (200, ["POST"])
