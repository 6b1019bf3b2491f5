"""Understand servers that accept a write and do it later (202), and what they say when they are asked.

Source: RFC 9110 section 15.3.3; the status monitors of Azure (Operation-Location) and of the Microsoft REST API
guidelines, whose words for the state others use too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, cast

from outlast.engines.op import Accepted, Answer, Applied, Gone, Rejected
from outlast.engines.retry_after import parse_retry_after
from outlast.http import answer_for, etag_of

_DONE: Final = frozenset({"succeeded", "success", "completed", "complete", "done", "finished", "applied"})
_FAILED: Final = frozenset({"failed", "failure", "error", "canceled", "cancelled", "rejected", "aborted"})
_STATES: Final = ("status", "state", "provisioningState")
_PLACES: Final = ("operation-location", "azure-asyncoperation", "location", "content-location")


def accepted(headers: Mapping[str, str], wall: float) -> Accepted | None:
    """Return what a 202 says, None when it names no place to ask: then nobody can learn more than that.

    Args:
        headers: The headers of the answer.
        wall: Unix seconds now, for a Retry-After date.
    """
    url = next((headers[name] for name in _PLACES if headers.get(name)), None)
    return None if url is None else Accepted(url, parse_retry_after(headers, wall), HTTPStatus.ACCEPTED)


def answer_to_write(status: int, headers: Mapping[str, str], body: bytes, wall: float) -> Answer:
    """Say what an answer to a write means, also one that comes before the work is done.

    Args:
        status: The status code.
        headers: The headers.
        body: The body.
        wall: Unix seconds now, for a Retry-After date.
    """
    later = accepted(headers, wall) if status == HTTPStatus.ACCEPTED else None
    return later or answer_for(status, headers, body, wall)


def progress(status: int, headers: Mapping[str, str], body: bytes, wall: float) -> Answer:
    """Say what the answer of a status monitor means for the op that it tells of.

    Args:
        status: The status code.
        headers: The headers.
        body: The body; a state in it decides.
        wall: Unix seconds now, for a Retry-After date.

    >>> progress(200, {}, b'{"status": "Running"}', 0.0)
    Accepted(url=None, retry_after=None, status=None)
    >>> progress(200, {}, b'{"status": "Failed", "detail": "no seat left"}', 0.0).reason
    '200 no seat left'
    """
    after = parse_retry_after(headers, wall)
    if status == HTTPStatus.ACCEPTED:
        return Accepted(None, after)
    if status == HTTPStatus.SEE_OTHER:
        return Applied(None, status)
    if status != HTTPStatus.OK:
        return answer_for(status, headers, body, wall)
    match _state(body):
        case state if state in _DONE or not state:
            return Applied(etag_of(headers) if not state else None, status)
        case state if state in _FAILED:
            found = answer_for(HTTPStatus.UNPROCESSABLE_ENTITY, headers, body, wall)
            reason = found.reason if isinstance(found, Rejected | Gone) else state
            return Rejected(f"{status}{reason[3:]}" if reason[3:] else f"{status} {state}", status)
        case _:
            return Accepted(None, after)


def _state(body: bytes) -> str:
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(value, dict):
        return ""
    document = cast("dict[str, Any]", value)
    found = next((document[name] for name in _STATES if isinstance(document.get(name), str)), "")
    return str(found).replace("_", "").replace("-", "").lower()
