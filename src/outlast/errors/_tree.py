"""The classes of the tree; the drawing of it is in the docstring of `outlast.errors`.

Those of streams, of clusters and the group of several have modules of their own.
"""

from __future__ import annotations

from typing import Any

from outlast.errors._base import Category, Outcome, OutlastError


class RejectedError(OutlastError):
    """The call was not run. Nothing happened; a later try is safe.

    Args:
        message: What refused the call, and why.
        key: Which of a keyed policy's instances refused it, or None.
        **fields: As for `OutlastError`; `operation` is the name of the policy.
    """

    default_category = Category.TRANSIENT

    def __init__(self, message: str = "", *, key: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.key = key

    @property
    def policy(self) -> str | None:
        """Return the name of the policy that refused the call."""
        return self.operation


class CircuitOpenError(RejectedError):
    """The circuit is open: the dependency failed too often to be asked now."""


class BulkheadFullError(RejectedError):
    """Too many calls are running and waiting already."""


class ThrottledError(RejectedError):
    """Our own limiter refused the call."""


class DegradedError(RejectedError):
    """The present degradation mode refuses this operation."""


class ShuttingDownError(RejectedError):
    """The component is closing or closed and takes no further work."""


class OutboxFullError(RejectedError):
    """No room is left in the outbox by its bounds; nothing was queued.

    Args:
        message: What is full, by how much, and what to do.
        what: The bound: `ops`, `bytes`, `parked` or `age`.
        limit: Its value.
        found: What it would be.
        never: Whether the call would not fit into an empty outbox either.
        **fields: As for `OutlastError`.
    """

    def __init__(
        self,
        message: str = "",
        *,
        what: str = "",
        limit: float | None = None,
        found: float | None = None,
        never: bool = False,
        **fields: Any,
    ) -> None:
        super().__init__(message, **{"category": Category.INVALID_INPUT if never else None, **fields})
        self.what = what
        self.limit = limit
        self.found = found
        self.never = never


class DeadlineExceededError(OutlastError, TimeoutError):
    """The call ran longer than its limit allowed. Also a `TimeoutError`.

    Args:
        message: Whose limit it was, and what it was.
        limit: The limit in seconds, or None when unknown.
        **fields: As for `OutlastError`.
    """

    default_category = Category.RETRIABLE
    default_outcome = Outcome.IN_DOUBT

    def __init__(self, message: str = "", *, limit: float | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.limit = limit


class InDoubtError(OutlastError):
    """The effect may or may not have taken place, and it must not be sent again unguarded."""

    default_category = Category.UNKNOWN
    default_outcome = Outcome.IN_DOUBT


class RemoteError(OutlastError):
    """A remote service failed or refused the call."""


class NetworkError(RemoteError):
    """No whole answer came back over the network."""

    default_category = Category.RETRIABLE
    default_outcome = Outcome.IN_DOUBT


class RateLimitError(RemoteError):
    """The service asked for fewer calls (429)."""

    default_category = Category.TRANSIENT


class ServerError(RemoteError):
    """The service failed to answer (5xx)."""

    default_category = Category.RETRIABLE
    default_outcome = Outcome.IN_DOUBT


class OverloadedError(ServerError):
    """The service has more to do than it can, and has not begun with the call (529)."""

    default_category = Category.TRANSIENT
    default_outcome = Outcome.NOT_APPLIED


class AuthenticationError(RemoteError):
    """The service refused the credentials (401) or the permission (403)."""

    default_category = Category.FATAL


class BadRequestError(RemoteError):
    """The service refused the request as wrong (4xx)."""

    default_category = Category.INVALID_INPUT


class StoreError(OutlastError):
    """A store could not do what was asked."""


class StorageError(StoreError):
    """The file or server that holds the data cannot be used."""

    default_category = Category.FATAL


class NotOursError(StorageError):
    """The file exists but was not made by outlast, or for another purpose."""


class NewerFormatError(StorageError):
    """The file was written by a newer version of outlast."""


class CorruptError(StorageError):
    """The file is damaged."""


class StorageFullError(StorageError):
    """No space is left to write; what was acknowledged before is safe."""

    default_category = Category.TRANSIENT


class StorageBusyError(StorageError):
    """Another process held the file for longer than this one may wait."""

    default_category = Category.TRANSIENT


class SchemaError(StoreError):
    """A value does not have the declared shape.

    Args:
        message: What was expected and what was found.
        path: Where in the value, such as `$.address.city`.
        **fields: As for `OutlastError`.
    """

    default_category = Category.INVALID_INPUT

    def __init__(self, message: str = "", *, path: str = "$", **fields: Any) -> None:
        super().__init__(message, **fields)
        self.path = path


class ConflictError(StoreError):
    """The remote side holds another version than the one that the write was based on.

    Args:
        message: What clashed.
        expected: The version that the write was based on, or None.
        found: The version that is there, or None.
        **fields: As for `OutlastError`.
    """

    default_category = Category.INVALID_INPUT

    def __init__(
        self, message: str = "", *, expected: str | None = None, found: str | None = None, **fields: Any
    ) -> None:
        super().__init__(message, **fields)
        self.expected = expected
        self.found = found


class SyncError(OutlastError):
    """A write could not be queued or delivered."""


class LeaseHeldError(SyncError):
    """Another live process delivers from this outbox."""

    default_category = Category.TRANSIENT


class LeaseLostError(SyncError):
    """This process no longer owns the delivery; it must stop sending."""


class DeadLetterError(SyncError):
    """The write was given up and waits in the dead letters for a decision."""

    default_category = Category.FATAL


class ReceiptPrunedError(SyncError, LookupError):
    """What became of the write is not known any more, because its receipt was pruned. Also a `LookupError`."""

    default_category = Category.INVALID_INPUT


class ConfigError(OutlastError, ValueError):
    """A setting or an argument is wrong. Also a `ValueError`.

    Args:
        message: What was wrong.
        path: Where in the configuration, such as `pipelines.payments.retry.attempts`.
        suggestion: What was probably meant.
        file: The file in which it stands, if it stands in one.
        line: The line there, from 1, if it is known.
        **fields: As for `OutlastError`.
    """

    default_category = Category.INVALID_INPUT

    def __init__(
        self,
        message: str = "",
        *,
        path: str = "",
        suggestion: str = "",
        file: str = "",
        line: int | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(message, **fields)
        self.path = path
        self.suggestion = suggestion
        self.file = file
        self.line = line

    def __str__(self) -> str:
        """Return `file:line: path: message; did you mean ...?` with the parts that are known."""
        file = self.file if self.line is None else f"{self.file}:{self.line}"
        where = "".join(f"{part}: " for part in (file, self.path) if part)
        hint = f"; did you mean {self.suggestion}?" if self.suggestion else ""
        return f"{where}{super().__str__()}{hint}"


class DuplicateNameError(ConfigError):
    """A live component of that kind and name exists already."""


class ForkedError(ConfigError):
    """An object that holds threads and files was carried across a fork."""


class MissingExtraError(OutlastError, ImportError):
    """An optional dependency is not installed. Also an `ImportError`."""

    default_category = Category.FATAL
