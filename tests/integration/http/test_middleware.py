"""The middleware in real servers: uvicorn with Starlette, and wsgiref."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import wsgiref.simple_server
from wsgiref.validate import validator

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from outlast import deadline
from outlast.errors import BulkheadFullError
from outlast.http import AsgiMiddleware, ResilientTransport, WsgiMiddleware
from outlast.policies import Retry, remaining


async def left(request):
    """Say how much time there is."""
    return PlainTextResponse(str(remaining()))


async def full(request):
    """Refuse."""
    raise BulkheadFullError("db-internal is full", retry_after=7.0)


async def slow(request):
    """Take a while."""
    await asyncio.sleep(30)


async def streaming(request):
    """Answer in parts."""

    async def parts():
        for part in (b"a", b"b"):
            yield part

    return StreamingResponse(parts())


def wsgi(environ, start_response):
    """Do as the routes of the other."""
    path = environ["PATH_INFO"]
    if path == "/full":
        raise BulkheadFullError("db-internal is full", retry_after=7.0)
    start_response("200 OK", [("content-type", "text/plain")])
    if path == "/streaming":
        return (part for part in (b"a", b"b"))
    return [str(remaining()).encode()]


@contextlib.contextmanager
def asgi_server():
    """Serve Starlette with uvicorn; give the address."""
    routes = [Route("/left", left), Route("/full", full), Route("/slow", slow), Route("/streaming", streaming)]
    app = Starlette(routes=routes)
    app.add_middleware(AsgiMiddleware, max_timeout=20.0)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    """Keep no log."""

    def log_message(self, *args):
        """Say nothing."""


@contextlib.contextmanager
def wsgi_server():
    """Serve with wsgiref, whose validator stands on both sides of the middleware; give the address."""
    app = validator(WsgiMiddleware(validator(wsgi), max_timeout=20.0))
    with wsgiref.simple_server.make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


@pytest.fixture(scope="module", params=[asgi_server, wsgi_server], ids=["asgi", "wsgi"])
def server(request):
    """A real server of each kind."""
    with request.param() as url:
        yield url


@pytest.fixture
def client():
    """A client with a transport that tries once."""
    with httpx2.Client(transport=ResilientTransport(pipeline=lambda _: Retry(1))) as client:
        yield client


def test_the_deadline_travels(server, client):
    """What the caller has left is what the server has left, and not more than it allows."""
    with deadline(5.0):
        assert 4.0 < float(client.get(f"{server}/left").text) <= 5.0
    with deadline(500.0):
        assert 19.0 < float(client.get(f"{server}/left").text) <= 20.0
    assert client.get(f"{server}/left").text == "None"


def test_a_refusal_travels(server, client):
    """The caller's policies learn what the server's policies said, and nothing of the inside."""
    got = client.get(f"{server}/full")

    assert (got.status_code, got.headers["retry-after"]) == (503, "7")
    assert got.headers["content-type"] == "application/problem+json"
    assert got.json() == {"type": "about:blank", "title": "Service Unavailable", "status": 503}


def test_answers_in_parts(server, client):
    """Streams pass."""
    assert client.get(f"{server}/streaming").text == "ab"


def test_the_server_stops_in_time():
    """When the caller's time is over the server has stopped working too."""
    with asgi_server() as url, httpx2.Client() as client:
        got = client.get(f"{url}/slow", headers={"Outlast-Timeout-Ms": "200"})

        assert got.status_code == 504
