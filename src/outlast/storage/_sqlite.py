"""Open SQLite files so that what is acknowledged survives, and refuse those that are not ours."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from outlast.errors import (
    ConfigError,
    CorruptError,
    ForkedError,
    NewerFormatError,
    NotOursError,
    ShuttingDownError,
    StorageError,
)
from outlast.storage._connection import Connection
from outlast.storage._extras import require
from outlast.storage._failures import translate
from outlast.storage._writer import GroupCommitWriter

T = TypeVar("T")

_HEADER = b"SQLite format 3\x00"
_SAFE_SINCE = (3, 51, 3)
_BUSY_MS = 10_000
_SYNCHRONOUS = {"power": 2, "process": 1}


@dataclass(frozen=True, slots=True)
class FileFormat:
    """Say which files are ours and how they are laid out.

    Args:
        name: What the file is called towards users, such as `outbox`.
        application_id: The number in the file's header that marks it as ours.
        version: The newest layout that this code knows, >= 1.
        migrations: The SQL that leads from layout n to n + 1, one entry for each n from 0.
    """

    name: str
    application_id: int
    version: int
    migrations: tuple[str, ...]


class SqliteDatabase:
    """Hold one SQLite file open: a writer thread that commits in groups and a reader thread.

    WAL mode; with `durability="power"` every commit is flushed before it is acknowledged and survives
    a power cut, with `"process"` it survives the death of the process only. The settings are read back.

    Thread-safe: yes. It may not be carried across a fork.

    Args:
        path: The file; it is made if it does not exist.
        layout: Which files are ours.
        durability: `power` or `process`. Default `power`.

    Raises:
        ConfigError: The durability is neither.
        MissingExtraError: apsw is not installed.
        NotOursError: The file is something else.
        NewerFormatError: It was written by a newer version.
        CorruptError: It is damaged; nothing was changed.
        StorageError: It cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], layout: FileFormat, *, durability: str = "power") -> None:
        if durability not in _SYNCHRONOUS:
            raise ConfigError(f"is one of {', '.join(_SYNCHRONOUS)}, not {durability!r}", path="durability")
        self.path = Path(path)
        self.layout = layout
        self._apsw = require("apsw", extra="store", purpose=f"the {layout.name} file")
        self._pid = os.getpid()
        self._closed = False
        self._lock = threading.Lock()
        _check_file(self.path, layout)
        opened: list[Connection] = []
        try:
            self._inspect()
            opened.append(self._connect(durability))
            _prepare(opened[0], self.path, layout)
            opened.append(self._connect(durability))
        except Exception as error:
            for connection in opened:
                connection.close()
            raise translate(error, str(self.path)) from error
        self._connections = opened
        self._reader = opened[1]
        self._writer = GroupCommitWriter(opened[0], str(self.path))
        self._read_pool = ThreadPoolExecutor(1, thread_name_prefix="outlast-reader")

    def _inspect(self) -> None:
        """Refuse a foreign or newer database before anything could change it."""
        if not self.path.exists() or not self.path.stat().st_size:
            return
        # Even a reader leaves files beside a database in WAL mode, unless it is told that nobody writes; and that may
        # be said only where no such file holds a part of it.
        alone = not any(Path(f"{self.path}{end}").exists() for end in ("-wal", "-journal"))
        uri = f"{self.path.resolve().as_uri()}?immutable={int(alone)}"
        flags = self._apsw.SQLITE_OPEN_READONLY | self._apsw.SQLITE_OPEN_URI
        connection: Connection = self._apsw.Connection(uri, flags=flags)
        try:
            connection.set_busy_timeout(_BUSY_MS)
            _check_owner(connection, self.path, self.layout)
        finally:
            connection.close()

    def _connect(self, durability: str) -> Connection:
        connection: Connection = self._apsw.Connection(str(self.path))
        connection.set_busy_timeout(_BUSY_MS)
        wanted = _SYNCHRONOUS[durability]
        mode = connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", wanted)
        if mode != "wal" or connection.pragma("synchronous") != wanted:
            raise StorageError(f"{self.path}: SQLite refused WAL with synchronous={wanted}; is it on a network disk?")
        return connection

    def write(self, job: Callable[[Connection], T]) -> Future[T]:
        """Run SQL in a durable transaction, shared with whatever else waits.

        Args:
            job: Called with the connection inside the transaction; it may run twice.

        Returns:
            A future with the job's result, set once it is durable.
        """
        self._check_process()
        return self._writer.submit(job)

    def read(self, job: Callable[[Connection], T]) -> Future[T]:
        """Run a query on the reader thread and return a future with its result.

        Raises:
            ShuttingDownError: The database was closed.
        """
        self._check_process()
        with self._lock:
            if self._closed:
                raise ShuttingDownError(f"{self.path} is closed", operation="read")
            return self._read_pool.submit(self._query, job)

    def _query(self, job: Callable[[Connection], T]) -> T:
        try:
            return job(self._reader)
        except self._apsw.Error as error:
            raise translate(error, str(self.path)) from error

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise ForkedError(f"{self.path} was opened before a fork; open it again in the child process")

    @property
    def commits(self) -> int:
        """Return how many transactions the writer has committed."""
        return self._writer.commits

    def close(self) -> None:
        """Finish what is queued and close the file; a second close does nothing."""
        with self._lock:
            if self._closed or os.getpid() != self._pid:
                return
            self._closed = True
        self._writer.close()
        self._read_pool.shutdown(wait=True)
        for connection in self._connections:
            connection.close()


def _check_file(path: Path, layout: FileFormat) -> None:
    if path.is_dir():
        raise NotOursError(f"{path} is a folder; name a file for the {layout.name}")
    if not path.parent.is_dir():
        raise StorageError(f"the folder {path.parent} does not exist; make it, or name another place")
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(_HEADER)) != _HEADER:
                raise NotOursError(f"{path} is not an {layout.name} file; name another file. It was not touched")


def _prepare(connection: Connection, path: Path, layout: FileFormat) -> None:
    version = tuple(int(part) for part in str(connection.execute("SELECT sqlite_version()").get).split("."))
    if version < _SAFE_SINCE:
        raise StorageError(f"SQLite {'.'.join(map(str, version))} can damage WAL files; install apsw 3.51.3 or newer")
    connection.execute("BEGIN IMMEDIATE")
    try:
        _migrate(connection, layout)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    found = connection.execute("PRAGMA quick_check(1)").get
    if found != "ok":
        raise CorruptError(
            f"{path} is damaged ({found}); nothing was changed. Copy it away before you do anything else"
        )


def _check_owner(connection: Connection, path: Path, layout: FileFormat) -> None:
    marked = connection.pragma("application_id")
    version = int(connection.pragma("user_version"))
    # A process that died between making the file and its first commit leaves an empty database behind.
    empty = not connection.execute("SELECT count(*) FROM sqlite_schema").get
    if marked != layout.application_id and not (empty and not marked):
        raise NotOursError(f"{path} is a database, but no {layout.name}; name another file. It was not touched")
    if version > layout.version:
        raise NewerFormatError(
            f"{path} has layout {version}, and this version of outlast knows up to {layout.version}; "
            "upgrade outlast. It was not touched"
        )


def _migrate(connection: Connection, layout: FileFormat) -> None:
    version = int(connection.pragma("user_version"))
    for step in layout.migrations[version:]:
        connection.execute(step)
    if version != layout.version:
        connection.pragma("application_id", layout.application_id)
        connection.pragma("user_version", layout.version)
