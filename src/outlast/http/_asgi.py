"""The middleware for ASGI applications: Starlette, FastAPI, Litestar, Quart, Django and others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import nullcontext
from typing import Any

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.http._headers import TIMEOUT_HEADER
from outlast.http._limits import Limits
from outlast.http._shed import Refusal
from outlast.policies import Deadline

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_NAME = TIMEOUT_HEADER.lower().encode()


class _Started:
    """Pass messages on, and remember whether an answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        self.begun = self.begun or message["type"] == "http.response.start"
        await self._send(message)


class AsgiMiddleware:
    """Restore the caller's deadline around each request, and answer for work that is refused.

    The time that is left comes from the `Outlast-Timeout-Ms` header, is capped, and holds for all that the application
    awaits: `outlast.remaining()` shows it, waits that cannot fit refuse early, and calls through a
    `ResilientTransport` hand it on. When it is over the application is cancelled, and the answer is 504. Work that came
    too late already is refused with 503, but never more than a share of the traffic. A `RejectedError` that comes
    out of the application (an open circuit, a full bulkhead) is answered 503 with Retry-After. Answers say nothing of
    the inside. Once an answer has begun, errors go on as they are.

    Args:
        app: The application.
        max_timeout: Seconds that no caller gets more than, > 0. Default 60.
        default_timeout: Seconds for callers that do not say. Default: no limit.
        max_share: Share of the traffic that may be refused as expired within 10 s, above 0 to 1. Default 0.2.
        retry_after: Seconds for Retry-After where a rejection does not say any, > 0. Default 1.
        clock: Tells the time. Default: the machine's.

    Raises:
        ConfigError: A number makes no sense.

    Cancel: goes through to the application.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        max_timeout: float = 60.0,
        default_timeout: float | None = None,
        max_share: float = 0.2,
        retry_after: float = 1.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._app = app
        self._limits = Limits(
            max_timeout=max_timeout, default_timeout=default_timeout, max_share=max_share, retry_after=retry_after,
            clock=clock,
        )  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other kinds of connection pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        admitted = self._limits.admit(_header(scope["headers"]))
        if isinstance(admitted, Refusal):
            await _answer(send, admitted)
        else:
            await self._serve(admitted, scope, receive, _Started(send))

    async def _serve(self, limit: Deadline | None, scope: Scope, receive: Receive, send: _Started) -> None:
        try:
            async with limit or nullcontext():
                await self._app(scope, receive, send)
        except Exception as error:
            refusal = None if send.begun else self._limits.refusal(error)
            if refusal is None:
                raise
            await _answer(send, refusal)


def _header(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    return next((value.decode("latin-1") for name, value in headers if name.lower() == _NAME), None)


async def _answer(send: Send, refusal: Refusal) -> None:
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers()]
    await send({"type": "http.response.start", "status": int(refusal.status), "headers": headers})
    await send({"type": "http.response.body", "body": refusal.body})
