"""Turn what PostgreSQL says into errors that tell what to do."""

from __future__ import annotations

from typing import Any, Final

from outlast.errors import (
    Category,
    ConfigError,
    CorruptError,
    OutlastError,
    StorageBusyError,
    StorageError,
    StorageFullError,
)

_GONE: Final = ("08", "25P03", "25P04", "57P")
"""Beginnings of the codes after which a connection is of no use."""
_BY_CODE: Final[tuple[tuple[str, type[OutlastError], str], ...]] = (
    ("53100", StorageFullError, "the server's disk is full; nothing acknowledged is lost, free some and run again"),
    ("53200", StorageBusyError, "the server has no memory left for this; queue less at once, or allow more locks"),
    ("53", StorageBusyError, "the server has nothing left to serve this with; try again"),
    ("54000", ConfigError, "this is longer than PostgreSQL can store"),
    ("25006", StorageError, "the server only reads, or lets this role only read; give the address of one that writes"),
    ("55P03", StorageBusyError, "another transaction kept it locked; end that or try again"),
    ("40", StorageBusyError, "another transaction was in the way; try again"),
    ("57014", StorageBusyError, "the server cut it because it took too long; try again"),
    ("XX001", CorruptError, "the table is damaged; nothing was changed"),
    ("XX002", CorruptError, "an index is damaged; nothing was changed. REINDEX it"),
    ("42501", StorageError, "the role may not do that; grant it ALL on the schema and its tables, or CREATE for one"),
    ("22021", ConfigError, "PostgreSQL cannot store this text"),
    ("22P05", ConfigError, "PostgreSQL cannot store this text"),
)


class ServerAwayError(Exception):
    """Say inside this room that the server cannot be reached; its cause says how that showed."""


def is_lost(error: BaseException) -> bool:
    """Tell whether an error of psycopg says that the connection is gone."""
    if type(error).__module__.partition(".")[0] != "psycopg":
        return False
    code: Any = getattr(error, "sqlstate", None)
    if code is None:
        return any(kind.__name__ == "OperationalError" for kind in type(error).__mro__)
    return str(code).startswith(_GONE)


def _unreachable(name: str, error: BaseException) -> StorageError:
    found = StorageError(
        f"{name}: the server cannot be reached ({_first_line(error)}); nothing was changed, try again",
        category=Category.RETRIABLE,
        operation="storage",
    )
    found.__cause__ = error
    return found


def translate(error: Exception, name: str) -> Exception:
    """Return the error of outlast for one of psycopg's; others come back as they are.

    Args:
        error: What was raised.
        name: The database, for the message.
    """
    if isinstance(error, ServerAwayError):
        return _unreachable(name, error.__cause__ or error)
    if isinstance(error, OutlastError) or type(error).__module__.partition(".")[0] != "psycopg":
        return error
    if is_lost(error):
        return _unreachable(name, error)
    kind, remedy = _meaning(error)
    translated = kind(f"{name}: {remedy} ({_first_line(error)})", operation="storage")
    translated.__cause__ = error
    return translated


def _meaning(error: Exception) -> tuple[type[OutlastError], str]:
    code = str(getattr(error, "sqlstate", None) or "")
    for beginning, kind, remedy in _BY_CODE:
        if code.startswith(beginning):
            return kind, remedy
    if not code and type(error).__name__ == "DataError":  # psycopg's own refusal, such as of a zero character
        return ConfigError, "PostgreSQL cannot store this text"
    return StorageError, "PostgreSQL refused"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
