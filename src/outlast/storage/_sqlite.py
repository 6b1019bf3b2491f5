"""Open SQLite files so that what is acknowledged survives, and refuse those that are not ours."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from outlast.clock import SYSTEM_CLOCK
from outlast.errors import (
    ConfigError,
    CorruptError,
    ForkedError,
    OutlastError,
    ShuttingDownError,
    StorageError,
)
from outlast.storage._connection import Connection
from outlast.storage._extras import require
from outlast.storage._failures import is_full, translate
from outlast.storage._host import FileGate, FileLock
from outlast.storage._layouts import (
    LAYOUT_TABLE,
    Dialect,
    FileFormat,
    check_owner,
    check_version,
    migrate,
    store_version,
    stored_version,
)
from outlast.storage._log import Log
from outlast.storage._log_check import check_log, check_log_has_file, has_more, log_size
from outlast.storage._place import Place, check_file
from outlast.storage._reader import ReaderThread
from outlast.storage._reading import connect_to_read
from outlast.storage._space import SpaceWatch, judge, outside
from outlast.storage._writer import Batch, Failed, GroupCommitWriter, GroupRefusedError

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - the item of a batch, as T is its result

_SAFE_SINCE = (3, 51, 3)
_BUSY_MS = 10_000
_MARKS = (
    "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)"
    " FROM pragma_application_id, pragma_user_version"
)
_TABLES = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?"
_QUICK = 0.001
"""Seconds that a flush takes on a quick disk at most."""
_OFTEN = 64
"""Flushes in a row that show that a disk is quick."""
_SYNCHRONOUS = {"power": 2, "process": 1}


class SqliteDatabase:
    """Hold one SQLite file open: a writer thread that commits in groups and a reader thread.

    WAL mode; with `durability="power"` every commit is flushed before it is acknowledged and survives
    a power cut, with `"process"` it survives the death of the process only. The settings are read back.

    Thread-safe: yes. It may not be carried across a fork.

    Args:
        path: The file; it is made if it does not exist.
        layout: Which files are ours.
        durability: `power` or `process`. Default `power`.
        inside: A prefix for the names of our tables, when they are to lie in a file that belongs to somebody
            else; that file's own marks are left alone then. Default: the file is ours.

    Raises:
        ConfigError: The durability is neither.
        MissingExtraError: apsw is not installed.
        NotOursError: The file is something else.
        NewerFormatError: It was written by a newer version.
        CorruptError: It is damaged; nothing was changed.
        StorageError: It cannot be opened.
    """

    def __init__(
        self, path: str | os.PathLike[str], layout: FileFormat, *, durability: str = "power", inside: str = ""
    ) -> None:
        if durability not in _SYNCHRONOUS:
            raise ConfigError(f"is one of {', '.join(_SYNCHRONOUS)}, not {durability!r}", path="durability")
        self.path = Path(path).resolve()  # SQLite keeps its log where a link leads to, and the locks must lie there
        self.layout = layout
        self.name = str(path)
        self.dialect = Dialect("sqlite", inside)
        self.sender = ""
        self._apsw = require("apsw", extra="store", purpose=f"the {layout.name} file")
        self._pid = os.getpid()
        self._closed = False
        self._lock = threading.Lock()
        check_file(self.path, layout)
        check_log_has_file(self.path)
        opened: list[Connection] = []
        logged = log_size(self.path) > 0
        try:
            with ExitStack() as undo:
                self._inspect()
                # Taken in turn, for who only sleeps until SQLite's lock happens to be free may not get it while others
                # write without a pause.
                self._gate = FileGate(f"{self.path}-gate")
                undo.callback(self._gate.close)
                for _ in range(2):
                    opened.append(self._connect(durability))
                    undo.callback(opened[-1].close)
                if logged:  # before anything is written: SQLite takes a file for empty that lies in a damaged log only
                    self._check_log(*opened, flushed=durability == "power")
                self._prepare(opened[0])
                self._place = Place(self.path)
                undo.pop_all()
        except Exception as error:
            raise translate(error, str(self.path)) from error
        for connection in opened:
            connection.config(self._apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        self._connections = opened
        self._main, self._reader = opened
        self._watcher: Connection | None = None
        self._seen = 0
        self._space = SpaceWatch(self.path)
        self._log = Log(self._main, self._apsw)
        self._quick_flushes = 0
        self._writer = GroupCommitWriter(self._transact, self.name, lambda error: translate(error, self.name))
        self._reads = ReaderThread(f"outlast-reader-{self.name}")

    def _inspect(self) -> None:
        """Refuse a foreign or newer database before anything could change it."""
        if not self.path.exists() or not self.path.stat().st_size:
            return
        connection = connect_to_read(self.path)
        try:
            self._check_owner(connection)
        finally:
            connection.close()

    def _connect(self, durability: str) -> Connection:
        connection: Connection = self._apsw.Connection(str(self.path))
        # Else closing a file that is refused would take its log away, with all that SQLite has left out of it.
        connection.config(self._apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.set_busy_timeout(_BUSY_MS)
        wanted = _SYNCHRONOUS[durability]
        mode = connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", wanted)
        if mode != "wal" or connection.pragma("synchronous") != wanted:
            raise StorageError(f"{self.path}: SQLite refused WAL with synchronous={wanted}; is it on a network disk?")
        return connection

    def _check_log(self, main: Connection, reader: Connection, *, flushed: bool) -> None:
        """Refuse a log of which SQLite has left something out; only where somebody did not end cleanly is there one."""
        with self._gate:
            main.execute("BEGIN IMMEDIATE")  # so that nobody adds to it meanwhile
            try:
                frames, _ = reader.wal_checkpoint(mode=self._apsw.SQLITE_CHECKPOINT_NOOP)
                if has_more(self.path, max(0, frames), int(reader.pragma("page_size"))):
                    check_log(self.path, flushed=flushed)
            finally:
                main.execute("ROLLBACK")

    def write(self, job: Callable[[Connection], T]) -> Future[T]:
        """Run SQL in a durable transaction, shared with whatever else waits.

        Args:
            job: Called with the connection inside the transaction; it may run twice.

        Returns:
            A future with the job's result, set once it is durable.
        """
        self._check_process()
        return self._writer.submit(job)

    def write_item(self, job: Callable[[Connection, Sequence[I]], Sequence[T]], item: I) -> Future[T]:
        """Run SQL once for all items that wait for the same job one after the other; each has its own future."""
        self._check_process()
        return self._writer.submit_item(job, item)

    def write_items(
        self,
        job: Callable[[Connection, Sequence[I]], Sequence[T]],
        items: Sequence[I],
        then: Callable[[list[T | Failed]], None],
    ) -> Batch[T]:
        """Do the same for several items at once; `then` is told in the writer's thread what became of each."""
        self._check_process()
        return self._writer.submit_items(job, items, then)

    @property
    def quick(self) -> bool:
        """Tell whether none of the last flushes took long."""
        return self._quick_flushes >= _OFTEN

    def write_at_once(
        self, job: Callable[[Connection, Sequence[I]], Sequence[T]], items: Sequence[I]
    ) -> Sequence[T] | None:
        """Do what `write_items` does in the calling thread, if that need not wait for anybody but the disk.

        Returns:
            The results, durable, or None: nothing was done, and `write_items` must see to it or find out what is wrong.

        Raises:
            Exception: What is neither SQLite's nor ours, as of a signal's handler; it is done whole or not at all.
        """
        self._check_process()
        if self._log.long or self._space.low:  # the log is to be written back, which takes a while
            return None
        return self._writer.at_once(lambda: self._transact_at_once(lambda db: job(db, items), lone=len(items) == 1))

    def _transact_at_once(self, work: Callable[[Connection], T], *, lone: bool) -> T | None:
        try:
            if not self._gate.try_enter():
                return None
            self._main.set_busy_timeout(0)
            return self._commit(work)
        except GroupRefusedError as refusal:
            if isinstance(refusal.cause, self._apsw.Error):
                return None
            raise refusal.cause from None  # perhaps it is committed, so nobody may do it again
        except Exception as error:
            # It was rolled back, and whoever does it again meets it again; a signal's handler raises only once.
            if lone and not isinstance(error, (self._apsw.Error, OutlastError, UnicodeDecodeError)):
                raise
            return None
        finally:
            self._gate.leave()

    def _transact(self, work: Callable[[Connection], T], _patience: float) -> T:
        with self._gate:
            self._main.set_busy_timeout(_BUSY_MS)
            try:
                return self._commit(work)
            except Exception as error:
                if not is_full(error) or not self._log.begin_anew():
                    raise
            finally:
                self._log.save_space(low=self._space.low)
                self._log.shorten()
            return self._commit(work)

    def _commit(self, work: Callable[[Connection], T]) -> T:
        connection = self._main
        try:
            self._begin()
            result = work(connection)
            self._end()
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _begin(self) -> None:
        try:
            self._place.check()
            self._main.execute("BEGIN IMMEDIATE")
        except Exception as error:  # no job has run, and each of them would only wait as long again
            raise GroupRefusedError(error) from error

    def _end(self) -> None:
        try:
            began, before = SYSTEM_CLOCK.now(), self._log.commits
            self._main.execute("COMMIT")
            quick, flushes = SYSTEM_CLOCK.now() - began < _QUICK, self._log.commits - before
            self._quick_flushes = self._quick_flushes + flushes if quick else 0
        except Exception as error:
            # What SQLite itself says it has undone; whatever else raised behind the commit has not.
            if self._main.in_transaction or isinstance(error, self._apsw.Error):
                raise
            raise GroupRefusedError(error) from error

    def check_space(self, connection: Connection, coming: int, reserve: int | None, now: float) -> None:
        """Refuse writes that would go into the space that is kept back; see `SpaceWatch.check`."""
        self._space.check(connection, coming, reserve, now)

    def check_space_outside(self, coming: int, reserve: int | None) -> None:
        """Do the same for writes on a connection of somebody else, as far as that can be seen from here."""
        for room in outside(self.path, self.path.stat().st_size):
            judge(self.path, room, coming, reserve)

    def read(self, job: Callable[[Connection], T]) -> Future[T]:
        """Run a query on the reader thread and return a future with its result.

        Raises:
            ShuttingDownError: The database was closed.
        """
        self._check_process()
        with self._lock:
            if self._closed:
                raise ShuttingDownError(f"{self.path} is closed", operation="read")
            return self._reads.ask(self._query, job)

    def _query(self, job: Callable[[Connection], T]) -> T:
        try:
            return job(self._reader)
        except (self._apsw.Error, UnicodeDecodeError) as error:
            raise translate(error, str(self.path)) from error

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise ForkedError(f"{self.path} was opened before a fork; open it again in the child process")

    @property
    def commits(self) -> int:
        """Return how many transactions the writer has committed."""
        return self._writer.commits

    def moved(self) -> bool:
        """Tell, without waiting, whether somebody may have committed since this was asked last; from one thread."""
        with self._lock:
            if self._closed:
                return True
            try:
                before, self._seen = self._seen, int(self._watch().pragma("data_version"))
            except self._apsw.Error:  # whoever looks closely will see why
                return True
            return self._seen != before

    def _watch(self) -> Connection:
        """Return a connection of one's own for that: a thread that is asked costs twenty times as much."""
        if self._watcher is None:
            made: Connection = self._apsw.Connection(str(self.path))
            made.set_busy_timeout(0)
            self._connections.append(made)
            self._watcher = made
        return self._watcher

    def lock(self, name: str) -> FileLock:
        """Return a lock on a file beside this one, which the kernel frees when the process ends."""
        return FileLock(f"{self.path}-{name}")

    def listen(self, _listener: Callable[[], None], /) -> Callable[[], None]:
        """Give no hints: whoever wants to know looks at the file, which costs next to nothing."""
        return _do_nothing

    def close(self) -> None:
        """Finish what is queued and close the file; a second close does nothing."""
        with self._lock:
            if self._closed or os.getpid() != self._pid:
                return
            self._closed = True
        self._writer.close()
        self._reads.close()
        for connection in self._connections:
            connection.close()
        self._gate.close()

    def _prepare(self, connection: Connection) -> None:
        version = tuple(int(part) for part in str(connection.execute("SELECT sqlite_version()").get).split("."))
        if version < _SAFE_SINCE:
            raise StorageError(
                f"SQLite {'.'.join(map(str, version))} can damage WAL files; install apsw 3.51.3 or newer"
            )
        # First, for what is brought up from damaged pages is a shorter queue on sound ones.
        found = connection.execute("PRAGMA quick_check(1)").get
        if found != "ok":
            raise CorruptError(
                f"{self.path} is damaged ({found}); nothing was changed. See: outlast outbox doctor {self.path}"
            )
        with self._gate:
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._migrate(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has ended it already
                    connection.execute("ROLLBACK")
                raise

    def _check_owner(self, connection: Connection) -> None:
        if self.dialect.prefix:
            if connection.execute(_TABLES, (f"{self.dialect.prefix}layout",)).get:
                stored_version(connection, self.dialect, self.layout, self.name)
            return
        # Asked by one statement: somebody else may be making the file, and a file without a log is read without locks.
        marked, version, tables = connection.execute(_MARKS).get
        # A process that died between making the file and its first commit leaves an empty database behind.
        if marked or tables:
            check_owner(self.layout, marked, self.name)
        check_version(self.layout, version, self.name)

    def _migrate(self, connection: Connection) -> None:
        if self.dialect.prefix:
            connection.execute(self.dialect.text(LAYOUT_TABLE))
            version = stored_version(connection, self.dialect, self.layout, self.name)
            if migrate(connection, self.dialect, self.layout, version):
                store_version(connection, self.dialect, self.layout)
        elif migrate(connection, self.dialect, self.layout, int(connection.pragma("user_version"))):
            connection.pragma("application_id", self.layout.application_id)
            connection.pragma("user_version", self.layout.version)


def _do_nothing() -> None:
    """Stop what never began."""
