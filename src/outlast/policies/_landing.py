"""Where the callers of one shared execution wait, and what they find there."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Any


class Landing:
    """Hold how an execution ended.

    Thread-safe: yes; written once, before those who wait are told.
    """

    def __init__(self) -> None:
        self.landed = False
        self._value: Any = None
        self._error: Exception | None = None
        self._trace: TracebackType | None = None

    def succeed(self, value: Any) -> None:
        """Keep the result."""
        self._value = value
        self.landed = True

    def fail(self, error: Exception) -> None:
        """Keep the exception, with the traceback that it has now."""
        self._error, self._trace = error, error.__traceback__
        self.landed = True

    def expect(self) -> None:
        """Prepare for a caller who waits."""

    def outcome(self) -> Any:
        """Return the result, or raise the exception.

        It is the same object for everybody, each time with the traceback of the execution, which would
        otherwise grow by every caller that raises it.
        """
        error = self._error
        if error is None:
            return self._value
        try:
            raise error.with_traceback(self._trace)
        finally:
            del error, self  # no cycle between an error and the frames that raise it


class ThreadLanding(Landing):
    """Wait in threads; over without `landed` says that the work was interrupted.

    Mostly nobody joins, so the signal is made only when somebody does.
    """

    def __init__(self) -> None:
        super().__init__()
        self._over: threading.Event | None = None

    def expect(self) -> None:
        """Prepare for a caller who waits; called under the lock, as is striking off the flight."""
        self._over = self._over or threading.Event()

    def wait(self, seconds: float | None) -> bool:
        """Wait until the work is over; False says that it is not."""
        return self._over is None or self._over.wait(seconds)

    def end(self) -> None:
        """Wake those who wait; called when nobody can join any more."""
        if self._over is not None:
            self._over.set()


class TaskLanding(Landing):
    """Wait in tasks of one loop."""

    task: asyncio.Task[None]

    def outcome(self) -> Any:
        """Return the result, or raise the exception or what else ended the task."""
        try:
            return super().outcome() if self.landed else self.task.result()
        finally:
            del self  # as above
