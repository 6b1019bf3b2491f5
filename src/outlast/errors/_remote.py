"""Make the error of the tree that stands for an HTTP status."""

from __future__ import annotations

from typing import Any, Final

from outlast.errors._classify import classify_status
from outlast.errors._tree import (
    AuthenticationError,
    BadRequestError,
    OverloadedError,
    RateLimitError,
    RemoteError,
    ServerError,
)

_BY_STATUS: Final[dict[int, type[RemoteError]]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    408: ServerError,
    425: ServerError,
    429: RateLimitError,
    529: OverloadedError,
}
_SERVER = 500


def remote_error(
    status_code: int, message: str = "", *, retry_after: float | None = None, **fields: Any
) -> RemoteError:
    """Return the error that stands for the HTTP status of an answer.

    Args:
        status_code: The status, 300 to 599.
        message: What was asked and what came back. Default: says the status.
        retry_after: Seconds from the answer's Retry-After, if it had one.
        **fields: As for `OutlastError`.

    >>> error = remote_error(429, retry_after=2.0)
    >>> error.type_name, error.category.value, error.retry_after
    ('RateLimitError', 'transient', 2.0)
    """
    kind = _BY_STATUS.get(status_code, ServerError if status_code >= _SERVER else BadRequestError)
    meaning = classify_status(status_code, retry_after)
    given: dict[str, Any] = {"category": meaning.category, "outcome": meaning.outcome, **fields}
    said = message or f"the server answered {status_code}"
    return kind(said, status_code=status_code, retry_after=retry_after, **given)
