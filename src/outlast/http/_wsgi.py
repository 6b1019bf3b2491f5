"""The middleware for WSGI applications: Flask, Django, Pyramid, Bottle and others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.http._headers import TIMEOUT_HEADER
from outlast.http._limits import Limits
from outlast.http._shed import Refusal

StartResponse = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

_KEY = "HTTP_" + TIMEOUT_HEADER.upper().replace("-", "_")


class _Opened:
    """Be a body whose first part is there already."""

    def __init__(self, first: bytes, rest: Iterator[bytes], whole: Iterable[bytes]) -> None:
        self._first: list[bytes] = [first]
        self._rest = rest
        self._whole = whole

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._first.pop() if self._first else next(self._rest)

    def close(self) -> None:
        _close(self._whole)


class WsgiMiddleware:
    """Do as `AsgiMiddleware`, for an application in threads.

    Nothing can cut a thread, so the deadline is cooperative: `remaining()` shows it, and waits and calls of the
    policies refuse what cannot fit. It holds until the first part of the body is there; what is streamed after that
    has none.

    Args:
        app: The application.
        max_timeout: Seconds that no caller gets more than, > 0. Default 60.
        default_timeout: Seconds for callers that do not say. Default: no limit.
        max_share: Share of the traffic that may be refused as expired within 10 s, above 0 to 1. Default 0.2.
        retry_after: Seconds for Retry-After where a rejection does not say any, > 0. Default 1.
        clock: Tells the time. Default: the machine's.

    Raises:
        ConfigError: A number makes no sense.

    Thread-safe: yes.
    """

    def __init__(
        self,
        app: WsgiApp,
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

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        admitted = self._limits.admit(environ.get(_KEY))
        if isinstance(admitted, Refusal):
            return _answer(start_response, admitted)
        try:
            with admitted or nullcontext():
                return self._opened(environ, start_response)
        except Exception as error:
            refusal = self._limits.refusal(error)
            if refusal is None:
                raise
            # Nothing of the body has been sent, so an answer that the application began may still be replaced.
            return _answer(start_response, refusal, sys.exc_info())

    def _opened(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        body = self._app(environ, start_response)
        if isinstance(body, (list, tuple)):
            return body
        rest = iter(body)
        try:
            return _Opened(next(rest), rest, body)
        except StopIteration:
            _close(body)
            return []
        except BaseException:
            _close(body)
            raise


def _close(body: object) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


def _answer(start_response: StartResponse, refusal: Refusal, error: Any = None) -> list[bytes]:
    status = f"{int(refusal.status)} {refusal.status.phrase}"
    start_response(status, list(refusal.headers()), error)
    return [refusal.body]
