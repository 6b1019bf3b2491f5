"""What each HTTP status means for a write that was sent.

Source: RFC 9110 section 15; draft-ietf-httpapi-idempotency-key-header-07 for the second meanings of 409
and 422, told apart by the problem type of RFC 9457.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, cast

from outlast.engines.op import Answer, Applied, AuthNeeded, Busy, Gone, Rejected, Stale
from outlast.engines.retry_after import parse_retry_after
from outlast.http._receiver_records import REPLAYED_HEADER

_BUSY: Final = frozenset({408, 423, 425, 429, 503, 529})
_NEVER: Final = frozenset({501, 505})
"""Of the 5xx those that no repetition changes; any other, such as a gateway's own 52x, may have been applied."""
_APPLIED: Final = range(200, 300)
_MOVED: Final = range(300, 400)
_FAILED: Final = range(500, 600)
_OF_SENDING: Final = ("in-progress", "idempotency", "stale-fence")
_STALE: Final = frozenset({409, 412})
_GONE: Final = frozenset({404, 410})
_MAX_REASON = 200


def answer_for(status: int, headers: Mapping[str, str], body: bytes, wall: float) -> Answer:
    """Say what an HTTP answer to a write means.

    Args:
        status: The status code.
        headers: The answer's headers.
        body: The answer's body; a problem document in it gives the reason.
        wall: Present Unix seconds, for a Retry-After date in an answer without a `Date`.

    >>> answer_for(429, {"retry-after": "7"}, b"", wall=0.0)
    Busy(reason='429', retry_after=7.0, whole_origin=True, in_doubt=False)
    """
    if status in _APPLIED:
        return Applied(etag_of(headers), status)
    reason, problem_type = _explain(status, body)
    if headers.get(REPLAYED_HEADER.lower()) == "true":
        reason += "; it is what was answered before, and kept under this key"
    in_doubt = status in _FAILED and status not in _BUSY | _NEVER
    if in_doubt or status in _BUSY or _not_refused(status, problem_type):
        after = parse_retry_after(headers, wall)
        return Busy(reason, after, whole_origin=status == HTTPStatus.TOO_MANY_REQUESTS, in_doubt=in_doubt)
    if status in _STALE:
        return Stale(reason)
    if status in _GONE:
        return Gone(reason)
    if status == HTTPStatus.UNAUTHORIZED:
        return AuthNeeded(reason)
    if status in _MOVED and "location" in headers:
        return Rejected(f"{reason}: it moved to {headers['location']}", status)
    return Rejected(reason, status)


def etag_of(headers: Mapping[str, str]) -> str | None:
    """Return the version that an answer names, None where it names none that could be sent back.

    Args:
        headers: The answer's headers; names in lower case.

    >>> etag_of({"etag": '"7"'}), etag_of({"etag": '"ä"'})
    ('"7"', None)
    """
    etag = headers.get("etag")
    # As If-Match of the next write it would keep that from ever being sent.
    return etag if etag and etag.isascii() and etag.isprintable() else None


def _not_refused(status: int, problem_type: str) -> bool:
    """Tell whether a 409 is about the sending and not about the entity: at work already, or by a replaced sender."""
    return status == HTTPStatus.CONFLICT and any(part in problem_type for part in _OF_SENDING)


def _explain(status: int, body: bytes) -> tuple[str, str]:
    """Return the status with what the problem document says, and the type of the problem."""
    problem: Mapping[str, Any] = {}
    with contextlib.suppress(ValueError, RecursionError):
        found: object = json.loads(body)
        problem = cast("Mapping[str, Any]", found) if isinstance(found, dict) else problem
    said = problem.get("detail") or problem.get("title") or problem.get("message") or problem.get("error") or ""
    reason = f"{status} {said}"[:_MAX_REASON].strip() if isinstance(said, str) else str(status)
    return reason, str(problem.get("type") or "").lower()
