"""The blocking face of a cache."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import copy_context
from types import TracebackType
from typing import Any, Final, Self, TypeVar, overload

from outlast.cache._entry import Found
from outlast.cache._face import Face
from outlast.cache._flight import Flight, enter, inside_load
from outlast.cache._result import Loaded, Result
from outlast.cache._threads import LoadThreads
from outlast.engines.read_plan import Answer
from outlast.errors import ConfigError, OutlastError
from outlast.policies import no_deadline

K = TypeVar("K", bound=str | int)
V = TypeVar("V")

MAX_LOAD_THREADS: Final = 16


class SyncCache(Face):
    """Be a `Cache` for scripts and threads: the same answers from the same stored values, waited for by blocking.

    Loads run in up to 16 threads of the cache's own, with a copy of the caller's context, so that a slow load can be
    left behind when a stale value is at hand. A thread cannot be cut: a load that ran into `load_timeout`
    counts as failed and what it brings later is dropped, but its thread is busy until it returns. A load
    that starts inside another load runs in the same thread, bounded by the outer one's limit.

    Thread-safe: yes. Leave it with `with` or `close()`.

    Args and errors are those of `Cache`.

    >>> from outlast.cache import Freshness, SyncCache
    >>> with SyncCache("doc-sync-users", freshness=Freshness(ttl=60)) as users:
    ...     first = users.read(7, lambda uid: {"id": uid})
    ...     again = users.read(7, lambda uid: {"id": uid})
    >>> first.source.value, again.source.value
    ('loaded', 'memory')
    """

    def _set_up(self) -> None:
        self._threads = LoadThreads(f"outlast-cache-{self.name}", MAX_LOAD_THREADS)

    @overload
    def get_or_load(self, key: K, load: Callable[[K], Loaded[V]]) -> V: ...
    @overload
    def get_or_load(self, key: K, load: Callable[[K], Loaded[V] | None]) -> V | None: ...
    @overload
    def get_or_load(self, key: K, load: Callable[[K], V]) -> V: ...
    def get_or_load(self, key: K, load: Callable[[K], Any]) -> Any:
        """Return the value of a key; as `Cache.get_or_load`."""
        return self.read(key, load).value

    @overload
    def read(self, key: K, load: Callable[[K], Loaded[V]]) -> Result[V]: ...
    @overload
    def read(self, key: K, load: Callable[[K], Loaded[V] | None]) -> Result[V | None]: ...
    @overload
    def read(self, key: K, load: Callable[[K], V]) -> Result[V]: ...
    def read(self, key: K, load: Callable[[K], Any]) -> Result[Any]:
        """Answer from the best source left; as `Cache.read`, with a plain function as the loader."""
        text = self._core.admit(key)
        found = self._find(text)
        plan = self._core.plan(found)
        if found is not None and isinstance(plan, Answer):
            if plan.refresh:
                self._start(text, key, load)
            return self._core.answer(text, found, stale=plan.stale, why=plan.why)
        return self._wait(self._start(text, key, load), found)

    def peek(self, key: str | int) -> Result[Any] | None:
        """Return what is stored and may still be used, without loading; as `Cache.peek`."""
        text = self._core.admit(key)
        return self._core.answer_as_is(text, self._find(text), "read without loading")

    def put(self, key: str | int, value: Any, etag: str | None = None) -> None:
        """Store a value that is known to be current now; as `Cache.put`."""
        text = self._core.admit(key)
        written = self._core.put(text, value, etag)
        if written is not None:
            wait([written])
            self._core.written(text, written)

    def remove(self, key: str | int) -> None:
        """Remove a value for good; as `Cache.remove`."""
        text = self._core.admit(key)
        self._removed(text, self._core.remove(text))

    def clear(self) -> None:
        """Remove every value of this cache for good; as `Cache.clear`."""
        self._core.check_open()
        self._removed("*", self._core.clear())

    def close(self) -> None:
        """Wait for running loads, at most `load_timeout`, write what waits and close the file.

        Nothing is stored any more. A second call does nothing.
        """
        flights = self._close()
        if flights is not None:
            for flight in flights:
                flight.landed.set()
            self._threads.close(self.freshness.load_timeout)
            if self._core.disk is not None:
                self._core.disk.close()

    def __enter__(self) -> Self:
        """Return itself."""
        self._core.check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _find(self, text: str) -> Found | None:
        found = self._core.look(text)
        if found is not None:
            return found
        with self._core.lookup(text) as lookup:
            if lookup is None:
                return None
            wait([lookup.row])
            return self._core.looked_up(text, lookup)

    def _start(self, text: str, key: Any, load: Callable[[Any], Any]) -> Flight:
        flight, new = self._core.join(text, threading.Event())
        if not new and not self._core.time_left(flight):
            self._expire(flight)  # nobody waited for it to its end
            flight, new = self._core.join(text, threading.Event())
        if new:
            job, context = self._job(flight, key, load), copy_context()
            if inside_load():
                context.run(job)  # a thread of the pool that waited for another could wait for ever
            else:
                self._threads.submit(lambda: context.run(job))
        return flight

    def _job(self, flight: Flight, key: Any, load: Callable[[Any], Any]) -> Callable[[], None]:
        def job() -> None:
            try:
                self._core.landed(flight, self._load(flight, key, load))
            except Exception as error:
                self._core.failed(flight, error)
            except BaseException as error:  # such as SystemExit: it ends the load, not one of our threads
                self._core.failed(flight, OutlastError(f"the loader of {flight.key!r} raised {error!r}"))
            finally:
                flight.landed.set()

        return job

    def _load(self, flight: Flight, key: Any, load: Callable[[Any], Any]) -> Any:
        enter(flight)
        asked = self._core.ask_ticket(flight.key)
        if asked is not None:
            wait([asked])
            self._core.take_ticket(flight, asked)
        with no_deadline():  # the load is not its first reader's alone
            answer = load(key)
        if inspect.iscoroutine(answer):
            answer.close()
            raise ConfigError(f"a loader of SyncCache is a plain function, and {load!r} is none; Cache takes such")
        return answer

    def _wait(self, flight: Flight, found: Found | None) -> Result[Any]:
        limit = self._core.patience(flight, found)
        while True:
            left = self._core.time_left(flight)
            to_the_end = limit is None or limit >= left
            if not flight.landed.wait(left if to_the_end else limit) and to_the_end:
                self._expire(flight)
            result = self._core.conclude(flight, found)
            if result is not None:
                return result
            limit = None

    def _expire(self, flight: Flight) -> None:
        self._core.failed_in_time(flight)
        flight.landed.set()

    def _removed(self, text: str, written: Future[Any] | None) -> None:
        if written is not None:
            wait([written])
            self._core.written(text, written)
            written.result()
