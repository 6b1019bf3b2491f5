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
        if self.full:
            raise BulkheadFullError(
                f"{self._name}: {self.abandoned} calls that ran out of time are still running; no more are started",
                operation=self._name,
            )
        job = self.start(call)
        try:
            if job.done.wait(seconds):
                return job.result()
        finally:
            self.leave(job)
        raise StillRunningError

    @property
    def full(self) -> bool:
        """Tell whether as many abandoned calls are running as there may be."""
        return self.abandoned >= self._most

    def start(self, call: Callable[[], Any], tell: Callable[[Job], None] | None = None) -> Job:
        """Run `call` in a thread with a copy of the context; whoever starts a job must `leave` it.

        Args:
            call: What to run.
            tell: Called in that thread with the job when it has ended.
        """
        job = Job(contextvars.copy_context(), call, self._returned, tell)
        threading.Thread(target=job.work, name=f"outlast-{self._name}", daemon=True).start()
        return job

    def leave(self, job: Job) -> None:
        """Stop waiting for a job; one that still runs counts as abandoned until it ends."""
        with self._lock:
            if not job.done.is_set():
                job.abandoned = True
                self.abandoned += 1

    def _returned(self, job: Job) -> None:
        with self._lock:
            job.done.set()
            if job.abandoned:
                self.abandoned -= 1


class Job:
    """Be one call in a thread of its own; made by `Workers`."""

    def __init__(
        self,
        context: contextvars.Context,
        call: Callable[[], Any],
        returned: Callable[[Job], None],
        tell: Callable[[Job], None] | None,
    ) -> None:
        self._tell = tell
        self._context = context
        self._call = call
        self._returned = returned
        self._value: Any = None
        self._error: BaseException | None = None
        self.done = threading.Event()
        self.abandoned = False

    def work(self) -> None:
        """Run the call and keep how it ended."""
        try:
            self._value = self._context.run(self._call)
        except BaseException as error:
            self._error = error
        finally:
            self._returned(self)
            if self._tell is not None:
                self._tell(self)

    def result(self) -> Any:
        """Return what the call returned, or raise what it raised; once."""
        value, error = self.take()
        if error is None:
            return value
        try:
            raise error
        finally:
            del error  # no cycle between the error and the frame that raises it

    def take(self) -> tuple[Any, BaseException | None]:
        """Return what the call returned and what it raised, and forget both."""
        ended = self._value, self._error
        self._value = self._error = None
        return ended
