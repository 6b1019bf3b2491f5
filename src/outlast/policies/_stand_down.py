"""Let one of several retries around a call be in charge, so that attempts add up instead of multiplying.

A retry that gives up marks the exception, and a retry further out leaves a marked one alone: that costs nothing while
calls succeed, and works through `gather` and task groups. Where the retry further out is in another process, a
header says so, and who reads the header puts `retried_above` around the work.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Final

from outlast.policies._groups import members

_MARK: Final = "__outlast_given_up__"
_DEPTH: Final = 8

_above: ContextVar[bool] = ContextVar("outlast_retried_above", default=False)


class Marks:
    """Number the marks, so that an exception object that is raised again and again does not keep an old one.

    A retry remembers the latest number when an attempt begins; only a mark with a later one was made within it.
    """

    __slots__ = ("latest",)

    def __init__(self) -> None:
        self.latest = 0

    def put(self, error: BaseException) -> None:
        """Mark an exception as given up; one that takes no attributes stays as it is."""
        self.latest += 1
        with suppress(AttributeError, TypeError):
            setattr(error, _MARK, self.latest)

    def since(self, error: BaseException | None, begun: int, depth: int = _DEPTH) -> bool:
        """Tell whether an exception, what it was raised from, or a member of it was given up after a moment.

        Args:
            error: The exception.
            begun: The latest mark at that moment.
            depth: How far to follow causes and groups.
        """
        if error is None or depth == 0:
            return False
        number = getattr(error, _MARK, 0)
        if isinstance(number, int) and number > begun:
            return True
        inside = (error.__cause__, *members(error))
        return any(self.since(other, begun, depth - 1) for other in inside)


MARKS: Final = Marks()


@contextmanager
def retried_above() -> Generator[None]:
    """Say for the length of a block that the caller retries, so that each `Retry` inside makes one attempt.

    For servers whose callers announce it, and for code that is run again by something else, such as a job queue.
    `Retry(stand_down=False)` does not care.

    Thread-safe: yes; it holds for this context and for the tasks that are started in it.

    >>> with retried_above():
    ...     is_retried_above()
    True
    """
    token = _above.set(True)
    try:
        yield
    finally:
        _above.reset(token)


def is_retried_above() -> bool:
    """Tell whether something further out has said that it retries."""
    return _above.get()
