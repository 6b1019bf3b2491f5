"""Run the receiver's steps on a connection of whatever driver the caller uses; none of them is imported here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from outlast.errors import ConfigError
from outlast.http._receiver_sql import POSTGRES, SQLITE, Dialect
from outlast.http._receiver_steps import Rows, Statement, Steps

T = TypeVar("T")

_DIALECTS: Final = {"sqlite3": SQLITE, "apsw": SQLITE, "psycopg": POSTGRES}
_IDLE: Final = 0
"""What libpq calls a connection outside of any transaction."""


def dialect_of(connection: object) -> Dialect:
    """Return the statements for a connection.

    Raises:
        ConfigError: It is not of sqlite3, apsw or psycopg.
    """
    return _DIALECTS[_library(connection)]


def is_async(connection: object) -> bool:
    """Tell whether the calls of a connection are to be awaited."""
    return _library(connection) == "psycopg" and hasattr(connection, "__aenter__")


def _library(connection: object) -> str:
    for kind in type(connection).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in _DIALECTS:
            return library
    raise ConfigError(
        f"is a connection of {', '.join(_DIALECTS)}, not {type(connection).__module__}.{type(connection).__name__}; "
        "a framework's wrapper has the driver's own inside, such as Django's connection.connection",
        path="connection",
    )


def in_transaction(connection: Any) -> bool:
    """Tell whether a transaction is open."""
    if _library(connection) == "psycopg":
        return bool(connection.info.transaction_status != _IDLE)
    return bool(connection.in_transaction)


def needs_begin(connection: Any) -> bool:
    """Tell whether a transaction that may write has to be opened by hand.

    sqlite3 may open one by itself, but only before a change of data, and not one that waits for its turn to write.
    """
    return not in_transaction(connection) and not (_library(connection) == "psycopg" and not connection.autocommit)


def check_transactional(connection: Any) -> None:
    """Refuse a connection on which each statement would be committed by itself.

    Raises:
        ConfigError: No transaction is open, and none would be opened by the driver.
    """
    if in_transaction(connection) or _opens_by_itself(connection):
        return
    raise ConfigError("no transaction is open; BEGIN one, so that claim, work and answer are one", path="connection")


def _opens_by_itself(connection: Any) -> bool:
    match _library(connection):
        case "psycopg":
            return not connection.autocommit
        case "sqlite3":
            # Since Python 3.12 `autocommit` may be True or False; -1 means the older rule, by isolation level.
            manual = getattr(connection, "autocommit", -1)
            return manual is False or (manual is not True and connection.isolation_level is not None)
        case _:
            return False


def perform(connection: Any, steps: Steps[T]) -> T:
    """Run steps on a connection and return their result; what a statement raises is raised into the steps."""
    execute = _executor(connection)
    try:
        statement = next(steps)
        while True:
            try:
                rows = execute(statement)
            except BaseException as error:
                statement = steps.throw(error)
            else:
                statement = steps.send(rows)
    except StopIteration as end:
        result: T = end.value
        return result


async def aperform(connection: Any, steps: Steps[T]) -> T:
    """Do as `perform`, on a connection whose calls are awaited."""
    try:
        statement = next(steps)
        while True:
            try:
                rows = await _execute_async(connection, statement)
            except BaseException as error:
                statement = steps.throw(error)
            else:
                statement = steps.send(rows)
    except StopIteration as end:
        result: T = end.value
        return result


def _executor(connection: Any) -> Callable[[Statement], Rows]:
    run = {"sqlite3": _execute_sqlite3, "apsw": _execute_apsw, "psycopg": _execute_psycopg}[_library(connection)]
    return lambda statement: run(connection, statement)


# Rows come as tuples, whatever the connection makes of them for its owner.
def _execute_sqlite3(connection: Any, statement: Statement) -> Rows:
    cursor = connection.cursor()
    cursor.row_factory = None
    rows: Rows = cursor.execute(*statement).fetchall()
    return rows


def _execute_apsw(connection: Any, statement: Statement) -> Rows:
    return [tuple(row) for row in connection.cursor().execute(*statement)]


def _execute_psycopg(connection: Any, statement: Statement) -> Rows:
    with connection.cursor(row_factory=_as_tuples) as cursor:
        cursor.execute(*statement)
        return cursor.fetchall() if cursor.description else []


async def _execute_async(connection: Any, statement: Statement) -> Rows:
    async with connection.cursor(row_factory=_as_tuples) as cursor:
        await cursor.execute(*statement)
        return await cursor.fetchall() if cursor.description else []


def _as_tuples(_: object) -> type[tuple[Any, ...]]:
    return tuple
