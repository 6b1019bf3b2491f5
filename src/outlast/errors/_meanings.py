"""The few things that almost every failure means, and what is read off an answer that an exception carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from outlast.errors._base import Category, Outcome
from outlast.errors._classify import UNKNOWN, Classification, Rule, classify, classify_status
from outlast.errors._retry_after import parse_retry_after

Rules = Mapping[str, Rule]
"""Class name -> rule, for the classes of one package."""

RETRY_SAFE: Final = Classification(Category.RETRIABLE, Outcome.NOT_APPLIED)
RETRY_DOUBT: Final = Classification(Category.RETRIABLE, Outcome.IN_DOUBT)
EXHAUSTED: Final = Classification(Category.TRANSIENT, Outcome.NOT_APPLIED)
EXHAUSTED_DOUBT: Final = Classification(Category.TRANSIENT, Outcome.IN_DOUBT)
FATAL: Final = Classification(Category.FATAL, Outcome.NOT_APPLIED)
FATAL_DOUBT: Final = Classification(Category.FATAL, Outcome.IN_DOUBT)
INPUT: Final = Classification(Category.INVALID_INPUT, Outcome.NOT_APPLIED)


def judge_answer(status: Any, headers: Any) -> Classification:
    """Say what an answer means that an exception carries, with the wait that its headers ask for.

    Args:
        status: The HTTP status; anything but a number means that the answer was lost.
        headers: The headers, with a `get` that takes a name.
    """
    if not isinstance(status, int):
        return UNKNOWN
    return classify_status(status, parse_retry_after(headers) if hasattr(headers, "get") else None)


def by_response(error: BaseException) -> Classification:
    """Judge an exception by the answer in its attribute `response`, as clients of HTTP keep it."""
    response = getattr(error, "response", None)
    return judge_answer(getattr(response, "status_code", None), getattr(response, "headers", None))


def judge_inner(inner: object, otherwise: Classification) -> Classification:
    """Judge an exception by the one that it wraps, if that is one and is known."""
    found = classify(inner) if isinstance(inner, BaseException) else UNKNOWN
    return otherwise if found == UNKNOWN else found


def as_object(value: object) -> Mapping[str, Any]:
    """Return what should be an object of JSON, empty where it is something else."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
