"""Open a database only to look: nothing is made, brought up or changed, and whoever writes goes on."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from outlast.errors import NotOursError, OutlastError, StorageError
from outlast.storage._connection import Connection, Session
from outlast.storage._extras import require
from outlast.storage._failures import translate
from outlast.storage._layouts import Dialect, FileFormat, check_owner, check_version, stored_version
from outlast.storage._log_check import check_log, check_log_has_file, has_more, log_size
from outlast.storage._postgres_address import PostgresAddress, is_address, parse_address, postgres_dialect
from outlast.storage._postgres_failures import translate as translate_postgres
from outlast.storage._postgres_link import PostgresLink, PostgresSession

_BUSY_MS: Final = 10_000
_TABLES: Final = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?"
_PATIENCE: Final = "SET statement_timeout TO '60s'"


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold one moment of a database.

    Args:
        session: What runs statements.
        dialect: Which store it is and where the tables lie.
        name: What it is called towards users; it holds no secret.
    """

    session: Session
    dialect: Dialect
    name: str


def connect_to_read(path: Path) -> Connection:
    """Open a SQLite file, by its own name and no link, so that not even a file beside it is made."""
    apsw = require("apsw", extra="store", purpose="the file")
    # Even a reader leaves files beside a database in WAL mode, unless it is told that nobody writes; and that may
    # be said only where no such file holds a part of it.
    logged, cut = (Path(f"{path}{end}").exists() for end in ("-wal", "-journal"))
    uri = f"{path.as_uri()}?immutable={int(not logged and not cut)}"
    # Whoever reads a file whose commit was cut off must roll that back first, which a mere reader may not.
    flags = apsw.SQLITE_OPEN_READWRITE if cut else apsw.SQLITE_OPEN_READONLY
    connection: Connection = apsw.Connection(uri, flags=flags | apsw.SQLITE_OPEN_URI)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.set_busy_timeout(_BUSY_MS)
    return connection


@contextmanager
def open_reading(where: str | os.PathLike[str], layout: FileFormat, *, inside: str) -> Generator[Reading]:
    """Look at one moment of a database.

    Args:
        where: A file, or the address of a PostgreSQL database.
        layout: Which tables are wanted.
        inside: The prefix that they have in a file of somebody else's.

    Raises:
        NotOursError: There is nothing of ours.
        NewerFormatError: It was made by a newer version.
        StorageError: It is not there, was made by an older version, or cannot be read.
    """
    if is_address(where):
        with _postgres(str(where), layout) as reading:
            yield reading
    else:
        with _sqlite(Path(where).resolve(), layout, inside, str(where)) as reading:
            yield reading


@contextmanager
def _sqlite(path: Path, layout: FileFormat, inside: str, name: str) -> Generator[Reading]:
    check_log_has_file(path)
    if not path.is_file():
        raise StorageError(f"{name}: there is no such file" if not path.exists() else f"{name} is no file")
    connection: Connection | None = None
    try:
        connection = connect_to_read(path)
        _check_log(path, connection)
        connection.execute("BEGIN")
        yield Reading(connection, _sqlite_dialect(connection, layout, inside, name), name)
    except Exception as error:
        raise translate(error, name) from error
    finally:
        if connection is not None:
            connection.close()


def _check_log(path: Path, connection: Connection) -> None:
    if log_size(path):
        apsw = require("apsw", extra="store", purpose="the file")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # before its first look it knows no log
        frames, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        if has_more(path, max(0, frames), int(connection.pragma("page_size"))):
            check_log(path, flushed=True)


def _sqlite_dialect(connection: Connection, layout: FileFormat, inside: str, name: str) -> Dialect:
    if connection.execute(_TABLES, (f"{inside}layout",)).get:
        dialect = Dialect("sqlite", inside)
        _check_age(layout, stored_version(connection, dialect, layout, name), name)
        return dialect
    check_owner(layout, connection.pragma("application_id"), name)
    version = int(connection.pragma("user_version"))
    check_version(layout, version, name)
    _check_age(layout, version, name)
    return Dialect("sqlite")


def _check_age(layout: FileFormat, version: int, name: str) -> None:
    if version < layout.version:
        raise StorageError(
            f"{name} has layout {version} of an older outlast; start your program with this version once, which brings "
            "it up. It was not touched"
        )


@contextmanager
def _postgres(text: str, layout: FileFormat) -> Generator[Reading]:
    address = parse_address(text)
    link = PostgresLink(address, _PATIENCE, patience=0.0)
    try:
        connection = link.call(_begun)
        session, dialect = PostgresSession(connection), postgres_dialect(address.schema)
        _check_postgres(session, dialect, layout, address)
        yield Reading(session, dialect, address.name)
    except OutlastError:
        raise
    except Exception as error:
        raise translate_postgres(error, address.name) from error
    finally:
        link.close()


def _check_postgres(session: Session, dialect: Dialect, layout: FileFormat, address: PostgresAddress) -> None:
    if not session.execute("SELECT to_regclass(?) IS NOT NULL", (f"{dialect.prefix}layout",)).get:
        raise NotOursError(f"{address.name} holds no {layout.name} in the schema {address.schema}; see ?schema=")
    _check_age(layout, stored_version(session, dialect, layout, address.name), address.name)


def _begun(connection: Any) -> Any:
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    return connection
