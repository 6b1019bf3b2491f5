"""Run the receiver's steps on a connection of whatever driver the caller uses."""

from __future__ import annotations

from typing import Any, TypeVar

from outlast.errors import ConfigError
from outlast.http._receiver_sql import POSTGRES, SQLITE, Dialect
from outlast.http._receiver_steps import Steps
from outlast.storage import recognise

T = TypeVar("T")


def dialect_of(connection: Any) -> Dialect:
    """Return the statements for a connection.

    Raises:
        ConfigError: It is not of sqlite3, apsw or psycopg.
    """
    return SQLITE if recognise(connection).kind == "sqlite" else POSTGRES


def is_async(connection: Any) -> bool:
    """Tell whether the calls of a connection are to be awaited."""
    return recognise(connection).awaited


def in_transaction(connection: Any) -> bool:
    """Tell whether a transaction is open."""
    return recognise(connection).is_open


def needs_begin(connection: Any) -> bool:
    """Tell whether a transaction that may write has to be opened by hand.

    sqlite3 may open one by itself, but only before a change of data, and not one that waits for its turn to write.
    """
    known = recognise(connection)
    return not known.is_open and not (known.kind == "postgres" and known.begins)


def check_transactional(connection: Any) -> None:
    """Refuse a connection on which each statement would be committed by itself.

    Raises:
        ConfigError: No transaction is open, and none would be opened by the driver.
    """
    if not recognise(connection).in_transaction:
        raise ConfigError(
            "no transaction is open; BEGIN one, so that claim, work and answer are one", path="connection"
        )


def perform(connection: Any, steps: Steps[T]) -> T:
    """Run steps on a connection and return their result; what a statement raises is raised into the steps."""
    execute = recognise(connection).execute
    try:
        statement = next(steps)
        while True:
            try:
                rows = execute(*statement)
            except BaseException as error:
                statement = steps.throw(error)
            else:
                statement = steps.send(rows)
    except StopIteration as end:
        result: T = end.value
        return result


async def aperform(connection: Any, steps: Steps[T]) -> T:
    """Do as `perform`, on a connection whose calls are awaited."""
    execute = recognise(connection).aexecute
    try:
        statement = next(steps)
        while True:
            try:
                rows = await execute(*statement)
            except BaseException as error:
                statement = steps.throw(error)
            else:
                statement = steps.send(rows)
    except StopIteration as end:
        result: T = end.value
        return result
