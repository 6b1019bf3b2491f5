"""Run a call in a thread of its own, so that its caller can stop waiting for it."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

from outlast.errors import BulkheadFullError


class StillRunningError(Exception):
    """The caller stopped waiting; the call goes on by itself."""


class Workers:
    """Run calls in threads and count those that nobody waits for any more.

    A thread cannot be stopped: an abandoned call runs to its end. `most` bounds how many there may be.

    Args:
        name: Of the threads, and in errors.
        most: Abandoned calls that may be running before new ones are refused, >= 1.

    Thread-safe: yes.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._lock = threading.Lock()
        self.abandoned = 0

    def run(self, call: Callable[[], Any], seconds: float) -> Any:
        """Run `call` with a copy of the context and return what it returns.

        Args:
            call: What to run.
            seconds: How long to wait for it.

        Raises:
            StillRunningError: It did not end in time; it goes on.
            BulkheadFullError: Too many abandoned calls are running; nothing was run.
        """
        if self.abandoned >= self._most:
            raise BulkheadFullError(
                f"{self._name}: {self.abandoned} calls that ran out of time are still running; no more are started",
                operation=self._name,
            )
        job = _Job(contextvars.copy_context(), call, self._returned)
        threading.Thread(target=job.work, name=f"outlast-{self._name}", daemon=True).start()
        try:
            if job.done.wait(seconds):
                return job.result()
        finally:
            self._leave(job)
        raise StillRunningError

    def _leave(self, job: _Job) -> None:
        with self._lock:
            if not job.done.is_set():
                job.abandoned = True
                self.abandoned += 1

    def _returned(self, job: _Job) -> None:
        with self._lock:
            job.done.set()
            if job.abandoned:
                self.abandoned -= 1


class _Job:
    def __init__(self, context: contextvars.Context, call: Callable[[], Any], returned: Callable[[_Job], None]) -> None:
        self._context = context
        self._call = call
        self._returned = returned
        self._value: Any = None
        self._error: BaseException | None = None
        self.done = threading.Event()
        self.abandoned = False

    def work(self) -> None:
        try:
            self._value = self._context.run(self._call)
        except BaseException as error:
            self._error = error
        finally:
            self._returned(self)

    def result(self) -> Any:
        if self._error is None:
            return self._value
        try:
            raise self._error
        finally:
            self._error = None  # no cycle between the error and the frame that raises it
