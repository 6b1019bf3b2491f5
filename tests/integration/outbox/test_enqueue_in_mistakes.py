"""A connection, a schema or a file in which writes cannot be queued is named before anything is written."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import apsw
import psycopg
import pytest

from delivering import put
from outlast.errors import ConfigError, NewerFormatError
from outlast.outbox import SyncOutbox, enqueue_in
from outlast.storage import FileFormat, SqliteDatabase


@pytest.mark.parametrize("thing", [object(), None, "app.db"], ids=["object", "none", "path"])
def test_only_connections_that_we_know_are_taken(thing):
    """The error says which, and where frameworks keep theirs."""
    with pytest.raises(ConfigError, match=r"apsw, sqlite3 or psycopg.*Django"):
        enqueue_in(thing, put("a"))


def test_a_schema_is_a_plain_name(postgres_server):
    """What could be more than a name is refused before it becomes part of a statement."""
    with (
        closing(psycopg.connect(postgres_server.address())) as connection,
        pytest.raises(ConfigError, match="small letters"),
    ):
        enqueue_in(connection, put("a"), schema='x"; DROP')


def test_a_second_copy_of_sqlite_is_refused(tmp_path):
    """Python's own module would undo the locks of the open outbox, so the error says what to do instead."""
    with (
        SyncOutbox.open(tmp_path / "app.db") as box,
        closing(sqlite3.connect(tmp_path / "other.db")) as other,
        pytest.raises(ConfigError, match="undo each other's locks"),
    ):
        box.enqueue_in(other, put("a"))


def test_a_second_copy_of_sqlite_is_refused_without_the_outbox_too(tmp_path):
    """The function wrote in the middle of a transaction by which the outbox of the same process held the file."""
    path, other = tmp_path / "mine.db", tmp_path / "other.db"
    for file in (path, other):
        with SyncOutbox.open(file, inside=True):
            pass
    with closing(sqlite3.connect(path)) as mine, closing(apsw.Connection(":memory:")):
        with SyncOutbox.open(path, inside=True), pytest.raises(ConfigError, match="undo each other's locks"):
            enqueue_in(mine, put("a"))
        with SyncOutbox.open(other, inside=True), mine:
            enqueue_in(mine, put("b"))

        assert mine.execute("SELECT entity FROM outlast_op").fetchall() == [("b",)]


def test_a_connection_to_the_other_store_is_refused(tmp_path, postgres_server):
    """The error says where the connection goes, and where the outbox lies."""
    with (
        SyncOutbox.open(tmp_path / "app.db") as box,
        closing(psycopg.connect(postgres_server.address())) as other,
        pytest.raises(ConfigError, match="goes to postgres, and the outbox lies on sqlite"),
    ):
        box.enqueue_in(other, put("a"))


async def test_the_callers_file_stays_the_callers(tmp_path):
    """Marks, tables and rows of the file are what they were; only our own tables have come, once."""
    path = tmp_path / "mine.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE TABLE op (mine); INSERT INTO op VALUES (7)")
        connection.pragma("application_id", 4711)
        connection.pragma("user_version", 42)
    for _ in range(2):
        with SyncOutbox.open(path, inside=True) as box:
            box.put("note", "a", {})
    with closing(apsw.Connection(str(path))) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        marks = connection.pragma("application_id"), connection.pragma("user_version")
        rows = list(connection.execute("SELECT * FROM op")), list(connection.execute("SELECT count(*) FROM outlast_op"))

    assert {name for name in tables if not name.startswith(("outlast_", "sqlite_"))} == {"op"}
    assert (marks, rows) == ((4711, 42), ([(7,)], [(2,)]))


def test_newer_tables_inside_a_file_are_refused(tmp_path):
    """Their version is kept in a table of ours, since the file's own mark is not ours."""
    newer = FileFormat("outbox", 0x4F4C4F42, 99, ("CREATE TABLE $x (id TEXT)",) * 1)
    SqliteDatabase(tmp_path / "mine.db", newer, inside="outlast_").close()

    with pytest.raises(NewerFormatError, match="layout 99"):
        SyncOutbox.open(tmp_path / "mine.db", inside=True)


def test_only_a_file_has_an_inside(postgres_server):
    """On PostgreSQL the option would mean nothing."""
    with pytest.raises(ConfigError, match=r"\?schema="):
        SyncOutbox.open(postgres_server.fresh(), inside=True)
