"""What the exceptions of the SQL drivers mean: SQLite, psycopg, asyncpg, and SQLAlchemy around any of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from outlast.errors._classify import UNKNOWN, Classification
from outlast.errors._meanings import (
    EXHAUSTED,
    EXHAUSTED_DOUBT,
    FATAL,
    FATAL_DOUBT,
    INPUT,
    RETRY_DOUBT,
    RETRY_SAFE,
    Rules,
    judge_inner,
)
from outlast.errors._sqlstate import classify_sqlstate

_BY_SQLITE_CODE: Final = {
    1: INPUT,  # ERROR: no such table, a syntax error
    4: RETRY_SAFE,  # ABORT
    5: EXHAUSTED,  # BUSY
    6: EXHAUSTED,  # LOCKED
    7: EXHAUSTED_DOUBT,  # NOMEM
    8: FATAL,  # READONLY
    9: RETRY_SAFE,  # INTERRUPT
    10: RETRY_DOUBT,  # IOERR
    11: FATAL_DOUBT,  # CORRUPT
    13: EXHAUSTED,  # FULL
    14: FATAL,  # CANTOPEN
    18: INPUT,  # TOOBIG
    19: INPUT,  # CONSTRAINT
    20: INPUT,  # MISMATCH
    21: INPUT,  # MISUSE
    23: FATAL,  # AUTH
    25: INPUT,  # RANGE
    26: FATAL,  # NOTADB
}
"""Primary result codes of SQLite."""


def _by_sqlite_code(otherwise: Classification) -> Callable[[BaseException], Classification]:
    def by_code(error: BaseException) -> Classification:
        code = getattr(error, "sqlite_errorcode", None)
        return otherwise if code is None else _BY_SQLITE_CODE.get(code & 0xFF, otherwise)

    return by_code


_APSW: Final[Rules] = {
    "SQLError": INPUT,
    "AbortError": RETRY_SAFE,
    "BusyError": EXHAUSTED,
    "LockedError": EXHAUSTED,
    "NoMemError": EXHAUSTED_DOUBT,
    "ReadOnlyError": FATAL,
    "InterruptError": RETRY_SAFE,
    "IOError": RETRY_DOUBT,
    "CorruptError": FATAL_DOUBT,
    "FullError": EXHAUSTED,
    "CantOpenError": FATAL,
    "TooBigError": INPUT,
    "ConstraintError": INPUT,
    "MismatchError": INPUT,
    "MisuseError": INPUT,
    "AuthError": FATAL,
    "RangeError": INPUT,
    "NotADBError": FATAL,
    "BindingsError": INPUT,
    "ConnectionClosedError": INPUT,
    "CursorClosedError": INPUT,
    "ThreadingViolationError": INPUT,
}


def _by_sqlstate(error: BaseException) -> Classification:
    return classify_sqlstate(getattr(error, "sqlstate", None) or "")


def _psycopg_call(error: BaseException) -> Classification:
    # The classes of the DB-API are coarse: a missing privilege is a ProgrammingError. Without a code psycopg itself
    # refused the call.
    return _by_sqlstate(error) if getattr(error, "sqlstate", None) else INPUT


def _psycopg_operational(error: BaseException) -> Classification:
    state = getattr(error, "sqlstate", None)
    if state:
        return classify_sqlstate(state)
    # Without a code it is the connection. Only while connecting does psycopg keep the unfinished connection in the
    # error; then nothing was sent. A connection that broke later may have carried the statement to the server.
    connecting = getattr(error, "pgconn", None) is not None or "failed to resolve host" in str(error)
    return RETRY_SAFE if connecting else RETRY_DOUBT


def _sqlalchemy_wrapped(error: BaseException) -> Classification:
    return judge_inner(getattr(error, "orig", None), UNKNOWN)


SQL: Final[dict[str, Rules]] = {
    "apsw": _APSW,
    "sqlite3": {
        "IntegrityError": INPUT,
        "ProgrammingError": INPUT,
        "OperationalError": _by_sqlite_code(EXHAUSTED),
        "DatabaseError": _by_sqlite_code(FATAL_DOUBT),
    },
    "psycopg": {
        "Error": _by_sqlstate,
        "OperationalError": _psycopg_operational,
        "ConnectionTimeout": RETRY_SAFE,
        "ProgrammingError": _psycopg_call,
        "DataError": _psycopg_call,
    },
    "psycopg_pool": {"PoolTimeout": EXHAUSTED, "TooManyRequests": EXHAUSTED, "PoolClosed": INPUT},
    "asyncpg": {
        "PostgresError": _by_sqlstate,
        "InterfaceError": INPUT,
        "ClientConfigurationError": FATAL,
        "TargetServerAttributeNotMatched": RETRY_SAFE,
    },
    "sqlalchemy": {
        "StatementError": _sqlalchemy_wrapped,
        "TimeoutError": EXHAUSTED,
        "InvalidRequestError": INPUT,
        "ArgumentError": INPUT,
        "CompileError": INPUT,
    },
}
