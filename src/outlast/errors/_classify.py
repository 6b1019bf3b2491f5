"""Decide what a foreign exception means, without importing the library that raised it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from outlast.errors._base import Category, Outcome, OutlastError


@dataclass(frozen=True, slots=True)
class Classification:
    """Say what a failure means.

    Args:
        category: What a caller can do.
        outcome: What became of the attempted effect.
        status_code: The HTTP status, if the failure came with one.
        retry_after: Seconds to wait at least, if the failure says so.
    """

    category: Category
    outcome: Outcome
    status_code: int | None = None
    retry_after: float | None = None

    @property
    def retryable(self) -> bool:
        """Tell whether a later repetition may succeed."""
        return self.category in {Category.RETRIABLE, Category.TRANSIENT}


Rule = Classification | Callable[[BaseException], Classification]

UNKNOWN = Classification(Category.UNKNOWN, Outcome.IN_DOUBT)

_BY_STATUS = {
    400: (Category.INVALID_INPUT, Outcome.NOT_APPLIED),
    401: (Category.FATAL, Outcome.NOT_APPLIED),
    403: (Category.FATAL, Outcome.NOT_APPLIED),
    408: (Category.RETRIABLE, Outcome.NOT_APPLIED),
    425: (Category.RETRIABLE, Outcome.NOT_APPLIED),
    429: (Category.TRANSIENT, Outcome.NOT_APPLIED),
    500: (Category.RETRIABLE, Outcome.IN_DOUBT),
    501: (Category.FATAL, Outcome.NOT_APPLIED),
    502: (Category.RETRIABLE, Outcome.IN_DOUBT),
    503: (Category.TRANSIENT, Outcome.NOT_APPLIED),
    504: (Category.RETRIABLE, Outcome.IN_DOUBT),
    505: (Category.FATAL, Outcome.NOT_APPLIED),
    529: (Category.TRANSIENT, Outcome.NOT_APPLIED),
}

_FIRST_REDIRECT = 300
_FIRST_SERVER_ERROR = 500

_rules: dict[tuple[str, str], Rule] = {}


def classify_status(status_code: int, retry_after: float | None = None) -> Classification:
    """Say what an HTTP status means (RFC 9110 section 15).

    Args:
        status_code: The status of the answer, 100 to 599.
        retry_after: Seconds from the answer's Retry-After, if it had one.

    >>> classify_status(503, 2.0).category.value
    'transient'
    """
    if status_code in _BY_STATUS:
        category, outcome = _BY_STATUS[status_code]
    elif status_code < _FIRST_REDIRECT:
        category, outcome = Category.UNKNOWN, Outcome.APPLIED
    elif status_code < _FIRST_SERVER_ERROR:
        category, outcome = Category.INVALID_INPUT, Outcome.NOT_APPLIED
    else:
        category, outcome = Category.RETRIABLE, Outcome.IN_DOUBT
    return Classification(category, outcome, status_code, retry_after)


def register_rule(package: str, class_name: str, rule: Rule) -> None:
    """Teach `classify` what an exception class means.

    The class is named, not imported, so a rule costs nothing where the library is absent.
    Subclasses share the rule unless they have one of their own. A later rule replaces an earlier one.

    Args:
        package: The top-level package that defines the class, such as `"httpx2"`.
        class_name: The qualified name of the class inside its module.
        rule: The classification, or a function from the exception to it.

    >>> register_rule("builtins", "LookupError", Classification(Category.INVALID_INPUT, Outcome.NOT_APPLIED))
    >>> classify(KeyError("x")).category.value
    'invalid_input'
    >>> unregister_rule("builtins", "LookupError")
    """
    _rules[package, class_name] = rule


def unregister_rule(package: str, class_name: str) -> None:
    """Forget the rule for a class; nothing happens when there is none."""
    _rules.pop((package, class_name), None)


def classify(error: BaseException) -> Classification:
    """Say what an exception means: its category, its outcome, its status and its Retry-After.

    An error of outlast carries its own answer. Any other is looked up along its method resolution
    order, by the name of the defining package and of the class. What no rule knows is UNKNOWN and
    IN_DOUBT: a bare `ValueError` may come from garbage that a sick server sent.

    Args:
        error: The exception to judge.

    >>> classify(ConnectionRefusedError()).outcome.value
    'not_applied'
    >>> classify(ValueError("what?")).category.value
    'unknown'
    """
    if isinstance(error, OutlastError):
        return Classification(error.category, error.outcome, error.status_code, error.retry_after)
    for key in _names(type(error)):
        rule = _rules.get(key)
        if rule is not None:
            return rule if isinstance(rule, Classification) else rule(error)
    return UNKNOWN


def _names(cls: type[BaseException]) -> Iterator[tuple[str, str]]:
    for base in cls.__mro__:
        yield base.__module__.partition(".")[0], base.__qualname__
