"""Write to PostgreSQL in durable groups and read from it in snapshots."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from outlast.clock import SYSTEM_CLOCK
from outlast.errors import ConfigError, ForkedError, InDoubtError, NotOursError, ShuttingDownError, StorageError
from outlast.storage._layouts import LAYOUT_TABLE, FileFormat, migrate, store_version, stored_version
from outlast.storage._postgres_address import parse_address, postgres_dialect
from outlast.storage._postgres_failures import ServerAwayError, is_lost, translate
from outlast.storage._postgres_hints import AdvisoryLock, Listener
from outlast.storage._postgres_link import PostgresLink, PostgresSession
from outlast.storage._reader import ReaderThread
from outlast.storage._writer import Batch, Failed, GroupCommitWriter, GroupRefusedError

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - the item of a batch, as T is its result

_SYNCHRONOUS: Final = {"power": ("on", "remote_apply"), "process": ("off",)}
"""What the server may be set to; the first unless it is set to another of them already."""
_PATIENCE: Final = 10.0
_LOOK_EVERY: Final = 5.0
"""Seconds after which one looks although no notification has come."""
# A transaction of a process that was frozen must not keep others from their lanes for ever. A statement takes as long
# as it takes: one that reads all that waits would be cut, and tried again, for ever.
_SETTINGS: Final = """
SELECT set_config('synchronous_commit', '{synchronous}', false)
WHERE current_setting('synchronous_commit') NOT IN ('{synchronous}', '{stronger}');
SET default_transaction_isolation TO 'read committed'; SET lock_timeout TO '10s'; SET statement_timeout TO 0;
SET idle_in_transaction_session_timeout TO '60s'; SET tcp_keepalives_idle TO 30; SET tcp_keepalives_interval TO 10;
SET tcp_keepalives_count TO 3
"""
_WRITER_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS $writer (id TEXT PRIMARY KEY, mark BIGINT NOT NULL, seen TIMESTAMPTZ NOT NULL)"
)
_MARK: Final = (
    "INSERT INTO $writer VALUES ('{id}', {mark}, now())"
    " ON CONFLICT (id) DO UPDATE SET mark = excluded.mark, seen = excluded.seen"
)
# Waits for a transaction of the same writer that is still being ended, and then tells its mark, if it was committed.
_ASK: Final = (
    "INSERT INTO $writer VALUES ('{id}', 0, now()) ON CONFLICT (id) DO UPDATE SET seen = excluded.seen RETURNING mark"
)


class _NotCommittedError(Exception):
    """Say that a transaction whose commit was in doubt was not committed, so that it can be run again."""


class PostgresDatabase:
    """Hold one schema of a PostgreSQL database open: a thread that commits in groups and a thread that reads.

    A server that is away is waited for, for ten seconds at most; then each call raises, and the next one
    tries again. A transaction that was cut before its commit is run again. When the connection is lost
    during the commit, the mark that each transaction leaves is looked up, so that every caller learns the
    truth; only if the server stays away is `InDoubtError` raised.

    Thread-safe: yes. It may not be carried across a fork.

    Args:
        address: `postgresql://user@host/database`, with `?schema=` for the schema. Default `outlast`.
        layout: Which tables are ours.
        durability: `power`: a commit is acknowledged when the server has flushed it; `process`: before that,
            so that a crash of the server may take the last ones. Default `power`.

    Raises:
        ConfigError: The durability is neither, or the address is none.
        MissingExtraError: psycopg is not installed.
        NotOursError: The schema holds something else.
        NewerFormatError: Its tables were made by a newer version.
        StorageError: It cannot be opened.
    """

    def __init__(self, address: str, layout: FileFormat, *, durability: str = "power") -> None:
        if durability not in _SYNCHRONOUS:
            raise ConfigError(f"is one of {', '.join(_SYNCHRONOUS)}, not {durability!r}", path="durability")
        self._address = parse_address(address)
        self.layout = layout
        self.name = self._address.name
        self.dialect = postgres_dialect(self._address.schema)
        self._durability = durability
        self._pid = os.getpid()
        self._closed = False
        self._lock = threading.Lock()
        self.sender = uuid.uuid4().hex
        self._mark = 0
        self._main, self._reader = self._link(), self._link()
        self._links = [self._main, self._reader]
        try:
            # Not waited for: a wrong password or database looks the same to libpq as a server that is away.
            self._main.call(self._prepare, patience=0.0)
        except Exception as error:
            self._main.close()
            raise translate(error, self.name) from error
        self._listeners: list[Listener] = []
        self._looked = float("-inf")
        self._writer = GroupCommitWriter(self._transact, self.name, lambda error: translate(error, self.name))
        self._reads = ReaderThread(f"outlast-reader-{self.name}")

    def _link(self, *, patience: float = _PATIENCE) -> PostgresLink:
        levels = _SYNCHRONOUS[self._durability]
        settings = _SETTINGS.format(synchronous=levels[0], stronger=levels[-1])
        return PostgresLink(self._address, settings, patience=patience)

    def _prepare(self, connection: Any) -> None:
        session = PostgresSession(connection)
        wanted, found = _SYNCHRONOUS[self._durability], session.execute("SHOW synchronous_commit").get
        if found not in wanted:
            raise StorageError(f"{self.name}: PostgreSQL answers synchronous_commit={found}, asked for {wanted[0]}")
        with connection.transaction():
            session.execute("SELECT pg_advisory_xact_lock(?)", (self.dialect.key("layout"),))
            self._make_schema(session)
            version = stored_version(session, self.dialect, self.layout, self.name)
            if migrate(session, self.dialect, self.layout, version):
                store_version(session, self.dialect, self.layout)
            session.execute(self.dialect.text("DELETE FROM $writer WHERE seen < now() - interval '7 days'"))

    def _make_schema(self, session: PostgresSession) -> None:
        schema = self._address.schema
        tables = {row[0] for row in session.execute("SELECT tablename FROM pg_tables WHERE schemaname = ?", (schema,))}
        if tables and "layout" not in tables:
            raise NotOursError(
                f"the schema {schema} of {self.name} holds tables, but no {self.layout.name}; "
                "name another with ?schema=. It was not touched"
            )
        if not session.execute("SELECT 1 FROM pg_namespace WHERE nspname = ?", (schema,)).get:
            session.execute(f'CREATE SCHEMA "{schema}"')
        if not tables:
            session.execute(self.dialect.text(LAYOUT_TABLE))
            session.execute(self.dialect.text(_WRITER_TABLE))

    def write(self, job: Callable[[PostgresSession], T]) -> Future[T]:
        """Run SQL in a durable transaction, shared with whatever else waits.

        Args:
            job: Called with a session inside the transaction; it may run twice.

        Returns:
            A future with the job's result, set once it is durable.
        """
        self._check_process()
        return self._writer.submit(job)

    def write_item(self, job: Callable[[PostgresSession, Sequence[I]], Sequence[T]], item: I) -> Future[T]:
        """Run SQL once for all items that wait for the same job one after the other; each has its own future."""
        self._check_process()
        return self._writer.submit_item(job, item)

    quick = False
    """A commit always waits for the network."""

    def write_at_once(
        self,
        job: Callable[[Any, Sequence[I]], Sequence[T]],  # noqa: ARG002 - named as for every store
        items: Sequence[I],  # noqa: ARG002
    ) -> Sequence[T] | None:
        """Do nothing: there is always somebody to wait for."""
        return None

    def write_items(
        self,
        job: Callable[[PostgresSession, Sequence[I]], Sequence[T]],
        items: Sequence[I],
        then: Callable[[list[T | Failed]], None],
    ) -> Batch[T]:
        """Do the same for several items at once; `then` is told in the writer's thread what became of each."""
        self._check_process()
        return self._writer.submit_items(job, items, then)

    def _transact(self, work: Callable[[PostgresSession], T], patience: float) -> T:
        def once(connection: Any) -> T:
            self._begin(connection, patience)
            return self._finish(connection, work)

        while True:
            try:
                return self._main.call(once)
            except _NotCommittedError:
                continue  # surely nothing of it is there
            except (InDoubtError, ServerAwayError) as error:
                raise GroupRefusedError(error) from error

    def _begin(self, connection: Any, patience: float) -> None:
        self._mark += 1
        mark = self.dialect.text(_MARK).format(id=self.sender, mark=self._mark)
        try:
            # A lost transaction of ours that is still being ended holds the mark, and is waited for first.
            connection.execute(f"BEGIN; {mark}; SET LOCAL lock_timeout TO {patience * 1000:.0f}")
        except Exception as error:
            if is_lost(error):
                raise
            self._main.drop()  # a server or role that only reads now may write later, but not in this session
            raise GroupRefusedError(error) from error  # no job has run, and it would be the same for each of them

    def _finish(self, connection: Any, work: Callable[[PostgresSession], T]) -> T:
        try:
            result = work(PostgresSession(connection))
        except BaseException as error:
            if not is_lost(error):
                connection.execute("ROLLBACK")
            raise
        try:
            said = connection.execute("COMMIT").statusmessage
        except Exception as error:
            if not is_lost(error):
                raise
            self._find_out(error)
        else:
            if said != "COMMIT":
                raise StorageError(f"{self.name}: a job went on after PostgreSQL had refused a statement of it")
        return result

    def _find_out(self, error: Exception) -> None:
        """Return if the transaction whose end was not heard of was committed."""
        self._main.drop()
        mark, question = self._mark, self.dialect.text(_ASK).format(id=self.sender)
        try:
            (found,) = self._main.call(lambda connection: connection.execute(question).fetchone())
        except Exception as further:
            raise InDoubtError(
                f"{self.name}: the connection was lost during a commit, and the server has not come back to say if "
                f"it took place ({further}); look, or give each write a `once` and queue it again",
                operation="storage",
            ) from error
        if found != mark:
            raise _NotCommittedError from error

    def read(self, job: Callable[[PostgresSession], T]) -> Future[T]:
        """Run queries on the reader thread, all in one snapshot, and return a future with the result.

        Raises:
            ShuttingDownError: The database was closed.
        """
        self._check_process()
        with self._lock:
            if self._closed:
                raise ShuttingDownError(f"{self.name} is closed", operation="read")
            return self._reads.ask(self._query, job)

    def _query(self, job: Callable[[PostgresSession], T]) -> T:
        def once(connection: Any) -> T:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                return job(PostgresSession(connection))
            finally:
                connection.execute("ROLLBACK")

        try:
            return self._reader.call(once)
        except Exception as error:
            raise translate(error, self.name) from error

    def moved(self) -> bool:
        """Tell, without waiting, whether somebody may have committed since this was asked last; from one thread.

        Who commits notifies, so while all listeners hear this is only asked for now and then.
        """
        now = SYSTEM_CLOCK.now()
        ears = [one.hears for one in self._listeners if not one.stopped]
        if ears and all(ears) and now - self._looked < _LOOK_EVERY:
            return False
        self._looked = now
        return True

    def check_space(self, _session: PostgresSession, _coming: int, _reserve: int | None, _now: float, /) -> None:
        """Leave the disk to the server, which cannot be asked about it."""

    def check_space_outside(self, _coming: int, _reserve: int | None, /) -> None:
        """Leave the disk to the server."""

    def lock(self, name: str) -> AdvisoryLock:
        """Return an advisory lock, which the server frees when the process ends."""
        return AdvisoryLock(self._link(patience=1.0), self.dialect.key(name), self.name)

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a listener, from a thread, when another process notifies the channel; returns how to stop."""
        found = Listener(self._link(patience=float("inf")), self.dialect.channel, self.sender, listener)
        self._listeners = [one for one in self._listeners if not one.ended] + [found]
        return found.stop

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise ForkedError(f"{self.name} was opened before a fork; open it again in the child process")

    @property
    def commits(self) -> int:
        """Return how many transactions the writer has committed."""
        return self._writer.commits

    def close(self) -> None:
        """Finish what is queued and close the connections; a second close does nothing."""
        with self._lock:
            if self._closed or os.getpid() != self._pid:
                return
            self._closed = True
        for listener in self._listeners:
            listener.stop()
            listener.join()
        for link in self._links:
            link.hurry()
        self._writer.close()
        self._reads.close()
        for link in self._links:
            link.close()
