"""One connection to PostgreSQL that comes back by itself after the server was away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, TypeVar

from outlast.clock import SYSTEM_CLOCK
from outlast.errors import StorageError
from outlast.storage._postgres_address import PostgresAddress, driver
from outlast.storage._postgres_failures import ServerAwayError, is_lost

T = TypeVar("T")

OLDEST: Final = 130_000
"""The first server that has `xid8` and `pg_current_snapshot`."""
_FIRST_WAIT: Final = 0.02
_LONGEST_WAIT: Final = 1.0


@lru_cache(maxsize=1024)
def to_psycopg(statement: str) -> str:
    """Write `%s` for each `?`, which is how psycopg marks what is bound."""
    return statement.replace("%", "%%").replace("?", "%s")


class PostgresSession:
    """Run statements on a connection of psycopg as if it were one of apsw."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def execute(self, statement: str, bindings: Sequence[Any] | None = None, /) -> PostgresCursor:
        """Run one statement, or several if nothing is bound."""
        if bindings:
            return PostgresCursor(self.connection.execute(to_psycopg(statement), bindings))
        return PostgresCursor(self.connection.execute(statement))


class PostgresCursor:
    """Be the result of a statement; one without rows is empty."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    @property
    def get(self) -> Any:
        """Return the value of the only column of the first row, its row if there are more columns, or None."""
        row = self.fetchone()
        return row[0] if row is not None and len(row) == 1 else row

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        return None if self._cursor.description is None else self._cursor.fetchone()

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the rows."""
        return iter(()) if self._cursor.description is None else iter(self._cursor)


class PostgresLink:
    """Hold one connection and make it anew when it is lost.

    Thread-safe: no, except `close`; one thread owns it.

    Args:
        address: Where the database is.
        settings: Statements without values that each new connection begins with.
        patience: Seconds for which a server that is away is waited for.
    """

    def __init__(self, address: PostgresAddress, settings: str, *, patience: float) -> None:
        self._address = address
        self._settings = settings
        self._patience = patience
        self._psycopg = driver("a PostgreSQL outbox")
        self._connection: Any = None
        self._closing = threading.Event()

    def connection(self) -> Any:
        """Return the connection, made if there is none."""
        if self._connection is None or self._connection.closed:
            made = self._psycopg.connect(**self._address.words, autocommit=True)
            try:
                made.execute(f'SET search_path TO "{self._address.schema}"; {self._settings}')
                self._check(made.info.server_version)
            except BaseException:
                made.close()
                raise
            self._connection = made
        return self._connection

    def _check(self, version: int) -> None:
        if version < OLDEST:
            raise StorageError(f"{self._address.name}: PostgreSQL 13 is the oldest that outlast works with")

    def call(self, work: Callable[[Any], T], *, patience: float | None = None) -> T:
        """Call work with the connection, and again with a new one when it finds the connection lost.

        Args:
            work: What to do; it may be done several times.
            patience: Seconds for which a server that is away is waited for. Default: the link's own.

        Raises:
            ServerAwayError: The server stayed away.
        """
        wait, end = _FIRST_WAIT, None
        while True:
            try:
                return work(self.connection())
            except Exception as error:
                if not is_lost(error):
                    raise
                self.drop()
                now = SYSTEM_CLOCK.now()
                end = now + (self._patience if patience is None else patience) if end is None else end
                if now >= end or self._closing.wait(wait):
                    raise ServerAwayError from error
                wait = min(2 * wait, _LONGEST_WAIT)

    def drop(self) -> None:
        """Let go of the connection; the next call makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def hurry(self) -> None:
        """Wait for the server no longer; from any thread."""
        self._closing.set()

    def close(self) -> None:
        """Close the connection, once its thread has ended."""
        self._closing.set()
        self.drop()
