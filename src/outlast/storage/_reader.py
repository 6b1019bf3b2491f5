"""One thread that reads, until it is closed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

A = TypeVar("A")
T = TypeVar("T")


class ReaderThread:
    """Answer questions in one thread, in their order.

    It goes on while the interpreter waits for other threads at its end, when a `ThreadPoolExecutor` answers no more.

    Thread-safe: yes, but for `close`, after which nobody may ask.

    Args:
        name: What the thread is called.
    """

    def __init__(self, name: str) -> None:
        self._asked: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def ask(self, query: Callable[[A], T], about: A) -> Future[T]:
        """Return a future with what a query gives for its argument, run in the thread."""
        future: Future[T] = Future()
        self._asked.put((future, partial(query, about)))
        return future

    def close(self) -> None:
        """Answer what was asked, then stop the thread."""
        self._asked.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            future, query = asked
            if future.set_running_or_notify_cancel():
                try:
                    answer = query()
                except BaseException as error:  # a driver in Rust panics with one, and the thread goes on
                    future.set_exception(error)
                else:
                    future.set_result(answer)
                    del answer
            del asked, future, query  # nobody is to be kept alive until the next question
