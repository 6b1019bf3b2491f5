"""Transports over real sockets, through the fault proxy, against an API that writes down each effect."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import threading
import time

import httpx2
import pytest

from outlast import deadline
from outlast.errors import CircuitOpenError, DeadlineExceededError
from outlast.http import AsyncResilientTransport, ResilientTransport
from outlast.lab.proxy import BlackHole, DropAnswer, Healthy, Latency, Refuse, Status
from outlast.policies import Backoff, CircuitBreaker, Pipeline, Retry
from outlast.registry import Registry


def quick(attempts=3):
    """Make a retry that hardly waits."""
    return Retry(attempts, backoff=Backoff.fixed(0.02), max_retry_after=2.0)


class InThreads:
    """The sync colour."""

    def send(self, policy, method, url, limit=2.0, within=None, **request):
        """Send one request."""
        transport = ResilientTransport(pipeline=lambda _: policy)
        block = deadline(within) if within else contextlib.nullcontext()
        with httpx2.Client(transport=transport, timeout=limit) as client, block:
            return client.request(method, url, **request)


class InTasks:
    """The async colour."""

    def send(self, policy, method, url, limit=2.0, within=None, **request):
        """Send one request."""

        async def go():
            transport = AsyncResilientTransport(pipeline=lambda _: policy)
            block = deadline(within) if within else contextlib.nullcontext()
            async with httpx2.AsyncClient(transport=transport, timeout=limit) as client, block:
                return await client.request(method, url, **request)

        return asyncio.run(go())


@pytest.fixture(params=[InThreads, InTasks], ids=["sync", "async"])
def colour(request):
    """The colour of the client."""
    return request.param()


def body(proxied, write):
    """Return the body of a write."""
    return {"write": f"{proxied.prefix}-{write}", "text": "x"}


def heal_after_the_first(proxied):
    """End the fault when the API has answered for the first time."""
    while not any(exchange.upstream_status for exchange in proxied.exchanges):
        time.sleep(0.005)
    proxied.set(Healthy())


def test_through(colour, proxied):
    """A good exchange: one attempt, one effect."""
    got = colour.send(quick(), "PUT", proxied.url(), json=body(proxied, 1))

    assert got.status_code == 201
    assert len(proxied.exchanges) == 1
    assert colour.send(quick(), "GET", proxied.url()).json()["text"] == "x"


def test_an_outage_is_outlived(colour, proxied):
    """A port that refuses for a while costs attempts, not the call; whatever the method."""
    proxied.set(Refuse())
    threading.Timer(0.2, proxied.set, [Healthy()]).start()

    got = colour.send(quick(attempts=500), "POST", proxied.url(), json=body(proxied, 1))

    assert got.status_code == 405  # the API has no POST: what counts is that it was sent, and once
    assert len(proxied.exchanges) == 1


def test_a_lost_answer_to_a_put(colour, proxied):
    """The effect took place, the answer was lost; the same bytes again are harmless by method and key."""
    proxied.set(DropAnswer(1.0))
    healing = threading.Thread(target=heal_after_the_first, args=[proxied])
    healing.start()

    headers = {"Idempotency-Key": f"{proxied.prefix}-k"}
    got = colour.send(quick(attempts=500), "PUT", proxied.url(), json=body(proxied, 1), headers=headers)
    healing.join(10)

    assert got.headers.get("idempotent-replayed") == "true"
    assert len(proxied.exchanges) > 1
    assert proxied.api.writes(proxied.prefix) == [f"{proxied.prefix}-1"]


def test_a_lost_answer_to_a_post(colour, proxied):
    """A POST whose answer was lost is sent once."""
    proxied.set(DropAnswer(1.0))

    with pytest.raises(httpx2.TransportError):
        colour.send(quick(), "POST", proxied.url(), json=body(proxied, 1))
    assert len(proxied.exchanges) == 1


def test_the_server_says_when(colour, proxied):
    """Retry-After over the wire is the least that is waited."""
    proxied.set(Status(503, retry_after=1))
    begun = time.monotonic()

    got = colour.send(quick(attempts=2), "GET", proxied.url())

    assert got.status_code == 503
    assert time.monotonic() - begun >= 1.0
    assert len(proxied.exchanges) == 2


@pytest.fixture
def failing():
    """A server that answers 500 and keeps the headers of what it was sent."""
    seen = []

    class Failing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.headers)
            self.send_response(500)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args):
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Failing) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", seen
        server.shutdown()
        thread.join(10)


def test_each_attempt_is_numbered(colour, failing):
    """The server sees the attempts and the time that is left."""
    url, seen = failing

    colour.send(quick(), "GET", url, within=5.0)

    assert [headers["outlast-attempt"] for headers in seen] == ["1", "2", "3"]
    left = [int(headers["outlast-timeout-ms"]) for headers in seen]
    assert 5000 >= left[0] > left[1] > left[2] > 4000


def test_a_deadline_holds(colour, proxied):
    """A silent server holds nobody longer than the deadline, in either colour."""
    proxied.set(BlackHole())

    with pytest.raises((DeadlineExceededError, httpx2.ReadTimeout)):
        colour.send(quick(), "GET", proxied.url(), limit=300.0, within=0.4)


def test_a_slow_server_opens_the_circuit(colour, proxied):
    """What the circuit refuses does not reach the server."""
    breaker = CircuitBreaker(failure_threshold=2)
    proxied.set(Latency(5.0))

    for _ in range(2):
        with pytest.raises(httpx2.ReadTimeout):
            colour.send(breaker, "GET", proxied.url(), limit=0.1)
    with pytest.raises(CircuitOpenError):
        colour.send(breaker, "GET", proxied.url())
    assert len(proxied.exchanges) == 2


def test_bodies_that_are_streams(colour, proxied):
    """A stream is sent once, however often the server asks to come back."""
    proxied.set(Status(503, retry_after=0))

    def chunks():
        yield b"{"
        yield b"}"

    async def achunks():
        for chunk in chunks():
            yield chunk

    content = chunks() if isinstance(colour, InThreads) else achunks()
    got = colour.send(quick(), "PUT", proxied.url(), content=content)

    assert (got.status_code, len(proxied.exchanges)) == (503, 1)


def test_no_connection_is_left(proxied):
    """After a storm of failures and cancelled calls the pool has every connection back."""

    async def storm():
        inner = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_connections=5))
        policy = Pipeline("storm", quick(), CircuitBreaker(failure_threshold=10_000), registry=Registry())
        async with httpx2.AsyncClient(
            transport=AsyncResilientTransport(inner, pipeline=lambda _: policy), timeout=1.0
        ) as client:
            proxied.set(Status(503))
            tasks = [asyncio.create_task(client.get(proxied.url())) for _ in range(60)]
            for number, task in enumerate(tasks):
                if number % 3 == 0:
                    await asyncio.sleep(0.005)
                    task.cancel()
            await asyncio.wait(tasks)
            proxied.set(Healthy())
            after = await asyncio.gather(*(client.get(proxied.url()) for _ in range(20)))
            busy = [connection for connection in inner._pool.connections if not connection.is_idle()]
            return {answer.status_code for answer in after}, busy

    assert asyncio.run(storm()) == ({404}, [])
