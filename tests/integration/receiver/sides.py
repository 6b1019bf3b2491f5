"""The receiver's middleware around applications of both kinds, called as a server would."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import json
from wsgiref.validate import validator

import psycopg

from outlast.http import AsgiReceiver, WsgiReceiver, connection_of

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

    def work(self, connection, key):
        """Do the work, if there is any; on an awaited connection it is yet to be awaited."""
        self.calls += 1
        return None if self.statement is None else connection.execute(self.statement.format(key=key))


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
                running = script.work(connection_of(scope), key)
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
                script.work(connection_of(environ), key)
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
