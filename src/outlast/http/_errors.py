"""The errors for answers that hold nothing of use."""

from __future__ import annotations

from outlast.engines.retry_after import parse_retry_after
from outlast.errors import NetworkError, RemoteError, remote_error
from outlast.http._client import HttpAnswer, NoAnswer


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
    return remote_error(
        answer.status, f"{operation}: the server answered {answer.status}", operation=operation,
        retry_after=parse_retry_after(answer.headers, wall), request_id=answer.headers.get("x-request-id"),
    )  # fmt: skip
