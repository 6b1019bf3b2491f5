"""Requests through a pipeline: what is tried again, what the caller gets, what servers and policies see."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from outlast.errors import (
    CircuitOpenError,
    ConfigError,
    DeadlineExceededError,
    OverloadedError,
    RateLimitError,
    ServerError,
)
from outlast.http import AnswerError, AsyncResilientTransport, ResilientTransport
from outlast.policies import CircuitBreaker, CircuitState, Pipeline
from outlast.registry import Registry


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


def test_rules_of_the_user_see_the_answer(face):
    """A rule gets the error with the answer in it."""
    seen = []

    def rule(error):
        seen.append((type(error), error.response.headers["x-why"], str(error)))
        return False

    server = face.server(httpx2.Response(503, headers={"x-why": "maintenance"}))
    face.send(server, policy=face.retry(on=rule))

    assert seen == [(AnswerError, "maintenance", "GET /x: the server answered 503")]


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


def test_a_whole_pipeline(face):
    """Retry around breaker, in a pipeline."""
    breaker = CircuitBreaker(failure_threshold=5, clock=face.clock, bus=face.bus)
    pipeline = Pipeline("api", face.retry(), breaker, registry=Registry())
    server = face.server(500, 200)

    assert face.send(server, policy=pipeline).status_code == 200
    assert breaker.state is CircuitState.CLOSED


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
