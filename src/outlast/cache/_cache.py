"""The asynchronous face of a cache."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from outlast.cache._entry import Found
from outlast.cache._face import Face
from outlast.cache._flight import Flight, enter
from outlast.cache._result import Loaded, Result
from outlast.engines.read_plan import Answer
from outlast.errors import Category, ConfigError, OutlastError
from outlast.policies import no_deadline

K = TypeVar("K", bound=str | int)
V = TypeVar("V")


class Cache(Face):
    """Answer reads from memory, from a file or from the source, whichever is best, and say which it was.

    While the source fails or is slow, a stored value that `freshness` still allows is answered. One load runs
    for each key at a time, however many ask. A removed value is never answered again: not from the file,
    not by a load that began before the removal, and not after a crash.

    A cache belongs to the event loop that first uses it; use one `Cache` a loop, or a `SyncCache` for threads.
    Leave it with `async with` or `aclose()`.

    Thread-safe: no.

    Args:
        name: What it is called in events, metrics and in the file.
        freshness: How old an answer may be. Default `Freshness()`.
        memory: How much is kept in memory. Default `Memory()`: 10 000 values.
        disk: Where values outlive the process, or None. The cache closes it.
        codec: How values become bytes. Default: MessagePack for plain values, which refuses any other.
        retry_load_after: Seconds after a failed load in which a stale value is answered without another
            try. Default 1.
        clock: Where ages come from; waiting is the event loop's.
        bus: Where events go.
        registry: Where it is known by name, as a `cache`.

    Raises:
        DuplicateNameError: Another live cache has that name.
        MissingExtraError: A library that the file needs is not installed.

    >>> from outlast.cache import Cache, Freshness
    >>> async def main():
    ...     async def load_user(uid):
    ...         return {"id": uid}
    ...     async with Cache("doc-users", freshness=Freshness(ttl=60)) as users:
    ...         await users.get_or_load(7, load_user)
    ...         return (await users.read(7, load_user)).source.value
    >>> asyncio.run(main())
    'memory'
    """

    def _set_up(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @overload
    async def get_or_load(self, key: K, load: Callable[[K], Awaitable[Loaded[V]]]) -> V: ...
    @overload
    async def get_or_load(self, key: K, load: Callable[[K], Awaitable[Loaded[V] | None]]) -> V | None: ...
    @overload
    async def get_or_load(self, key: K, load: Callable[[K], Awaitable[V]]) -> V: ...
    async def get_or_load(self, key: K, load: Callable[[K], Awaitable[Any]]) -> Any:
        """Return the value of a key; `read` with the same arguments also says where it came from."""
        return (await self.read(key, load)).value

    @overload
    async def read(self, key: K, load: Callable[[K], Awaitable[Loaded[V]]]) -> Result[V]: ...
    @overload
    async def read(self, key: K, load: Callable[[K], Awaitable[Loaded[V] | None]]) -> Result[V | None]: ...
    @overload
    async def read(self, key: K, load: Callable[[K], Awaitable[V]]) -> Result[V]: ...
    async def read(self, key: K, load: Callable[[K], Awaitable[Any]]) -> Result[Any]:
        """Answer from the best source left.

        Args:
            key: Text or a whole number; a number and its digits are the same key.
            load: An async function that is given the key and returns the value, a `Loaded` with an etag, or
                None for "there is no such thing", which is kept for `negative_ttl`. It runs in a task of its own
                with a copy of the caller's context, at most `load_timeout` seconds.

        Raises:
            Exception: The loader's own, with a note, when no stored value may stand in.
            DeadlineExceededError: Loading took longer than `load_timeout`, and nothing may stand in.
            ConfigError: The key is no key, the loader waits for its own key, or another event loop owns the cache.
            ShuttingDownError: The cache is closed.

        Cancel: the load goes on for whoever else waits, and is stored.
        """
        text = self._admit(key)
        found = await self._find(text)
        plan = self._core.plan(found)
        if found is not None and isinstance(plan, Answer):
            if plan.refresh:
                self._start(text, key, load)
            return self._core.answer(text, found, stale=plan.stale, why=plan.why)
        return await self._wait(self._start(text, key, load), found)

    async def peek(self, key: str | int) -> Result[Any] | None:
        """Return what is stored and may still be used, fresh or stale, without loading; None if there is nothing.

        Raises:
            ShuttingDownError: The cache is closed.
        """
        text = self._admit(key)
        return self._core.answer_as_is(text, await self._find(text), "read without loading")

    async def put(self, key: str | int, value: Any, etag: str | None = None) -> None:
        """Store a value that is known to be current now; None for "there is no such thing".

        A load under way no longer counts: its result goes to those who waited before, and is not stored. Returns when
        the file has the value; if the file refuses, memory has it, the older value in the file is not read
        any more, and `snapshot().disk_error` says why.

        Raises:
            SchemaError: The codec cannot encode the value; nothing was changed.
            ShuttingDownError: The cache is closed.

        Cancel: the value is stored all the same.
        """
        text = self._admit(key)
        written = self._core.put(text, value, etag)
        if written is not None:
            await _ended(written)
            self._core.written(text, written)

    async def remove(self, key: str | int) -> None:
        """Remove a value for good.

        It is never answered again, not even stale. A load under way goes to those who waited before, and is not
        stored. Returns when the removal is in the file, so that a crash cannot bring the value back. The memory
        of other processes that share the file is not reached.

        Raises:
            StorageError: The file refused. The value is gone for this process, but may be back after a restart.
            ShuttingDownError: The cache is closed.

        Cancel: the value is removed all the same.
        """
        text = self._admit(key)
        await self._removed(text, self._core.remove(text))

    async def clear(self) -> None:
        """Remove every value of this cache for good; errors and cancellation are as for `remove`."""
        self._bind()
        await self._removed("*", self._core.clear())

    async def aclose(self) -> None:
        """Cancel the loads under way, write what waits for the file and close it; a second call does nothing.

        Cancel: the loads are cancelled and the file is closed all the same.
        """
        loop = self._own_loop()
        if self._close() is None:
            return
        tasks = set(self._tasks) if self._loop is loop else set[asyncio.Task[Any]]()
        try:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=self.freshness.load_timeout)
        finally:
            if self._core.disk is not None:
                await asyncio.to_thread(self._core.disk.close)

    async def __aenter__(self) -> Self:
        """Return itself."""
        self._bind()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    def _admit(self, key: str | int) -> str:
        text = self._core.admit(key)
        self._bind()
        return text

    def _bind(self) -> None:
        self._core.check_open()
        loop = self._own_loop()
        if self._loop is not loop:
            self._core.void_loads()  # loads of a loop that is gone never end
            self._tasks.clear()
            self._loop = loop

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is None or self._loop is loop or self._loop.is_closed():
            return loop
        raise ConfigError(
            f"cache {self.name!r} belongs to another event loop; make one for each, or use SyncCache from threads",
            operation=self.name,
        )

    async def _find(self, text: str) -> Found | None:
        found = self._core.look(text)
        if found is not None:
            return found
        with self._core.lookup(text) as lookup:
            if lookup is None:
                return None
            await _ended(lookup.row)
            return self._core.looked_up(text, lookup)

    def _start(self, text: str, key: Any, load: Callable[[Any], Awaitable[Any]]) -> Flight:
        flight, new = self._core.join(text)
        if new:
            task = flight.landed = self._spawn(self._fly(flight, key, load))
            task.add_done_callback(lambda _: self._core.abandon(flight))
        return flight

    async def _fly(self, flight: Flight, key: Any, load: Callable[[Any], Awaitable[Any]]) -> None:
        """Bound a load: one that does not end, not even when cancelled, is left behind."""
        loading = self._spawn(self._load(flight, key, load))
        try:
            await asyncio.wait({loading}, timeout=self.freshness.load_timeout)
        finally:
            loading.cancel()
        if not loading.done():
            self._core.failed_in_time(flight)
        elif loading.cancelled():
            message = f"the load of {flight.key!r} was cancelled from inside"
            self._core.failed(flight, OutlastError(message, category=Category.RETRIABLE, operation=self.name))
        elif isinstance(error := loading.exception(), Exception):
            self._core.failed(flight, error)
        else:
            self._core.landed(flight, loading.result())

    async def _load(self, flight: Flight, key: Any, load: Callable[[Any], Awaitable[Any]]) -> Any:
        enter(flight)
        asked = self._core.ask_ticket(flight.key)
        if asked is not None:
            await _ended(asked)
            self._core.take_ticket(flight, asked)
        with no_deadline():  # the load is not its first reader's alone
            answer = load(key)
            if not inspect.isawaitable(answer):
                raise ConfigError(f"a loader of Cache is an async function, and {load!r} is none; SyncCache takes such")
            return await answer

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(work, name=f"outlast-cache-{self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # taken note of elsewhere; asyncio need not complain that nobody asked

    async def _wait(self, flight: Flight, found: Found | None) -> Result[Any]:
        limit = self._core.patience(flight, found)
        while True:
            await asyncio.wait({flight.landed}, timeout=limit)
            result = self._core.conclude(flight, found)
            if result is not None:
                return result
            limit = None

    async def _removed(self, text: str, written: Future[Any] | None) -> None:
        if written is not None:
            await _ended(written)
            self._core.written(text, written)
            written.result()


async def _ended(future: Future[Any]) -> None:
    """Wait until a future of another thread is over, however it ends; cancelling does not reach it."""
    if future.done():
        return
    loop = asyncio.get_running_loop()
    over = asyncio.Event()

    def tell(_: Future[Any]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(over.set)

    future.add_done_callback(tell)
    await over.wait()
