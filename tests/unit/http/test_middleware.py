"""The middleware: deadlines that come with a request, and what is answered for work that is refused."""

from __future__ import annotations

import asyncio
import json

import pytest

from outlast.errors import (
    BulkheadFullError,
    CircuitOpenError,
    ConfigError,
    DeadlineExceededError,
    Outcome,
    ThrottledError,
)
from outlast.http import AsgiMiddleware, WsgiMiddleware
from outlast.policies import remaining
from outlast.testing import ManualClock, VirtualLoop


class Answer:
    """What a client got."""

    def __init__(self, status=None, headers=(), body=b""):
        self.status, self.headers, self.body = status, dict(headers), body


class Asgi:
    """An application in tasks, on a loop in virtual time."""

    def __init__(self):
        self.clock = ManualClock()
        self.runner = asyncio.Runner(loop_factory=lambda: VirtualLoop(self.clock))

    def serve(self, work, **options):
        """Make a server; `work` is what it does before it answers."""

        async def app(scope, receive, send):
            seconds = work()
            if seconds:
                await asyncio.sleep(seconds)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"fine"})

        middleware = AsgiMiddleware(app, clock=self.clock, **options)
        return lambda timeout=None: self.runner.run(self.ask(middleware, timeout))

    async def ask(self, app, timeout, kind="http"):
        """Send a request."""
        got = Answer()
        headers = [(b"host", b"x")] + ([(b"outlast-timeout-ms", timeout.encode())] if timeout is not None else [])

        async def send(message):
            if message["type"] == "http.response.start":
                got.status = message["status"]
                got.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                got.body += message["body"]

        await app({"type": kind, "headers": headers}, None, send)
        return got

    def close(self):
        self.runner.close()


class Wsgi:
    """An application in threads."""

    def __init__(self):
        self.clock = ManualClock()

    def serve(self, work, **options):
        """Make a server; `work` is what it does before it answers."""

        def app(environ, start_response):
            self.clock.sleep(work() or 0)
            start_response("200 OK", [])
            return [b"fine"]

        middleware = WsgiMiddleware(app, clock=self.clock, **options)
        return lambda timeout=None: self.ask(middleware, timeout)

    def ask(self, app, timeout):
        """Send a request, as a server would that is strict about the protocol."""
        got = Answer()

        def start_response(status, headers, exc_info=None):
            assert got.status is None or exc_info, "started twice"
            got.status, got.headers = int(status.partition(" ")[0]), dict(headers)

        body = app({} if timeout is None else {"HTTP_OUTLAST_TIMEOUT_MS": timeout}, start_response)
        try:
            got.body = b"".join(body)
        finally:
            getattr(body, "close", lambda: None)()
        return got

    def close(self):
        """Nothing to let go."""


@pytest.fixture(params=[Asgi, Wsgi], ids=["asgi", "wsgi"])
def side(request):
    """The kind of server."""
    side = request.param()
    yield side
    side.close()


def raising(error):
    """Make work that raises."""

    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("timeout", "options", "seconds"),
    [
        pytest.param("1500", {}, 1.5, id="as-asked"),
        pytest.param(" 1500 ", {}, 1.5, id="with-spaces"),
        pytest.param("999999999", {}, 60.0, id="capped"),
        pytest.param("999999999", {"max_timeout": 5.0}, 5.0, id="capped-as-told"),
        pytest.param(None, {}, None, id="none"),
        pytest.param(None, {"default_timeout": 3.0}, 3.0, id="default"),
        pytest.param("soon", {}, None, id="garbage"),
        pytest.param("-5", {}, None, id="negative"),
        pytest.param("1e3", {}, None, id="not-whole"),
        pytest.param("\u0661", {}, None, id="other-digits"),
        pytest.param("9" * 400, {"default_timeout": 3.0}, 3.0, id="absurd"),
    ],
)
def test_the_deadline_is_restored(side, timeout, options, seconds):
    """The application has what the caller has left, within bounds; what makes no sense counts as not said."""
    if not (timeout or "").isascii() and isinstance(side, Asgi):
        timeout = None  # such a header cannot come over the wire
    seen = []

    got = side.serve(lambda: seen.append(remaining()), **options)(timeout)

    assert (got.status, got.body) == (200, b"fine")
    assert seen == [None if seconds is None else pytest.approx(seconds)]
    assert remaining() is None


def test_expired_work_is_refused_within_bounds(side):
    """Of a hundred requests that all came too late a fifth is refused; the others are served, without their limit."""
    seen = []
    ask = side.serve(lambda: seen.append(remaining()))

    statuses = [ask("0").status for _ in range(100)]

    assert (statuses.count(503), statuses.count(200)) == (20, 80)
    assert seen == [None] * 80


def test_traffic_pays_for_refusals(side):
    """Where most requests come in time, every one that came too late is refused."""
    ask = side.serve(lambda: None)

    statuses = [ask("0" if number % 6 == 5 else "1000").status for number in range(60)]

    assert statuses == [200, 200, 200, 200, 200, 503] * 10


def test_what_was_paid_expires(side):
    """Traffic of long ago pays for nothing."""
    ask = side.serve(lambda: None)
    for _ in range(50):
        ask("1000")
    side.clock.advance(10.0)

    assert ask("0").status == 200


def test_a_refusal_of_expired_work(side):
    """It says that nothing was done; it does not say when to come back, since nobody waits."""
    ask = side.serve(lambda: None, max_share=1.0)

    got = ask("0")

    assert got.status == 503
    assert "retry-after" not in got.headers
    assert json.loads(got.body) == {"type": "about:blank", "title": "Service Unavailable", "status": 503}


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        pytest.param(CircuitOpenError("circuit 'secret-db' is open", retry_after=12.2), 503, "13", id="circuit"),
        pytest.param(BulkheadFullError("secret-db is full"), 503, "1", id="bulkhead"),
        pytest.param(ThrottledError("secret-db", retry_after=0.01), 503, "1", id="throttled"),
        pytest.param(CircuitOpenError("secret-db", retry_after=float("inf")), 503, "1", id="no-end-in-sight"),
        pytest.param(DeadlineExceededError("secret-db", outcome=Outcome.NOT_APPLIED), 503, "1", id="no-time-to-begin"),
        pytest.param(DeadlineExceededError("secret-db"), 504, None, id="no-time-to-end"),
    ],
)
def test_refusals_are_answered(side, error, status, retry_after):
    """What the policies refuse is 503 with Retry-After; what was cut may have been done, so it is 504."""
    got = side.serve(raising(error))()

    assert (got.status, got.headers.get("retry-after")) == (status, retry_after)
    assert got.headers["content-type"] == "application/problem+json"
    assert int(got.headers["content-length"]) == len(got.body)
    assert json.loads(got.body)["status"] == status


def test_nothing_of_the_inside_is_shown(side):
    """An anonymous caller learns neither names nor hosts nor the text of an exception."""
    got = side.serve(raising(CircuitOpenError("circuit 'secret-db' is open", operation="secret-db")))()

    assert b"secret" not in got.body
    assert "secret" not in str(got.headers)


def test_other_errors_are_somebody_elses(side):
    """What is no refusal goes on as it is."""
    with pytest.raises(KeyError):
        side.serve(raising(KeyError("x")))()


@pytest.mark.parametrize(
    "options",
    [{"max_timeout": 0}, {"default_timeout": 0}, {"default_timeout": 61}, {"max_share": 0}, {"max_share": 1.1},
     {"retry_after": 0}],
)  # fmt: skip
def test_settings_that_make_no_sense(side, options):
    """They are refused when the middleware is made."""
    with pytest.raises(ConfigError):
        side.serve(lambda: None, **options)


def test_the_application_is_cut():
    """In tasks the time really ends the work."""
    side = Asgi()
    try:
        got = side.serve(lambda: 5.0)("2000")

        assert (got.status, side.clock.now()) == (504, pytest.approx(1002.0))
    finally:
        side.close()


def test_an_answer_that_began_is_not_replaced():
    """Once the status is out nothing else can be said; the error goes on."""
    side = Asgi()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise CircuitOpenError

    try:
        with pytest.raises(CircuitOpenError):
            side.runner.run(side.ask(AsgiMiddleware(app), None))
    finally:
        side.close()


def test_other_connections_pass():
    """A WebSocket or the start-up of the server is not touched."""
    side = Asgi()
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["type"], remaining()))

    try:
        side.runner.run(side.ask(AsgiMiddleware(app, default_timeout=3.0), "0", kind="websocket"))
    finally:
        side.close()
    assert seen == [("websocket", None)]


class Chunks:
    """A body in parts that knows whether it was closed."""

    def __init__(self, *parts):
        self.parts = iter(parts)
        self.closed = False

    def __iter__(self):
        return self

    def __next__(self):
        part = next(self.parts)
        if isinstance(part, Exception):
            raise part
        return part

    def close(self):
        self.closed = True


@pytest.mark.parametrize(
    ("parts", "status", "body"),
    [
        pytest.param([b"a", b"b"], 200, b"ab", id="parts"),
        pytest.param([], 200, b"", id="nothing"),
        pytest.param([CircuitOpenError()], 503, None, id="refused-at-the-first"),
    ],
)
def test_a_body_in_parts(parts, status, body):
    """The first part is made within the deadline; a refusal until then replaces the answer; the body is closed."""
    side, chunks = Wsgi(), Chunks(*parts)

    def app(environ, start_response):
        start_response("200 OK", [])
        return chunks

    got = side.ask(WsgiMiddleware(app), "1000")

    assert (got.status, chunks.closed) == (status, True)
    assert body is None or got.body == body


def test_a_generator_runs_within_the_deadline():
    """An application that is a generator begins when its first part is asked for, which is still in time."""
    side, seen = Wsgi(), []

    def app(environ, start_response):
        seen.append(remaining())
        start_response("200 OK", [])
        yield b"a"
        seen.append(remaining())
        yield b"b"

    got = side.ask(WsgiMiddleware(app, clock=side.clock), "1000")

    assert (got.body, seen) == (b"ab", [pytest.approx(1.0), None])
