"""The receiver as WSGI middleware: Flask, Pyramid, Bottle and others."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from http import HTTPStatus
from typing import Any

from outlast.http._receiver import Receiver
from outlast.http._receiver_records import FENCE_HEADER, New, StoredResponse, fingerprint
from outlast.http._receiver_rules import Collected, ReceiverRules, TooLargeError, Write
from outlast.http._receiver_steps import Ask
from outlast.http._receiver_unit import CONNECTION, Unit
from outlast.http._wsgi import StartResponse, WsgiApp

Environ = dict[str, Any]


class WsgiReceiver:
    """Do as `AsgiReceiver`, for an application in threads.

    Thread-safe: yes.

    Args:
        app: The application.
        connect: Returns a context manager that gives a connection for one request: the `connection` of a ConnectionPool
            of psycopg_pool, or `lambda: closing(sqlite3.connect("app.db"))`.
        scope: Whose keys these are: a function from the environ to the account, or one text for all.
        rules: What is taken and kept. Default: see `ReceiverRules`.
        receiver: Where answers are kept, and how long. Default: `Receiver()`.
    """

    def __init__(
        self,
        app: WsgiApp,
        connect: Callable[[], AbstractContextManager[Any]],
        *,
        scope: Callable[[Environ], str] | str,
        rules: ReceiverRules | None = None,
        receiver: Receiver | None = None,
    ) -> None:
        self._app = app
        self._connect = connect
        self._scope = scope
        self._rules = rules or ReceiverRules()
        self._receiver = receiver or Receiver()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if environ["REQUEST_METHOD"] not in self._rules.methods:
            return self._app(environ, start_response)
        with ExitStack() as after:
            answer = self._answer(environ, after)
            start_response(f"{answer.status} {_phrase(answer.status)}", list(answer.headers))
            return _Body(answer.body, after.pop_all())

    def _answer(self, environ: Environ, after: ExitStack) -> StoredResponse:
        rules = self._rules
        write = rules.admit(environ.get(_variable(rules.key_header)), environ.get(_variable(FENCE_HEADER)))
        if isinstance(write, StoredResponse):
            return write
        if _is_endless(environ):
            return rules.unmeasured_request()
        body = _read(environ, rules.max_body_bytes + 1)
        if body is None:
            return rules.broken_off_request()
        if len(body) > rules.max_body_bytes:
            return rules.too_large_request()
        # Whatever the server keeps in its own environ, the application reads the body from here.
        inner = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        inner.pop("HTTP_TRANSFER_ENCODING", None)
        return self._served(inner, self._ask(environ, write, body), after)

    def _ask(self, environ: Environ, write: Write, body: bytes) -> Ask | None:
        if write.key is None:
            return None
        target = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}?{environ.get('QUERY_STRING', '')}"
        scope = self._scope if isinstance(self._scope, str) else self._scope(environ)
        digest = fingerprint(environ["REQUEST_METHOD"], target, body)
        return self._receiver.ask(write.key, digest, scope, write.fence)

    def _served(self, environ: Environ, ask: Ask | None, after: ExitStack) -> StoredResponse:
        try:
            unit = Unit(self._connect(), self._rules.max_wait)
        except Exception as error:
            return self._rules.instead_of(error)
        try:
            return self._worked(unit, environ, ask, after)
        finally:
            environ.pop(CONNECTION, None)
            unit.close()

    def _worked(self, unit: Unit, environ: Environ, ask: Ask | None, after: ExitStack) -> StoredResponse:
        rules = self._rules
        try:
            claim = unit.open(ask)
        except Exception as error:
            return rules.instead_of(error)
        given = rules.answer_to(claim)
        if given is not None:
            return given
        environ[CONNECTION] = unit.connection
        try:
            response = _collect(self._app, environ, rules.max_body_bytes, after)
        except TooLargeError as error:
            return rules.instead_of(error)
        kept = rules.kept(response)
        try:
            if kept is not None:
                unit.commit(claim if isinstance(claim, New) else None, kept)
        except Exception as error:
            return rules.instead_of(error)
        return response


def _variable(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _is_endless(environ: Environ) -> bool:
    """Tell whether there is a body of which only its end would be told, by a server that cannot; it is not empty."""
    known = environ.get("CONTENT_LENGTH") or environ.get("wsgi.input_terminated")
    return not known and "HTTP_TRANSFER_ENCODING" in environ


def _read(environ: Environ, most: int) -> bytes | None:
    """Read the body, up to so many bytes; None when it broke off, for half a body is no request."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdecimal():
        wanted = min(int(length), most)
        body = bytes(environ["wsgi.input"].read(wanted))
        return body if len(body) == wanted else None
    return bytes(environ["wsgi.input"].read(most)) if environ.get("wsgi.input_terminated") else b""


class _Body:
    """Be the body of an answer; what the application does when it was sent has no part in the transaction.

    Args:
        body: The body.
        after: Closes what the application gave.
    """

    def __init__(self, body: bytes, after: ExitStack) -> None:
        self._body = body
        self._after = after

    def __iter__(self) -> Iterator[bytes]:
        """Give all of it."""
        return iter((self._body,))

    def close(self) -> None:
        """Let the application know."""
        self._after.close()


def _collect(app: WsgiApp, environ: Environ, most: int, after: ExitStack) -> StoredResponse:
    """Return the whole answer of an application, and note how it is closed."""
    collected = Collected(most)

    def start_response(status: str, headers: list[tuple[str, str]], error: Any = None) -> Callable[[bytes], None]:
        # Nothing was sent yet, so an answer that was begun may be replaced.
        del error
        collected.start(int(status[:3]), headers)
        return collected.add

    body = app(environ, start_response)
    close = getattr(body, "close", None)
    if close is not None:
        after.callback(close)
    for part in body:
        collected.add(part)
    return collected.whole()
