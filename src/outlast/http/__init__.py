"""HTTP: clients that carry policies, middleware for servers, and the receiver, by which each write counts once."""

from typing import TYPE_CHECKING, Any

from outlast.http._asgi import AsgiMiddleware
from outlast.http._call import AnswerError
from outlast.http._client import AsyncHttpxClient, HttpAnswer, HttpClient, NoAnswer
from outlast.http._errors import error_for
from outlast.http._headers import ATTEMPT_HEADER, TIMEOUT_HEADER, format_timeout, parse_timeout
from outlast.http._hosts import default_pipeline
from outlast.http._receiver import Receiver
from outlast.http._receiver_asgi import AsgiReceiver
from outlast.http._receiver_records import (
    FENCE_HEADER,
    KEY_HEADER,
    REPLAYED_HEADER,
    Claim,
    Fence,
    Fenced,
    InProgress,
    New,
    Replay,
    Reused,
    StoredResponse,
    fingerprint,
)
from outlast.http._receiver_rules import ReceiverRules, is_final
from outlast.http._receiver_unit import connection_of
from outlast.http._receiver_wsgi import WsgiReceiver
from outlast.http._status import answer_for, etag_of
from outlast.http._wsgi import WsgiMiddleware

__all__ = [
    "ATTEMPT_HEADER",
    "FENCE_HEADER",
    "KEY_HEADER",
    "REPLAYED_HEADER",
    "TIMEOUT_HEADER",
    "AnswerError",
    "AsgiMiddleware",
    "AsgiReceiver",
    "AsyncHttpxClient",
    "AsyncResilientTransport",
    "Claim",
    "Fence",
    "Fenced",
    "HttpAnswer",
    "HttpClient",
    "InProgress",
    "New",
    "NoAnswer",
    "Receiver",
    "ReceiverRules",
    "Replay",
    "ResilientTransport",
    "Reused",
    "StoredResponse",
    "WsgiMiddleware",
    "WsgiReceiver",
    "answer_for",
    "connection_of",
    "default_pipeline",
    "error_for",
    "etag_of",
    "fingerprint",
    "format_timeout",
    "is_final",
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
