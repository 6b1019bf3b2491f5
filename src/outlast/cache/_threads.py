"""Run loads in a few threads of their own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class LoadThreads:
    """Run jobs in up to that many threads, started when needed.

    The threads are daemons: a load that hangs keeps neither `close` nor the end of the program waiting, which a
    `ThreadPoolExecutor` would.

    Thread-safe: yes.

    Args:
        name: What the threads are called.
        max_threads: How many, >= 1.
    """

    def __init__(self, name: str, max_threads: int) -> None:
        self._name = name
        self._max_threads = max_threads
        self._jobs: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def submit(self, job: Callable[[], None]) -> None:
        """Queue a job; it must not raise. After closing nothing happens."""
        with self._changed:
            if self._closed:
                return
            self._jobs.append(job)
            if self._idle >= len(self._jobs) or self._threads >= self._max_threads:
                self._changed.notify()
                return
            self._threads += 1
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def close(self, timeout: float) -> None:
        """Drop what has not begun and wait, at most that many seconds, for what has."""
        with self._changed:
            self._closed = True
            self._jobs.clear()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._threads, timeout)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            job()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._jobs or self._closed)
            self._idle -= 1
            if self._closed:
                self._threads -= 1
                self._changed.notify_all()
                return None
            return self._jobs.popleft()
