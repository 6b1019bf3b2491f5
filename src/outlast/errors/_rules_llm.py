"""What the exceptions of the anthropic and openai SDKs mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from outlast.errors._base import Outcome
from outlast.errors._classify import UNKNOWN, Classification, classify_status
from outlast.errors._meanings import FATAL, RETRY_DOUBT, Rules, as_object, by_response, judge_inner

_STATUS_OF_TYPE: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 403,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that an error would have had, had it not come inside of a stream that began with 200."""

_NO_MONEY: Final = frozenset({"insufficient_quota", "billing_error"})
_FIRST_ERROR: Final = 400


def _status_error(error: BaseException) -> Classification:
    found = by_response(error)
    types = _types(error)
    if types & _NO_MONEY:
        return replace(found, category=FATAL.category, outcome=FATAL.outcome)
    # The SDKs report an error event of a stream with the stream's own status, which was 200.
    return found if (found.status_code or 0) >= _FIRST_ERROR else _by_type(types)


def _event_error(error: BaseException) -> Classification:
    return _by_type(_types(error))


def _by_type(types: frozenset[str]) -> Classification:
    if types & _NO_MONEY:
        return FATAL
    statuses = [_STATUS_OF_TYPE[name] for name in types if name in _STATUS_OF_TYPE]
    # The answer had begun, so the model had been at work.
    return replace(classify_status(max(statuses)), outcome=Outcome.IN_DOUBT) if statuses else UNKNOWN


def _types(error: BaseException) -> frozenset[str]:
    """Return the type and the code of the error in the body, wherever the provider puts them."""
    body: Any = getattr(error, "body", None)
    found = as_object(as_object(body).get("error", body))
    return frozenset(str(found[key]) for key in ("type", "code") if found.get(key))


def _no_connection(error: BaseException) -> Classification:
    return judge_inner(error.__cause__, RETRY_DOUBT)


_SDK: Final[Rules] = {
    "APIStatusError": _status_error,
    "APIError": _event_error,
    "APIConnectionError": _no_connection,
    "APIResponseValidationError": UNKNOWN,
}

LLM: Final[dict[str, Rules]] = {"anthropic": _SDK, "openai": _SDK}
