"""The receiver as ASGI middleware: Starlette, FastAPI, Litestar, Quart and others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from outlast.http._asgi import AsgiApp, Message, Receive, Scope, Send
from outlast.http._receiver import Receiver
from outlast.http._receiver_records import FENCE_HEADER, New, StoredResponse, fingerprint
from outlast.http._receiver_rules import Collected, ReceiverRules, Write
from outlast.http._receiver_steps import Ask
from outlast.http._receiver_unit import CONNECTION, AsyncUnit, AwaitedUnit, ThreadUnit, Turns

Connect = Callable[[], AbstractAsyncContextManager[Any] | AbstractContextManager[Any]]


class AsgiReceiver:
    """Run each request that writes in one transaction, once per key, and answer after its commit.

    The application works on the connection that `connection_of(request)` gives, and neither commits nor rolls back.
    When its answer is whole, the answer is stored under the request's key and everything is committed; only then the
    first byte goes out. A repeat gets the same status, headers and body, and `Idempotent-Replayed: true`, without the
    application being asked. An exception, or a status that is not final, rolls everything back and stores nothing,
    so a repeat starts afresh. Answers in parts are collected first; one above the limit is an error, and rolled back.

    Put whatever checks who is calling before this: a stored answer is given without asking the application.

    Args:
        app: The application.
        connect: Returns a context manager that gives a connection for one request: the `connection` of an
            AsyncConnectionPool of psycopg_pool, or for SQLite
            `lambda: closing(sqlite3.connect("app.db", check_same_thread=False))`.
        scope: Whose keys these are: a function from the ASGI scope to the account, or one text for all.
        rules: What is taken and kept. Default: see `ReceiverRules`.
        receiver: Where answers are kept, and how long. Default: `Receiver()`.

    Cancel: rolls back, or lets a commit that has begun come to its end; a repeat finds out which.
    """

    def __init__(
        self,
        app: AsgiApp,
        connect: Connect,
        *,
        scope: Callable[[Scope], str] | str,
        rules: ReceiverRules | None = None,
        receiver: Receiver | None = None,
    ) -> None:
        self._app = app
        self._connect = connect
        self._scope = scope
        self._rules = rules or ReceiverRules()
        self._receiver = receiver or Receiver()
        self._turns = Turns(self._rules.max_wait)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other kinds of connection, and methods that do not write, pass through."""
        if scope["type"] != "http" or scope["method"] not in self._rules.methods:
            await self._app(scope, receive, send)
            return
        rules = self._rules
        write = rules.admit(_header(scope, rules.key_header), _header(scope, FENCE_HEADER))
        if isinstance(write, StoredResponse):
            await _give(send, write)
            return
        body = await _read(receive, rules.max_body_bytes)
        if body is None:
            return  # the client has gone, and nothing was begun
        if len(body) > rules.max_body_bytes:
            await _give(send, rules.too_large_request())
            return
        scope["extensions"] = _offered(scope.get("extensions") or {})
        await self._serve(scope, self._ask(scope, write, body), _Body(body, receive), send)

    def _ask(self, scope: Scope, write: Write, body: bytes) -> Ask | None:
        if write.key is None:
            return None
        target = f"{scope['path']}?{scope.get('query_string', b'').decode('latin-1')}"
        account = self._scope if isinstance(self._scope, str) else self._scope(scope)
        return self._receiver.ask(write.key, fingerprint(scope["method"], target, body), account, write.fence)

    def _unit(self) -> AsyncUnit:
        manager = self._connect()
        if isinstance(manager, AbstractAsyncContextManager):
            return AwaitedUnit(manager)
        return ThreadUnit(manager, self._turns)

    async def _serve(self, scope: Scope, ask: Ask | None, receive: Receive, send: Send) -> None:
        try:
            unit = self._unit()
        except Exception as error:
            await _give(send, self._rules.instead_of(error))
            return
        try:
            given = await self._work(unit, scope, ask, receive, send)
        finally:
            scope.pop(CONNECTION, None)
            await unit.close()
        if given is not None:
            await _give(send, given)

    async def _work(
        self, unit: AsyncUnit, scope: Scope, ask: Ask | None, receive: Receive, send: Send
    ) -> StoredResponse | None:
        """Let the application do the work and answer, or return the answer to be given instead."""
        try:
            claim = await unit.open(ask)
        except Exception as error:
            return self._rules.instead_of(error)
        given = self._rules.answer_to(claim)
        if given is not None:
            return given
        scope[CONNECTION] = unit.connection
        settling = _Settling(unit, claim, self._rules, scope, send)
        try:
            await self._app(scope, receive, settling)
        except Exception:
            if settling.failure is None:
                raise
        # Whatever the application made of a failure, it is why the answer did not go out.
        return None if settling.failure is None else self._rules.instead_of(settling.failure)


class _Settling:
    """Collect what an application sends; when it is whole commit, and only then send it."""

    def __init__(self, unit: AsyncUnit, claim: object, rules: ReceiverRules, scope: Scope, send: Send) -> None:
        self._unit = unit
        self._scope = scope
        self._claim = claim if isinstance(claim, New) else None
        self._rules = rules
        self._send = send
        self._collected = Collected(rules.max_body_bytes)
        self.failure: Exception | None = None

    async def __call__(self, message: Message) -> None:
        """Take a message of the application."""
        if self.failure is not None:
            raise self.failure
        try:
            whole = self._take(message)
            if whole is None:
                return
            kept = self._rules.kept(whole)
            if kept is not None:
                await self._unit.commit(self._claim, kept)
        except Exception as error:
            self.failure = error
            raise
        # Tasks that run after the answer have no part in the transaction, and must not keep others waiting.
        self._scope.pop(CONNECTION, None)
        await self._unit.close()
        await _give(self._send, whole)

    def _take(self, message: Message) -> StoredResponse | None:
        if message["type"] == "http.response.start":
            pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ())]
            self._collected.start(message["status"], pairs)
            return None
        self._collected.add(message.get("body", b""))
        return None if message.get("more_body", False) else self._collected.whole()


class _Body:
    """Give a body that was read already, and afterwards what the server says."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        """Return the next message."""
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _read(receive: Receive, most: int) -> bytes | None:
    """Return the body, or None when the client has gone; of one above the limit only its beginning."""
    parts = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts += message.get("body", b"")
        if len(parts) > most or not message.get("more_body", False):
            return bytes(parts)


def _offered(extensions: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what would pass an answer by this middleware, such as sending a file by its path."""
    return {name: value for name, value in extensions.items() if not name.startswith("http.response.")}


def _header(scope: Scope, name: str) -> str | None:
    wanted = name.lower().encode("latin-1")
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    found = [value.decode("latin-1") for given, value in headers if given.lower() == wanted]
    return ", ".join(found) if found else None


async def _give(send: Send, answer: StoredResponse) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
