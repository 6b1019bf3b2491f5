"""Keep what caches hold in a file, so that a restarted program can answer at once."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from outlast.cache import _rows
from outlast.cache._envelope import Row
from outlast.cache._pending import Pending
from outlast.config import check_number
from outlast.errors import CorruptError, ShuttingDownError, StorageError
from outlast.storage import Connection, SqliteDatabase

T = TypeVar("T")


class SqliteTier:
    """Keep values in an SQLite file.

    Several caches, also of several processes, may share a file; each has its name in it. The cache that is
    given the tier closes it; of several, the last one does.

    A damaged file is reported by the caches that use it, and they go on in memory; delete it to begin anew.
    Opening reads the file through once, which blocks; use `open` in a running event loop.

    Thread-safe: yes. It may not be carried across a fork.

    Args:
        path: The file; it is made if it does not exist.
        max_items: How many values of one cache are kept; the oldest go first. Default 100 000.
        durability: `process` survives the death of the process, `power` also a power cut, at the price of a
            flush for each group of writes. Default `process`.

    Raises:
        MissingExtraError: apsw is not installed.
        NotOursError: The file is something else than a cache.
        NewerFormatError: It was written by a newer version.
        StorageError: It cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_items: int = 100_000, durability: str = "process") -> None:
        check_number("disk.max_items", max_items, least=1)
        self.path = path
        self.max_items = max_items
        self.failure: StorageError | None = None
        self._pending = Pending()
        self._lock = threading.Lock()
        self._users = 0
        self._database: SqliteDatabase | None = None
        try:
            self._database = SqliteDatabase(path, _rows.CACHE_FILE, durability=durability)
        except CorruptError as error:
            self.failure = error

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *, max_items: int = 100_000, durability: str = "process") -> Self:
        """Open a file without blocking the event loop; arguments and errors are those of the class.

        Cancel: the file may be opened all the same, and is closed when it is collected.
        """
        return await asyncio.to_thread(cls, path, max_items=max_items, durability=durability)

    def __repr__(self) -> str:
        """Show the file and what is wrong with it."""
        return f"SqliteTier({os.fspath(self.path)!r}, failure={self.failure!r})"

    @property
    def is_open(self) -> bool:
        """Tell whether the file could be opened."""
        return self._database is not None

    def attach(self) -> None:
        """Count a cache that uses the file."""
        with self._lock:
            self._users += 1

    def detach(self) -> None:
        """Count a cache out; the last one closes the file, after everything given to it is written."""
        with self._lock:
            self._users -= 1
            last = self._users <= 0
        if last:
            self.close()

    def close(self) -> None:
        """Write what is queued and close the file; a second close does nothing."""
        if self._database is not None:
            self._database.close()

    def lookup(self, cache: str, key: str) -> Future[Row | None]:
        """Return what is stored under a key, or will be once the writer gets there."""
        waiting = self._pending.get(cache, key)
        if waiting is None:
            return self._read(lambda db: _rows.read_row(db, cache, key))
        future: Future[Row | None] = Future()
        future.set_result(waiting.row)
        return future

    def ticket(self, cache: str, key: str) -> Future[int]:
        """Return the generation under which a load of a key begins."""
        return self._read(lambda db: _rows.ticket(db, cache, key))

    def fill(self, cache: str, key: str, row: Row, ticket: int) -> Future[bool]:
        """Store what a load brought; the future tells whether its ticket still held."""
        return self._write(cache, key, row, lambda db: _rows.fill(db, cache, key, row, ticket))

    def put(self, cache: str, key: str, row: Row) -> Future[None]:
        """Store what a caller knows."""
        return self._write(cache, key, row, lambda db: _rows.put(db, cache, key, row))

    def remove(self, cache: str, key: str) -> Future[None]:
        """Delete a key."""
        return self._write(cache, key, None, lambda db: _rows.remove(db, cache, key))

    def clear(self, cache: str) -> Future[None]:
        """Delete everything of a cache."""
        number = self._pending.hold_all(cache)
        future = self._submit(lambda db: _rows.clear(db, cache))
        future.add_done_callback(lambda done: self._pending.settle_all(cache, number, written=_succeeded(done)))
        return future

    def sweep(self, cache: str, before_ms: float) -> Future[None]:
        """Delete what is older than that moment, or too much."""
        return self._submit(lambda db: _rows.sweep(db, cache, before_ms=before_ms, max_items=self.max_items))

    def _write(self, cache: str, key: str, row: Row | None, job: Callable[[Connection], T]) -> Future[T]:
        number = self._pending.hold(cache, key, row)
        future = self._submit(job)
        future.add_done_callback(lambda done: self._pending.settle(cache, key, number, written=_succeeded(done)))
        return future

    def _submit(self, job: Callable[[Connection], T]) -> Future[T]:
        return self._watched(lambda database: database.write(job))

    def _read(self, job: Callable[[Connection], T]) -> Future[T]:
        return self._watched(lambda database: database.read(job))

    def _watched(self, start: Callable[[SqliteDatabase], Future[T]]) -> Future[T]:
        """Start a job, and remember when one finds the file damaged; a refusal becomes a failed future."""
        if self._database is None:
            return _failed(self.failure or StorageError(f"{self.path} is not open"))
        try:
            future = start(self._database)
        except ShuttingDownError as error:
            return _failed(error)
        future.add_done_callback(self._note_damage)
        return future

    def _note_damage(self, done: Future[Any]) -> None:
        error = None if done.cancelled() else done.exception()
        if isinstance(error, CorruptError):
            self.failure = error


def _succeeded(done: Future[Any]) -> bool:
    return not done.cancelled() and done.exception() is None


def _failed(error: Exception) -> Future[T]:
    future: Future[T] = Future()
    future.set_exception(error)
    return future
