"""Bring an outbox down to an older layout, for the way back to an older version of outlast."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from outlast.errors import ConfigError, NewerFormatError
from outlast.outbox import _queries as sql
from outlast.outbox._doctor.examine import Finding, listed
from outlast.outbox._inspection import Inspection
from outlast.outbox._layout import INSIDE, OUTBOX, POSTGRES_OUTBOX, open_database
from outlast.outbox._lease import ProcessingLease
from outlast.outbox._queries.tables import Tables
from outlast.storage import Connection, Dialect, FileFormat, check_closed, is_address, open_reading


class _Column(NamedTuple):
    """Name a column that a layout has added.

    Args:
        layout: The layout.
        table: Its table.
        name: Its name.
        plain: What it must hold for an older layout to hold the row, None when it may be forgotten.
        said: What a row is that holds something else.
    """

    layout: int
    table: str
    name: str
    plain: str | None = None
    said: str = ""


_OF_A_WRITE: Final = (
    ("grp", "IS NULL", "belong to a transaction or were replayed"),
    ("after_seq", "IS NULL", "come after another write"),
    ("schema_v", "= 0", "say which version of its shape the body has"),
    ("rounds", "= 0", "were merged"),
    ("expires", "IS NULL", "expire"),
    ("base", "IS NULL", "name what they are based on"),
    ("passable", "= {no}", "may be passed by others of their lane"),
)
_ADDED: Final = (
    *(_Column(2, table, *column) for table in ("op", "parked") for column in _OF_A_WRITE),
    _Column(2, "parked", "theirs", "IS NULL", "lie beside what the server holds"),
    _Column(2, "seal", "accepted", "IS NULL", "were accepted by a server that is still at them"),
    _Column(2, "receipt", "outcome", "= 'delivered'", "were folded, or delivered otherwise than by being sent"),
    _Column(2, "seal", "unreported"),
    _Column(2, "seal", "refused"),
    _Column(2, "seal", "doubt"),
    _Column(3, "shadow", "known"),
    _Column(3, "once", "named"),
)
_NEW_TABLES: Final = {2: ("shadow", "origin"), 3: ("backlog",)}
_TRIGGERS: Final = ("backlog_in", "backlog_out", "backlog_edit")
_FORGET: Final = "DELETE FROM $meta WHERE name IN ('pruned_to', 'pruned_delivered', 'pruned_folded')"
"""The way up puts them in again."""

_DECIDE: Final = "deliver or discard them first: outlast outbox show SEQ"
_PRUNE: Final = "forget them first: box.prune(Retention(receipts_for=1))"
_WITH_CODEC: Final = "let this version deliver them, and give the older one a new outbox"


def downgrade(where: str | os.PathLike[str], layout: int) -> list[Finding]:
    """Bring an outbox down to an older layout in one transaction, or return what that cannot hold.

    Every write keeps its place, its key and what was sealed of it. What is forgotten costs no write: how long names
    and shadows were known, how many receipts were pruned, and below layout 2 shadows, pauses of origins, what was
    spent of the budgets, and that a sending has surely had no effect. The next opening by this version brings it up.

    Args:
        where: A file, or the address of a PostgreSQL database. No other process may use it.
        layout: The layout that the older version knows, as its error message says.

    Returns:
        What stands against it; then nothing was changed.

    Raises:
        ConfigError: There is no such layout below the present one.
        LeaseHeldError: A process delivers from it.
        StorageBusyError: Another process has the file open.
        StorageError: There is no outbox, or it cannot be used.
    """
    newest = POSTGRES_OUTBOX if is_address(where) else OUTBOX
    if not 1 <= layout < newest.version:
        raise ConfigError(f"must be from 1 to {newest.version - 1}, not {layout!r}", path="layout")
    older = replace(newest, version=layout, migrations=newest.migrations[:layout])
    if _has(where, older):
        return []
    with Inspection.open(where) as seen:
        inside = seen.inside
    if not is_address(where):
        check_closed(Path(where))
    database = open_database(where, durability="power", inside=inside)
    try:
        lease = ProcessingLease(database)
        lease.acquire()
        try:
            return database.write(lambda db: _bring_down(db, database.dialect, older)).result()
        finally:
            lease.release()
    finally:
        database.close()


def _has(where: str | os.PathLike[str], layout: FileFormat) -> bool:
    try:
        with open_reading(where, layout, inside=INSIDE):
            return True
    except NewerFormatError:
        return False


def _bring_down(db: Connection, dialect: Dialect, older: FileFormat) -> list[Finding]:
    tables = Tables(db, sql.ways_of(dialect))
    found = [*_too_new(tables, older.version)]
    if not found:
        bring = _sqlite if dialect.kind == "sqlite" else _postgres
        bring(tables, older)
        if dialect.prefix:
            tables.execute("UPDATE $layout SET version = ? WHERE name = ?", (older.version, older.name))
        else:
            db.pragma("user_version", older.version)
    return found


def _too_new(db: Tables, layout: int) -> Iterator[Finding]:
    """Yield what an older layout, or the versions of outlast that know no newer one, cannot hold."""
    for column in _ADDED:
        if column.layout > layout and column.plain is not None:
            plain = column.plain.format(no="0" if db.ways.dialect.kind == "sqlite" else "FALSE")
            query = f"SELECT seq FROM ${column.table} WHERE NOT {column.name} {plain} ORDER BY seq"
            remedy = _PRUNE if column.table == "receipt" else _DECIDE
            yield from listed(f"{column.table}.{column.name}", column.said, _places(db, query), remedy)
    if layout < 3:  # noqa: PLR2004 - the first one whose versions know codecs and epochs
        yield from _of_keys_and_codecs(db)


def _of_keys_and_codecs(db: Tables) -> Iterator[Finding]:
    codec = db.execute("SELECT value FROM $meta WHERE name = 'codec'").get
    if codec is not None:
        text = f"bodies are written by the codec {codec!r}, and an older version would send them as they are stored"
        yield Finding("codec", text, _WITH_CODEC)
    last = sql.identity(db).epochs[-1][0]
    query = f"SELECT seq FROM (SELECT seq FROM $op UNION ALL SELECT seq FROM $parked) AS open WHERE seq <= {last}"
    said = "are of an earlier epoch, and an older version would send them under other keys"
    yield from listed("epoch", said, _places(db, f"{query} ORDER BY seq"), _DECIDE)


def _places(db: Tables, query: str) -> Sequence[int]:
    return [row[0] for row in db.execute(query)]


def _sqlite(db: Tables, older: FileFormat) -> None:
    """Make the older tables anew, as the older version has made them, and move every row over."""
    prefix = db.ways.dialect.prefix
    last = db.ways.last_given(db)
    new = ("meta", "op", "seal", "receipt", "parked", "once", "lease", *_NEW_TABLES[2])
    kept = [table for table in new if table not in _gone(older)]
    for name in _TRIGGERS:
        db.execute(f"DROP TRIGGER IF EXISTS ${name}")
    db.execute("DROP INDEX $op_after")  # its name is needed again; all others go with their tables
    for table in _gone(older):
        db.execute(f"DROP TABLE ${table}")
    for table in kept:
        db.execute(f"ALTER TABLE ${table} RENAME TO ${table}_newer")
    for step in older.migrations:
        db.execute(step)
    for table in kept:
        names = ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({prefix}{table})"))
        db.execute(f"DELETE FROM ${table}")
        db.execute(f"INSERT INTO ${table} ({names}) SELECT {names} FROM ${table}_newer")
        db.execute(f"DROP TABLE ${table}_newer")
    db.execute("DELETE FROM sqlite_sequence WHERE name = ?", (f"{prefix}op",))
    db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (f"{prefix}op", last))
    db.execute(_FORGET)


def _postgres(db: Tables, older: FileFormat) -> None:
    """Take away what later layouts have added; grants on the tables stay."""
    for name in _TRIGGERS:
        db.execute(f"DROP FUNCTION IF EXISTS ${name}() CASCADE")
    for table in _gone(older):
        db.execute(f"DROP TABLE ${table}")
    for column in _ADDED:
        if column.layout > older.version and column.table not in _gone(older):
            db.execute(f"ALTER TABLE ${column.table} DROP COLUMN {column.name}")
    db.execute(_FORGET)


def _gone(older: FileFormat) -> list[str]:
    return [table for layout, tables in _NEW_TABLES.items() if layout > older.version for table in tables]
