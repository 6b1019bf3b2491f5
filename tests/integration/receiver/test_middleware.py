"""The receiver's middleware around applications of both kinds, on both databases, called as a server would."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from wsgiref.validate import validator

import psycopg
import pytest

from outlast.errors import ConfigError
from outlast.http import AsgiReceiver, Fence, Receiver, ReceiverRules, WsgiReceiver, connection_of

OLD = {"idempotent-replayed": "true"}


class Answer:
    """What a client got."""

    def __init__(self):
        self.status, self.headers, self.body = None, {}, b""

    @property
    def problem(self):
        """Status, and the end of the type of the problem document."""
        assert self.headers["content-type"] == "application/problem+json"
        assert json.loads(self.body)["status"] == self.status
        return self.status, json.loads(self.body)["type"].rpartition(":")[2]


class Script:
    """What the application does: note the effect, then answer, or raise."""

    def __init__(self):
        self.status, self.headers, self.parts = 201, [("content-type", "text/plain"), ("etag", '"7"')], [b"ma", b"de"]
        self.error = None
        self.statement = "INSERT INTO effects VALUES ('{key}', 'app')"
        self.calls = 0
        self.bodies = []
        self.after = []
        self.inside = None
        self.overlooks = False

    def effect(self, key):
        self.calls += 1
        return self.statement.format(key=key)


class Asgi:
    """An application in tasks."""

    def __init__(self, place):
        self.place = place
        self.script = Script()
        self.runner = asyncio.Runner()

    def connect(self):
        """Give what the middleware asks for."""
        if self.place.is_sqlite:
            return self.place.connect()

        @contextlib.asynccontextmanager
        async def connected():
            async with await psycopg.AsyncConnection.connect(self.place.address) as connection:
                yield connection

        return connected()

    def serve(self, *, scope="all", rules=None, receiver=None, connect=None):
        """Make the server side."""
        self.app = AsgiReceiver(self.inner, connect or self.connect, scope=scope, rules=rules, receiver=receiver)

    async def inner(self, scope, receive, send):
        script = self.script
        if scope["method"] == "GET":
            script.inside = scope.get("outlast.connection")
        else:
            script.bodies.append((await receive())["body"])
            key = dict(scope["headers"]).get(b"idempotency-key", b"none").decode()
            with contextlib.suppress(psycopg.Error) if script.overlooks else contextlib.nullcontext():
                running = connection_of(scope).execute(script.effect(key))
                if inspect.isawaitable(running):
                    await running
            if script.inside is not None:
                await script.inside()
        if script.error:
            raise script.error
        headers = [(name.encode(), value.encode()) for name, value in script.headers]
        await send({"type": "http.response.start", "status": script.status, "headers": headers})
        for part in script.parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})
        for task in script.after:
            await task(scope)

    def ask(self, key="k", body=b"x", *, method="POST", path="/notes", query=b"", headers=()):
        """Send a request."""
        return self.runner.run(self.asks(key, body, method=method, path=path, query=query, headers=headers))

    async def asks(self, key="k", body=b"x", *, method="POST", path="/notes", query=b"", headers=()):
        got, pairs = Answer(), [(b"host", b"x"), *[(n.lower().encode(), v.encode()) for n, v in headers]]
        if key is not None:
            pairs.append((b"idempotency-key", key.encode()))
        scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": pairs}
        parts = [body[:1], body[1:]]

        async def receive():
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)} if parts else {"type": "x"}

        async def send(message):
            if message["type"] == "http.response.start":
                got.status = message["status"]
                got.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                got.body += message.get("body", b"")

        await self.app(scope, receive, send)
        return got

    def close(self):
        self.runner.close()


class Wsgi:
    """An application in threads, with the standard library's validator on both sides of the middleware."""

    def __init__(self, place):
        self.place = place
        self.script = Script()

    def connect(self):
        """Give what the middleware asks for."""
        return self.place.connect()

    def serve(self, *, scope="all", rules=None, receiver=None, connect=None):
        """Make the server side."""
        inner = validator(self.inner)
        app = WsgiReceiver(inner, connect or self.connect, scope=scope, rules=rules, receiver=receiver)
        self.app = validator(app)

    def inner(self, environ, start_response):
        script = self.script
        if environ["REQUEST_METHOD"] == "GET":
            script.inside = environ.get("outlast.connection")
        else:
            script.bodies.append(environ["wsgi.input"].read(1 << 30))
            key = environ.get("HTTP_IDEMPOTENCY_KEY", "none")
            with contextlib.suppress(psycopg.Error) if script.overlooks else contextlib.nullcontext():
                connection_of(environ).execute(script.effect(key))
        if script.error:
            raise script.error
        start_response(f"{script.status} Whatever", list(script.headers))
        return iter(script.parts)

    def ask(self, key="k", body=b"x", *, method="POST", path="/notes", query=b"", headers=()):
        """Send a request."""
        got = Answer()
        environ = {
            "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query.decode(),
            "CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "text/plain", "SERVER_NAME": "x", "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(), "wsgi.multithread": True,
            "wsgi.multiprocess": True, "wsgi.run_once": False,
        }  # fmt: skip
        environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers}
        if key is not None:
            environ["HTTP_IDEMPOTENCY_KEY"] = key

        def start_response(status, pairs, error=None):
            got.status, got.headers = int(status[:3]), {name.lower(): value for name, value in pairs}
            return got

        body = self.app(environ, start_response)
        try:
            got.body = b"".join(body)
        finally:
            body.close()
        return got

    def close(self):
        """Nothing to let go."""


@pytest.fixture(params=[Asgi, Wsgi], ids=["asgi", "wsgi"])
def side(request, place):
    """Each kind of server side, on each database, around the script."""
    side = request.param(place)
    side.serve()
    yield side
    side.close()


def test_a_repeat_is_answered_the_same(side):
    """Status, headers and body come again as they were, with a mark, and the application is not asked."""
    side.script.headers.append(("Set-Cookie", "session=secret"))
    first, second = side.ask(), side.ask()

    assert (first.status, first.body, first.headers["content-length"]) == (201, b"made", "4")
    assert first.headers["set-cookie" if "set-cookie" in first.headers else "Set-Cookie"] == "session=secret"
    kept = {name: value for name, value in first.headers.items() if name.lower() != "set-cookie"}
    assert (second.status, second.headers, second.body) == (201, kept | OLD, b"made")
    assert (side.script.calls, side.place.effects()) == (1, ["k"])


def test_the_application_gets_the_body(side):
    """What was read for the fingerprint is there for the application."""
    side.ask(body=b"all of it")

    assert side.script.bodies == [b"all of it"]


@pytest.mark.parametrize(
    "other",
    [{"body": b"y"}, {"path": "/others"}, {"method": "PUT"}, {"query": b"a=1"}],
    ids=["body", "path", "method", "query"],
)
def test_a_key_belongs_to_one_request(side, other):
    """The key with another request is refused, and says so in a problem document."""
    side.ask()
    got = side.ask(**other)

    assert got.problem == (422, "idempotency-key-reused")
    assert side.place.effects() == ["k"]


def test_a_repeat_during_the_first(side):
    """On PostgreSQL it is told to come back with the same key; the effect stays one."""
    if side.place.is_sqlite:
        return
    with side.place.connect() as other:
        Receiver().claim(other, "k", "whatever", scope="all")
        got = side.ask()
        other.rollback()

    assert (got.problem, got.headers["retry-after"]) == ((409, "idempotency-key-in-progress"), "1")
    assert side.ask().status == 201


def test_a_busy_database_is_no_failure_of_the_request(side):
    """SQLite that somebody else writes to for too long is 503 with Retry-After, and nothing was done."""
    if not side.place.is_sqlite:
        return
    side.serve(rules=ReceiverRules(max_wait=0.05, retry_after=7))
    with side.place.connect() as other:
        other.execute("BEGIN IMMEDIATE")
        got, keyless = side.ask(), side.ask(None)

    assert (got.problem, got.headers["retry-after"]) == ((503, "busy"), "7")
    assert keyless.problem == (503, "busy")
    assert (side.script.calls, side.ask().status) == (0, 201)


def test_a_database_that_is_away(side, tmp_path):
    """Where nobody listens nothing was done, and the sender may come back; a wrong path is the operator's to see."""
    if side.place.is_sqlite:
        side.serve(connect=lambda: contextlib.closing(sqlite3.connect(tmp_path / "no such folder" / "app.db")))
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            side.ask()
        return
    side.place.address = "host=127.0.0.1 port=1"

    assert side.ask().problem == (503, "busy")


def test_an_exception_rolls_back(side):
    """What raises leaves no effect and no answer, so a repeat starts afresh."""
    side.script.error = ZeroDivisionError("inside")
    with pytest.raises(ZeroDivisionError):
        side.ask()
    assert side.place.effects() == []
    side.script.error = None

    assert side.ask().status == 201
    assert side.place.effects() == ["k"]


@pytest.mark.parametrize("status", [500, 503, 429, 401, 408])
def test_an_answer_that_is_not_final_rolls_back(side, status):
    """A sender that will come back finds nothing done; the application's own answer goes out."""
    side.script.status = status
    got = side.ask()
    assert (got.status, got.body, side.place.effects()) == (status, b"made", [])
    side.script.status = 201

    assert (side.ask().status, side.place.effects()) == (201, ["k"])


@pytest.mark.parametrize("status", [200, 204, 303, 404, 412, 422])
def test_a_final_answer_is_kept(side, status):
    """A refusal too: a repeat that comes late must not take effect after its sender was told no."""
    side.script.status, side.script.parts = status, [] if status == 204 else [b"told"]
    side.script.headers = [] if status == 204 else side.script.headers
    first, second = side.ask(), side.ask()

    assert (first.status, second.status, second.body) == (status, status, first.body)
    assert (second.headers, side.script.calls) == (first.headers | OLD, 1)


def test_the_rules_may_say_what_is_final(side):
    """Which statuses are kept is the user's to say."""
    side.serve(rules=ReceiverRules(is_final=lambda status: status == 201))
    side.script.status = 404
    side.ask()
    side.ask()

    assert (side.script.calls, side.place.effects()) == (2, [])


def test_requests_without_a_key(side):
    """They run in a transaction as well, each time anew, and nothing of them is kept."""
    assert [side.ask(None).status for _ in range(2)] == [201, 201]
    assert side.place.effects() == ["none", "none"]
    side.script.status = 500
    side.ask(None)
    assert side.place.effects() == ["none", "none"]
    assert side.place.rows("SELECT count(*) FROM outlast_receipts") == [(0,)]


def test_a_key_may_be_demanded(side):
    """Without one the request is refused, and nothing is done."""
    side.serve(rules=ReceiverRules(require_key=True))

    assert side.ask(None).problem == (400, "idempotency-key-missing")
    assert side.script.calls == 0


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "two, keys", "ü"])
def test_what_is_no_key(side, key):
    """A header that names no key is refused, not ignored."""
    assert side.ask(key).problem == (400, "idempotency-key-invalid")
    assert side.script.calls == 0


def test_quotes_do_not_matter(side):
    """The draft quotes the key, most senders do not; it is the same key."""
    side.ask('"k"')

    assert side.ask("k").headers["idempotent-replayed"] == "true"


def test_the_header_has_another_name(side):
    """Some call it otherwise."""
    side.serve(rules=ReceiverRules(key_header="X-Request-Key"))

    assert [side.ask(None, headers=[("X-Request-Key", "q")]).status for _ in range(2)] == [201, 201]
    assert side.script.calls == 1


def test_accounts_share_no_keys(side):
    """The function tells whose key it is."""

    def account(request):
        headers = dict(request.get("headers", ()))
        return headers.get(b"x-account", b"").decode() if headers else request["HTTP_X_ACCOUNT"]

    side.serve(scope=account)
    answers = [side.ask(headers=[("X-Account", name)]).status for name in ("a", "b", "a")]

    assert (answers, side.script.calls) == ([201, 201, 201], 2)


def test_a_replaced_sender_is_refused(side):
    """A request of an earlier term is answered with a problem, and does nothing."""
    side.ask("a", headers=[("Outbox-Fence", Fence("box", 5).header())])
    got = side.ask("b", headers=[("Outbox-Fence", Fence("box", 4).header())])

    assert got.problem == (409, "stale-fence")
    assert side.ask("c", headers=[("Outbox-Fence", "later")]).problem == (400, "idempotency-key-invalid")
    assert side.place.effects() == ["a"]


def test_a_large_request_is_refused(side):
    """A body above the limit is not taken."""
    side.serve(rules=ReceiverRules(max_body_bytes=10))

    assert side.ask("a", b"x" * 10).status == 201
    assert side.ask("b", b"x" * 11).problem == (413, "request-too-large")
    assert side.place.effects() == ["a"]


def test_a_large_answer_is_rolled_back(side):
    """An answer that cannot be kept cannot be repeated, so nothing is done for it."""
    side.serve(rules=ReceiverRules(max_body_bytes=10))
    side.script.parts = [b"x"] * 11

    assert side.ask().problem == (500, "answer-too-large")
    assert side.place.effects() == []
    side.script.parts = [b"x"] * 10
    assert side.ask().status == 201


def test_reading_passes_through(side):
    """A GET is not touched: no transaction, and no limit."""
    side.serve(rules=ReceiverRules(max_body_bytes=3))

    got = side.ask(method="GET", body=b"")

    assert (got.status, got.body, side.script.inside, side.script.calls) == (200 + 1, b"made", None, 0)


def test_a_transaction_that_has_failed_is_no_success(side):
    """An application that overlooks its database's error does not tell its client that all went well."""
    if side.place.is_sqlite:
        return  # a statement that fails leaves the rest of its transaction as it is
    fine, side.script.statement, side.script.overlooks = side.script.statement, "SELECT 1 / 0", True
    for key in ("k", None):
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            side.ask(key)
    side.script.statement = fine
    assert (side.ask().status, side.place.effects()) == (201, ["k"])


def test_an_application_that_commits_is_found_out(side):
    """The transaction belongs to the middleware; who ends it gets an error, not a wrong promise."""
    side.script.statement = "COMMIT"

    with pytest.raises(ConfigError, match="leave commit and rollback to the middleware"):
        side.ask()


def test_the_answer_waits_for_the_commit(side):
    """When COMMIT fails, nobody has heard of success."""
    if side.place.is_sqlite:
        side.place.run("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        side.place.run("CREATE TABLE kids (id INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED)")
        side.serve(connect=lambda: with_foreign_keys(side.place))
    else:
        side.place.run("CREATE TABLE parents (id integer PRIMARY KEY)")
        side.place.run("CREATE TABLE kids (id integer REFERENCES parents DEFERRABLE INITIALLY DEFERRED)")
    fine, side.script.statement = side.script.statement, "INSERT INTO kids VALUES (7)"

    with pytest.raises(Exception, match=r"(?i)foreign key"):
        side.ask()
    side.script.statement = fine
    assert side.place.rows("SELECT count(*) FROM kids") == [(0,)]
    assert (side.ask().status, side.place.effects()) == (201, ["k"])


@contextlib.contextmanager
def with_foreign_keys(place):
    """Open SQLite so that it holds them."""
    with place.connect() as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        yield connection


class Crowd:
    """Clients that send the same at the same time, and come back when they are told to."""

    def __init__(self, side, keys):
        self.side, self.keys = side, keys
        self.heard = {key: set() for key in keys}

    def settled(self, got, key):
        if got.status == 201:
            self.heard[key].add((got.body, got.headers["etag"]))
        else:
            assert got.problem == (409, "idempotency-key-in-progress")
        return got.status == 201

    def one(self, key):
        while not self.settled(self.side.ask(key), key):
            pass

    async def task(self, key):
        while not self.settled(await self.side.asks(key), key):
            pass

    async def tasks(self):
        await asyncio.gather(*map(self.task, self.keys))

    def ask(self):
        """Send everything."""
        if isinstance(self.side, Asgi):
            self.side.runner.run(self.tasks())
            return
        with ThreadPoolExecutor(len(self.keys)) as threads:
            list(threads.map(self.one, self.keys))


def test_many_at_once_take_effect_once(side):
    """Clients that send the same at the same time hear the same, or are told to come back."""
    crowd = Crowd(side, [f"k{number % 3}" for number in range(12)])

    crowd.ask()

    assert side.place.effects() == ["k0", "k1", "k2"]
    assert {key: len(answers) for key, answers in crowd.heard.items()} == {"k0": 1, "k1": 1, "k2": 1}


@pytest.fixture
def asgi(place):
    """The server side in tasks."""
    side = Asgi(place)
    side.serve()
    yield side
    side.close()


def test_work_after_the_answer_holds_nothing(asgi):
    """A background task runs after the commit, has no connection, and keeps nobody else from writing."""
    asgi.serve(rules=ReceiverRules(max_wait=5.0))
    seen = []

    async def task(scope):
        asgi.script.after.clear()
        seen.append(asgi.place.effects())
        seen.append((await asgi.asks("other")).status)
        with pytest.raises(ConfigError, match="has no connection"):
            connection_of(scope)

    asgi.script.after.append(task)
    asgi.ask()

    assert seen == [["k"], 201]


def test_a_client_that_goes_away_early(asgi):
    """Where the request never came whole nothing is begun."""

    async def gone():
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    asgi.runner.run(asgi.app(scope, gone, None))

    assert asgi.script.calls == 0


def test_other_connections_pass(asgi):
    """A WebSocket is not a write."""
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    asgi.runner.run(AsgiReceiver(app, asgi.connect, scope="all")({"type": "websocket"}, None, None))

    assert seen == ["websocket"]


def test_cancelling_rolls_back(asgi):
    """A request that is cut in the middle leaves nothing, and the next one gets its turn."""

    async def cut():
        reached = asyncio.Event()

        async def inside():
            reached.set()
            await asyncio.sleep(60)

        asgi.script.inside = inside
        task = asyncio.create_task(asgi.asks())
        await reached.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        asgi.script.inside = None
        return await asgi.asks()

    assert asgi.runner.run(cut()).status == 201
    assert asgi.place.effects() == ["k"]


async def test_cancelling_while_waiting_for_the_file(sqlite_place):
    """A request that is cut while another process writes leaves no transaction behind in its thread."""
    side = Asgi(sqlite_place.prepare())
    side.serve()
    with sqlite_place.connect() as other:
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(side.asks())
        done, _ = await asyncio.wait([task], timeout=0.05)
        assert not done
        task.cancel()
        await asyncio.sleep(0)
        other.rollback()
        await asyncio.wait([task])
        other.execute("BEGIN IMMEDIATE")
    assert task.cancelled()

    assert (await side.asks()).status == 201
    side.close()


def test_tasks_wait_for_their_turn_to_write(sqlite_place):
    """With SQLite one request writes at a time; the others wait, and those that wait too long are told so."""
    side = Asgi(sqlite_place.prepare())
    side.serve(rules=ReceiverRules(max_wait=0.05))

    async def together():
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def inside():
            reached.set()
            await go_on.wait()

        side.script.inside = inside
        first = asyncio.create_task(side.asks("a"))
        await reached.wait()
        second = await side.asks("b")
        go_on.set()
        return second.problem, (await first).status

    try:
        assert side.runner.run(together()) == ((503, "busy"), 201)
        assert sqlite_place.effects() == ["a"]
    finally:
        side.close()


def test_a_connection_of_the_wrong_colour_is_named(asgi):
    """Under ASGI PostgreSQL is awaited, and SQLite is not."""
    place = asgi.place

    @contextlib.asynccontextmanager
    async def awaited():
        with place.connect() as connection:
            yield connection

    asgi.serve(connect=awaited if place.is_sqlite else place.connect)

    with pytest.raises(ConfigError, match="AsyncConnection"):
        asgi.ask()


def test_a_request_from_elsewhere_has_no_connection():
    """Without the middleware there is no transaction, and the error says what is missing."""
    for request in ({}, object()):
        with pytest.raises(ConfigError, match="did not come through"):
            connection_of(request)
