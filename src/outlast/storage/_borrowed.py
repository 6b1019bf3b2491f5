"""Run statements on a connection that belongs to the caller, inside the caller's transaction."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from outlast.errors import ConfigError
from outlast.storage._postgres_link import to_psycopg

Rows = list[tuple[Any, ...]]
Execute = Callable[[str, Sequence[Any]], Rows]
_IDLE: Final = 0
"""What libpq calls a connection without a transaction."""


@dataclass(frozen=True, slots=True)
class Borrowed:
    """Be a caller's connection.

    Args:
        kind: The store.
        library: The library that it comes from.
        is_open: Whether a transaction is open now.
        begins: Whether the driver opens one by itself before what is written first.
        execute: Runs one statement and returns its rows.
        aexecute: Does the same on the event loop; a blocking connection blocks it.
        awaited: Whether its calls are to be awaited.
    """

    kind: Literal["sqlite", "postgres"]
    library: str
    is_open: bool
    begins: bool
    execute: Execute
    aexecute: Callable[[str, Sequence[Any]], Awaitable[Rows]]
    awaited: bool = False

    @property
    def in_transaction(self) -> bool:
        """Tell whether what is written now is committed or rolled back by the caller."""
        return self.is_open or self.begins


def borrow(connection: Any) -> Borrowed:
    """Return a caller's connection as something that runs our statements in the caller's transaction.

    Raises:
        ConfigError: It is no connection that we know, or what is written would be committed at once.
    """
    borrowed = recognise(connection)
    if not borrowed.in_transaction:
        raise ConfigError(
            "has no transaction, so the writes would be committed apart from your rows; begin one first",
            path="connection",
        )
    return borrowed


def is_open_beside(borrowed: Borrowed) -> bool:
    """Tell whether this process has the file of a connection of sqlite3 open with apsw too.

    Those are two copies of SQLite, and the system's locks are a process's own: neither sees the other's, and whichever
    closes the file first drops the locks of both. So both write at once, and what one has committed is lost.
    """
    if borrowed.library != "sqlite3":
        return False
    files = {row[2] for row in borrowed.execute("PRAGMA database_list", ()) if row[1] == "main" and row[2]}
    return any(map(is_open_here, files))


def is_open_here(file: str | os.PathLike[str]) -> bool:
    """Tell whether this process has a file open with apsw."""
    apsw = sys.modules.get("apsw")
    return apsw is not None and any(_is_of(connection, file) for connection in apsw.connections())


def _is_of(connection: Any, file: str | os.PathLike[str]) -> bool:
    try:
        return Path(connection.filename).samefile(file)
    except Exception:  # it was closed meanwhile, or has no file
        return False


def recognise(connection: Any) -> Borrowed:
    """Return a caller's connection as something that runs our statements, in a transaction or not.

    Raises:
        ConfigError: It is no connection that we know, or one of psycopg in pipeline mode.
    """
    for base in type(connection).__mro__:
        kind = _KINDS.get((base.__module__.partition(".")[0], base.__name__))
        if kind is not None:
            return kind(connection)
    raise ConfigError(
        f"is a connection of apsw, sqlite3 or psycopg, not {type(connection).__module__}.{type(connection).__name__}; "
        "Django has it as connection.connection, SQLAlchemy as connection.connection.driver_connection",
        path="connection",
    )


def _apsw(connection: Any) -> Borrowed:
    def execute(statement: str, bindings: Sequence[Any]) -> Rows:
        cursor = connection.cursor()
        cursor.row_trace = _as_it_is
        return list(cursor.execute(statement, bindings))

    return Borrowed("sqlite", "apsw", bool(connection.in_transaction), False, execute, _blocking(execute))


def _sqlite3(connection: Any) -> Borrowed:
    def execute(statement: str, bindings: Sequence[Any]) -> Rows:
        cursor = connection.cursor()
        cursor.row_factory = None
        # Of the connection, and so the caller's again afterwards; as bytes no text would be equal to ours.
        texts, connection.text_factory = connection.text_factory, str
        try:
            return list(cursor.execute(statement, bindings))
        finally:
            connection.text_factory = texts

    # One with an isolation level begins a transaction by itself before the first row is written.
    begins = connection.isolation_level is not None and getattr(connection, "autocommit", None) is not True
    return Borrowed("sqlite", "sqlite3", connection.in_transaction, begins, execute, _blocking(execute))


def _psycopg(connection: Any) -> Borrowed:
    def execute(statement: str, bindings: Sequence[Any]) -> Rows:
        cursor = connection.cursor(row_factory=_tuples)
        cursor.execute(to_psycopg(statement), bindings)
        return list(cursor.fetchall()) if cursor.description else []

    return Borrowed("postgres", "psycopg", _is_open(connection), not connection.autocommit, execute, _blocking(execute))


def _async_psycopg(connection: Any) -> Borrowed:
    async def execute(statement: str, bindings: Sequence[Any]) -> Rows:
        cursor = connection.cursor(row_factory=_tuples)
        await cursor.execute(to_psycopg(statement), bindings)
        return list(await cursor.fetchall()) if cursor.description else []

    return Borrowed("postgres", "psycopg", _is_open(connection), not connection.autocommit, _refuse, execute, True)


def _refuse(_statement: str, _bindings: Sequence[Any]) -> Rows:
    raise ConfigError("is awaited; use the awaited face of the outbox, aenqueue_in or aclaim", path="connection")


def _blocking(execute: Execute) -> Callable[[str, Sequence[Any]], Awaitable[Rows]]:
    async def aexecute(statement: str, bindings: Sequence[Any]) -> Rows:
        return execute(statement, bindings)

    return aexecute


def _is_open(connection: Any) -> bool:
    if connection.info.pipeline_status:
        raise ConfigError(
            "is in pipeline mode, in which an answer comes only later; call this before or after the block of "
            "`connection.pipeline()`, in the same transaction",
            path="connection",
        )
    if connection.info.encoding == "ascii":
        raise ConfigError(
            "has the encoding SQL_ASCII, in which texts come as bytes; open it with client_encoding='UTF8'",
            path="connection",
        )
    return bool(connection.info.transaction_status != _IDLE)


def _as_it_is(_cursor: Any, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Keep a row a tuple, whatever the caller's connection makes of it."""
    return row


def _tuples(_cursor: Any) -> type[tuple[Any, ...]]:
    """Make tuples, whatever the caller's connection makes."""
    return tuple


_KINDS: Final[dict[tuple[str, str], Callable[[Any], Borrowed]]] = {
    ("apsw", "Connection"): _apsw,
    ("sqlite3", "Connection"): _sqlite3,
    ("psycopg", "Connection"): _psycopg,
    ("psycopg", "AsyncConnection"): _async_psycopg,
}
