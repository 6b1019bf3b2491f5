"""What a server answers when it refuses work: the same words from both kinds of middleware.

Source: RFC 9457 (problem details), RFC 9110 section 15.6.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from outlast.errors import DeadlineExceededError, Outcome, RejectedError


@dataclass(frozen=True, slots=True)
class Refusal:
    """Hold an answer that refuses work; nothing in it names a component, a host or an exception.

    Args:
        status: The status.
        retry_after: Whole seconds for Retry-After, or None.
    """

    status: HTTPStatus
    retry_after: int | None

    @property
    def body(self) -> bytes:
        """Return the problem document."""
        return json.dumps({"type": "about:blank", "title": self.status.phrase, "status": int(self.status)}).encode()

    def headers(self) -> Iterator[tuple[str, str]]:
        """Return the headers."""
        yield "content-type", "application/problem+json"
        yield "content-length", str(len(self.body))
        yield "cache-control", "no-store"
        if self.retry_after is not None:
            yield "retry-after", str(self.retry_after)


EXPIRED = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, None)
"""Nobody waits for it any more, so nobody is told when to come back."""


def refusal_for(error: Exception, retry_after: float) -> Refusal | None:
    """Return the answer for an exception that came out of an application, or None when it is not ours to answer.

    A rejection is 503: nothing was done, and the caller may come back. Time that ran out in the middle of the work is
    504, because then something may have been done.

    Args:
        error: What came out.
        retry_after: Seconds to say when the error does not say any.
    """
    if isinstance(error, RejectedError):
        return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, _whole(error.retry_after, retry_after))
    if not isinstance(error, DeadlineExceededError):
        return None
    if error.outcome is Outcome.NOT_APPLIED:
        return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, _whole(error.retry_after, retry_after))
    return Refusal(HTTPStatus.GATEWAY_TIMEOUT, None)


def _whole(said: float | None, otherwise: float) -> int:
    seconds = otherwise if said is None else said
    return max(1, math.ceil(seconds)) if math.isfinite(seconds) else max(1, math.ceil(otherwise))
