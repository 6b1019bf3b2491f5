"""Run statements on a connection that belongs to the caller, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
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
        in_transaction: Whether what is written now is committed or rolled back by the caller.
        execute: Runs one statement and returns its rows.
        aexecute: Does the same on the event loop; a blocking connection blocks it.
    """

    kind: Literal["sqlite", "postgres"]
    library: str
    in_transaction: bool
    execute: Execute
    aexecute: Callable[[str, Sequence[Any]], Awaitable[Rows]]


def borrow(connection: Any) -> Borrowed:
    """Return a caller's connection as something that runs our statements.

    Raises:
        ConfigError: It is no connection that we know, or what is written would be committed at once.
    """
    for base in type(connection).__mro__:
        kind = _KINDS.get((base.__module__.partition(".")[0], base.__name__))
        if kind is not None:
            return _checked(kind(connection))
    raise ConfigError(
        f"is a connection of apsw, sqlite3 or psycopg, not {type(connection).__module__}.{type(connection).__name__}; "
        "Django has it as connection.connection, SQLAlchemy as connection.connection.driver_connection",
        path="connection",
    )


def _checked(borrowed: Borrowed) -> Borrowed:
    if not borrowed.in_transaction:
        raise ConfigError(
            "has no transaction, so the writes would be committed apart from your rows; begin one first",
            path="connection",
        )
    return borrowed


def _apsw(connection: Any) -> Borrowed:
    def execute(statement: str, bindings: Sequence[Any]) -> Rows:
        return list(connection.execute(statement, bindings))

    return Borrowed("sqlite", "apsw", bool(connection.in_transaction), execute, _blocking(execute))


def _sqlite3(connection: Any) -> Borrowed:
    def execute(statement: str, bindings: Sequence[Any]) -> Rows:
        cursor = connection.cursor()
        cursor.row_factory = None
        return list(cursor.execute(statement, bindings))

    # One with an isolation level begins a transaction by itself before the first row is written.
    begins = connection.isolation_level is not None and getattr(connection, "autocommit", None) is not True
    return Borrowed("sqlite", "sqlite3", connection.in_transaction or begins, execute, _blocking(execute))


def _psycopg(connection: Any) -> Borrowed:
    def execute(statement: str, bindings: Sequence[Any]) -> Rows:
        cursor = connection.cursor(row_factory=_tuples)
        cursor.execute(to_psycopg(statement), bindings)
        return list(cursor.fetchall()) if cursor.description else []

    return Borrowed("postgres", "psycopg", _transacts(connection), execute, _blocking(execute))


def _async_psycopg(connection: Any) -> Borrowed:
    async def execute(statement: str, bindings: Sequence[Any]) -> Rows:
        cursor = connection.cursor(row_factory=_tuples)
        await cursor.execute(to_psycopg(statement), bindings)
        return list(await cursor.fetchall()) if cursor.description else []

    return Borrowed("postgres", "psycopg", _transacts(connection), _refuse, execute)


def _refuse(_statement: str, _bindings: Sequence[Any]) -> Rows:
    raise ConfigError("is awaited; use the awaited face of the outbox, or aenqueue_in", path="connection")


def _blocking(execute: Execute) -> Callable[[str, Sequence[Any]], Awaitable[Rows]]:
    async def aexecute(statement: str, bindings: Sequence[Any]) -> Rows:
        return execute(statement, bindings)

    return aexecute


def _transacts(connection: Any) -> bool:
    return bool(not connection.autocommit or connection.info.transaction_status != _IDLE)


def _tuples(_cursor: Any) -> type[tuple[Any, ...]]:
    """Make tuples, whatever the caller's connection makes."""
    return tuple


_KINDS: Final[dict[tuple[str, str], Callable[[Any], Borrowed]]] = {
    ("apsw", "Connection"): _apsw,
    ("sqlite3", "Connection"): _sqlite3,
    ("psycopg", "Connection"): _psycopg,
    ("psycopg", "AsyncConnection"): _async_psycopg,
}
