"""Decide what the end of a call says about the health of what was called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any, NamedTuple

from outlast.engines import Verdict
from outlast.errors import (
    Category,
    Classification,
    ConfigError,
    DeadlineExceededError,
    Outcome,
    RateLimitError,
    RejectedError,
    classify,
)

FailureRule = Callable[[Exception], bool | None]
"""True: a failure. False: the dependency answered, so it is well. None: judge it by the default rules."""

ResultRule = Callable[[Any], bool]
"""True: this result means that the call failed, although it raised nothing."""

Weight = Callable[[Exception], float]
"""How much of a failure an exception is: 1 for a usual one, 0 or less for one that is not to count."""

_FAILING_4XX = frozenset({408, 425})
_TOO_MANY = 429


class Ruling(NamedTuple):
    """What the end of a call means.

    Args:
        verdict: Whether it counts, and as what.
        why: What failed, in words.
        weight: How much of a failure it is.
    """

    verdict: Verdict
    why: str = ""
    weight: float = 1.0


SUCCESS = Ruling(Verdict.SUCCESS)
IGNORED = Ruling(Verdict.IGNORED)


@dataclass(frozen=True, slots=True)
class Judge:
    """Turn the ends of calls into rulings.

    Args:
        ignore: Exceptions from which nothing is learnt.
        failure_if: The user's rule, asked before the default rules.
        failed_result: Tells results that mean failure.
        weight: Weighs what counts as a failure.
    """

    ignore: tuple[type[BaseException], ...] = ()
    failure_if: FailureRule | None = None
    failed_result: ResultRule | None = None
    weight: Weight | None = None

    def __post_init__(self) -> None:
        """Refuse what `isinstance` would trip over in the middle of an outage."""
        for kind in self.ignore:
            _check_type(kind)

    def of_result(self, result: object) -> Ruling:
        """Rule on a call that returned."""
        if self.failed_result is None or not self.failed_result(result):
            return SUCCESS
        return Ruling(Verdict.FAILURE, f"a failed result of type {type(result).__name__}")

    def of_error(self, error: BaseException) -> Ruling:
        """Rule on a call that raised."""
        match self.verdict(error):
            case Verdict.SUCCESS:
                return SUCCESS
            case Verdict.IGNORED:
                return IGNORED
            case Verdict.FAILURE:
                weight = 1.0 if self.weight is None or not isinstance(error, Exception) else self.weight(error)
                return Ruling(Verdict.FAILURE, in_words(error), weight) if weight > 0 else IGNORED

    def verdict(self, error: BaseException) -> Verdict:
        """Judge one exception.

        Cancellation, and whatever else is no `Exception`, says nothing about the dependency.
        """
        if not isinstance(error, Exception) or isinstance(error, (CancelledError, *self.ignore)):
            return Verdict.IGNORED
        failed = None if self.failure_if is None else self.failure_if(error)
        if failed is not None:
            return Verdict.FAILURE if failed else Verdict.SUCCESS
        return self._worst(_members(error)) if issubclass(type(error), ExceptionGroup) else _default(error)

    def _worst(self, errors: Iterable[BaseException]) -> Verdict:
        verdicts = {self.verdict(error) for error in errors}
        for worst in (Verdict.FAILURE, Verdict.SUCCESS):
            if worst in verdicts:
                return worst
        return Verdict.IGNORED


def _check_type(kind: object) -> None:
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        raise ConfigError(f"must be exception types, not {kind!r}", path="ignore")


def _members(group: BaseException) -> tuple[BaseException, ...]:
    members: tuple[BaseException, ...] = getattr(group, "exceptions", ())
    return members


def _default(error: Exception) -> Verdict:
    if isinstance(error, (RejectedError, RateLimitError)) or _never_started(error):
        return Verdict.IGNORED
    return _by_meaning(classify(error))


def _never_started(error: Exception) -> bool:
    return isinstance(error, DeadlineExceededError) and error.outcome is Outcome.NOT_APPLIED


def _by_meaning(meaning: Classification) -> Verdict:
    status = meaning.status_code
    if status == _TOO_MANY:
        return Verdict.IGNORED
    if status is not None and 400 <= status < 500:  # noqa: PLR2004
        return Verdict.FAILURE if status in _FAILING_4XX else Verdict.SUCCESS
    return Verdict.SUCCESS if meaning.category is Category.INVALID_INPUT else Verdict.FAILURE


def in_words(error: BaseException | None) -> str:
    """Return the type and the text of an exception on one short line; text that cannot be had is left out."""
    if error is None:
        return "reported by hand"
    name = type(error).__name__
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    return f"{name}: {text[:160]}" if text else name
