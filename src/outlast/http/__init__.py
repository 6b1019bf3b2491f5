"""HTTP: the client without retries of its own, transports that carry a pipeline, and middleware for servers."""

from typing import TYPE_CHECKING, Any

from outlast.http._asgi import AsgiMiddleware
from outlast.http._call import AnswerError
from outlast.http._client import AsyncHttpxClient, HttpAnswer, HttpClient, NoAnswer
from outlast.http._errors import error_for
from outlast.http._headers import ATTEMPT_HEADER, TIMEOUT_HEADER, format_timeout, parse_timeout
from outlast.http._hosts import default_pipeline
from outlast.http._status import answer_for
from outlast.http._wsgi import WsgiMiddleware

__all__ = [
    "ATTEMPT_HEADER",
    "TIMEOUT_HEADER",
    "AnswerError",
    "AsgiMiddleware",
    "AsyncHttpxClient",
    "AsyncResilientTransport",
    "HttpAnswer",
    "HttpClient",
    "NoAnswer",
    "ResilientTransport",
    "WsgiMiddleware",
    "answer_for",
    "default_pipeline",
    "error_for",
    "format_timeout",
    "parse_timeout",
]

if TYPE_CHECKING:
    from outlast.http._transport import AsyncResilientTransport, ResilientTransport
else:
    # These are classes of httpx2, so they are made when they are asked for: the room itself needs no extra.
    _NEED_HTTPX2 = frozenset({"AsyncResilientTransport", "ResilientTransport"})

    def __getattr__(name: str) -> Any:
        """Load a transport when it is first used."""
        if name not in _NEED_HTTPX2:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from outlast.storage import require

        require("httpx2", extra="http", purpose="a resilient transport")
        from outlast.http import _transport

        value = globals()[name] = getattr(_transport, name)
        return value
