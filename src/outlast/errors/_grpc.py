"""What gRPC's status codes mean, from gRPC itself and from etcd's JSON gateway."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from outlast.errors._classify import UNKNOWN, Classification, classify_status
from outlast.errors._meanings import EXHAUSTED, FATAL, FATAL_DOUBT, INPUT, RETRY_DOUBT, RETRY_SAFE, as_object

_BY_NAME: Final = {
    "INVALID_ARGUMENT": INPUT,
    "DEADLINE_EXCEEDED": RETRY_DOUBT,
    "NOT_FOUND": INPUT,
    "ALREADY_EXISTS": INPUT,
    "PERMISSION_DENIED": FATAL,
    "RESOURCE_EXHAUSTED": EXHAUSTED,
    "FAILED_PRECONDITION": INPUT,
    "ABORTED": RETRY_SAFE,
    "OUT_OF_RANGE": INPUT,
    "UNIMPLEMENTED": FATAL,
    "INTERNAL": RETRY_DOUBT,
    "UNAVAILABLE": RETRY_DOUBT,
    "DATA_LOSS": FATAL_DOUBT,
    "UNAUTHENTICATED": FATAL,
}
"""CANCELLED and UNKNOWN are missing: they say nothing."""

_NAMES: Final = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
"""The names by their numbers."""

_NEVER_CONNECTED: Final = "failed to connect to all addresses"

_ETCD_TEXTS: Final = (
    # What etcd says by its text alone, where the code is too coarse.
    ("context deadline exceeded", RETRY_DOUBT),
    ("authentication failed", FATAL),
    ("invalid auth token", FATAL),
    ("user name is empty", FATAL),
    ("permission denied", FATAL),
)


def classify_grpc(code: str, details: str = "") -> Classification:
    """Say what a gRPC status means.

    Args:
        code: The name of the status code, such as `UNAVAILABLE`.
        details: What the status says in words. A channel that never came up is told apart by them.

    Source: gRPC, status codes and their use; INTERNAL and UNAVAILABLE leave open whether the server acted.

    >>> classify_grpc("ABORTED").outcome.value, classify_grpc("UNAVAILABLE").outcome.value
    ('not_applied', 'in_doubt')
    """
    if code == "UNAVAILABLE" and _NEVER_CONNECTED in details:
        return RETRY_SAFE
    return _BY_NAME.get(code, UNKNOWN)


def classify_etcd(body: bytes | Mapping[str, Any], http_status: int) -> Classification:
    """Say what an error answer of etcd's JSON gateway means.

    Every loss of the leader is ambiguous: the write may have been applied. Send it again only with a compare guard.

    Args:
        body: The answer's body, parsed or not: an error of a call, or one in a watch stream. One that holds no
            gRPC code, such as the page of a proxy, leaves the judgement to the status.
        http_status: The answer's status; 200 for an error inside of a stream.

    >>> body = b'{"error": "etcdserver: requested lease not found", "code": 5}'
    >>> classify_etcd(body, 404).category.value
    'invalid_input'
    """
    found = _error_in(body)
    number, said = found.get("code", found.get("grpc_code")), str(found.get("message") or found.get("error") or "")
    if not isinstance(number, int) or not 0 < number < len(_NAMES):
        return classify_status(http_status)
    for text, meaning in _ETCD_TEXTS:
        if text in said:
            return replace(meaning, status_code=http_status)
    return replace(classify_grpc(_NAMES[number], said), status_code=http_status)


def _error_in(body: bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    parsed: Any = body
    if isinstance(body, bytes):
        try:
            parsed = json.loads(body)
        except (ValueError, RecursionError):
            return {}
    found = as_object(parsed)
    return as_object(found.get("error")) or found
