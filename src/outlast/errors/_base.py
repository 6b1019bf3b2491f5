"""What every error of outlast carries: a category, an outcome and where it came from."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Self


class Category(StrEnum):
    """Say what a caller can do about a failure."""

    RETRIABLE = "retriable"
    """The same call may succeed soon: a time-out, a reset, a change of leader."""
    TRANSIENT = "transient"
    """A resource is exhausted for now: quota, overload, a full disk. Wait before trying again."""
    FATAL = "fatal"
    """No repetition helps: corruption, refused credentials, a failed invariant."""
    INVALID_INPUT = "invalid_input"
    """The call itself is wrong; the dependency is healthy."""
    UNKNOWN = "unknown"
    """Nothing is known about it; it is not retried unless the author says so."""


class Outcome(StrEnum):
    """Say what became of the effect that a call attempted."""

    APPLIED = "applied"
    """The effect took place."""
    NOT_APPLIED = "not_applied"
    """The effect surely did not take place; the call may be sent again, changed or not."""
    IN_DOUBT = "in_doubt"
    """Nobody knows. Send again only the same bytes under the same key, or read back."""


class OutlastError(Exception):
    """Be the root of every error that outlast raises.

    Args:
        message: What was wrong, where, and what to do about it.
        category: What a caller can do. Default: the class's own.
        outcome: What became of the attempted effect. Default: the class's own.
        retry_after: Seconds after which a further try makes sense, or None when unknown.
        operation: The name of the policy, store or call that raised it.
        status_code: The HTTP status that caused it, if one did.
        request_id: The id that the remote service gave to the request.
        metadata: Further facts, by name.
        timestamp: Wall-clock seconds at which it happened, given by the caller; never read here.
    """

    default_category: ClassVar[Category] = Category.UNKNOWN
    default_outcome: ClassVar[Outcome] = Outcome.NOT_APPLIED

    def __init__(
        self,
        message: str = "",
        *,
        category: Category | None = None,
        outcome: Outcome | None = None,
        retry_after: float | None = None,
        operation: str | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        timestamp: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.category = self.default_category if category is None else category
        self.outcome = self.default_outcome if outcome is None else outcome
        self.retry_after = retry_after
        self.operation = operation
        self.status_code = status_code
        self.request_id = request_id
        self.metadata: dict[str, Any] = {} if metadata is None else dict(metadata)
        self.timestamp = timestamp

    @property
    def retryable(self) -> bool:
        """Tell whether a later repetition may succeed, by category."""
        return self.category in {Category.RETRIABLE, Category.TRANSIENT}

    @property
    def type_name(self) -> str:
        """Return the name of the class, for logs and metrics."""
        return type(self).__name__

    def enrich(self, *, operation: str | None = None, **metadata: Any) -> Self:
        """Add facts to the error on its way up and return it.

        Args:
            operation: Where it happened; kept if one is already known.
            **metadata: Facts by name; later ones win.

        >>> OutlastError("no answer").enrich(operation="load_user", shard=3).metadata
        {'shard': 3}
        """
        if self.operation is None:
            self.operation = operation
        self.metadata.update(metadata)
        return self

    def __str__(self) -> str:
        """Return the message, or the class's first line of documentation when there is none."""
        return self.message or (type(self).__doc__ or self.type_name).partition("\n")[0]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by attributes, so that every subclass survives a process boundary."""
        return (_rebuild, (type(self), self.args, dict(self.__dict__)))


def _rebuild(cls: type[OutlastError], args: tuple[Any, ...], state: dict[str, Any]) -> OutlastError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error
