"""Several errors in one, as an exception group that is also an error of outlast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from outlast.errors._base import OutlastError
from outlast.errors._classify import classify, combine


class MultiError(OutlastError, ExceptionGroup[Exception]):
    """Several errors happened together. Also an `ExceptionGroup`.

    Category and outcome are those of the worst member, and `retry_after` is the longest that any of them asks for, so
    that whoever looks only at the group never does more than each member allows. `except*`, `split` and `subgroup`
    work as for any group, and their parts are judged anew.

    Args:
        message: What failed as a whole.
        exceptions: The errors, at least one.
        **fields: As for `OutlastError`; given ones win over those of the members.

    Raises:
        ValueError: There are no errors.

    >>> error = MultiError("two replicas failed", [TimeoutError("a"), ConnectionRefusedError("b")])
    >>> error.category.value, error.outcome.value, str(error)
    ('retriable', 'in_doubt', 'two replicas failed (2 errors)')
    >>> refused, rest = error.split(ConnectionRefusedError)
    >>> type(refused).__name__, refused.outcome.value
    ('MultiError', 'not_applied')
    """

    # ExceptionGroup has a read-only member of this name, which this one hides.
    message: str = ""  # pyright: ignore[reportIncompatibleMethodOverride]

    def __new__(cls, message: str, exceptions: Sequence[Exception], **fields: Any) -> Self:
        """Make the group; the fields are for `__init__`."""
        del fields
        return super().__new__(cls, message, exceptions)

    def __init__(self, message: str, exceptions: Sequence[Exception], **fields: Any) -> None:
        meaning = combine([classify(error) for error in exceptions])
        judged: dict[str, Any] = {
            "category": meaning.category, "outcome": meaning.outcome,
            "status_code": meaning.status_code, "retry_after": meaning.retry_after,
        }  # fmt: skip
        super().__init__(message, **{**judged, **fields})
        self.args = (message, tuple(exceptions))

    def derive(self, excs: Sequence[Exception], /) -> MultiError:  # type: ignore[override]
        """Return a group of the same kind for some of the members."""
        return type(self)(
            self.message, excs, operation=self.operation, request_id=self.request_id, metadata=self.metadata,
            timestamp=self.timestamp,
        )  # fmt: skip

    def __str__(self) -> str:
        """Return the message and how many errors there are."""
        count = len(self.exceptions)
        return f"{super().__str__()} ({count} error{'' if count == 1 else 's'})"
