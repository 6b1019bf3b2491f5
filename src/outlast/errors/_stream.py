"""How a stream can fail after it began, with what had arrived by then."""

from __future__ import annotations

from typing import Any

from outlast.errors._base import Category, Outcome, OutlastError


class StreamError(OutlastError):
    """A stream ended early or fell silent.

    Args:
        message: What happened to the stream.
        partial: What had arrived before, or None. It is never complete, however complete it looks.
        **fields: As for `OutlastError`.
    """

    default_category = Category.RETRIABLE
    default_outcome = Outcome.IN_DOUBT

    def __init__(self, message: str = "", *, partial: Any = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.partial = partial


class StreamStalledError(StreamError):
    """The stream is open but nothing came for too long.

    Args:
        message: Which watch found it silent.
        silent_for: Seconds since the last sign of life, or None when unknown.
        **fields: As for `StreamError`.
    """

    def __init__(self, message: str = "", *, silent_for: float | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.silent_for = silent_for


class StreamTruncatedError(StreamError):
    """The stream ended, cleanly or not, before the mark that says it is whole."""


class StreamProtocolError(StreamError):
    """The stream carried what its protocol does not allow."""

    default_category = Category.FATAL
