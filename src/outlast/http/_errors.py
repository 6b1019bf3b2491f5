"""The errors for answers that hold nothing of use."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from outlast.engines.retry_after import parse_retry_after
from outlast.errors import (
    AuthenticationError,
    BadRequestError,
    NetworkError,
    RateLimitError,
    RemoteError,
    ServerError,
    classify_status,
)
from outlast.http._client import HttpAnswer, NoAnswer

_BY_STATUS: Final[dict[int, type[RemoteError]]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    408: ServerError,
    425: ServerError,
    429: RateLimitError,
}


def error_for(answer: HttpAnswer | NoAnswer, operation: str, wall: float) -> RemoteError:
    """Return the error for an answer that is not of use.

    Args:
        answer: What came back.
        operation: What was asked, such as `GET /notes/7`.
        wall: Present Unix seconds, for a Retry-After date.
    """
    if isinstance(answer, NoAnswer):
        error = NetworkError(f"{operation}: {answer.reason}", operation=operation, category=answer.category,
                             outcome=answer.outcome)  # fmt: skip
        error.__cause__ = answer.error
        return error
    kind = _BY_STATUS.get(
        answer.status, BadRequestError if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR else ServerError
    )
    meaning = classify_status(answer.status, parse_retry_after(answer.headers, wall))
    return kind(
        f"{operation}: the server answered {answer.status}", operation=operation, status_code=answer.status,
        category=meaning.category, outcome=meaning.outcome, retry_after=meaning.retry_after,
        request_id=answer.headers.get("x-request-id"),
    )  # fmt: skip
