"""Writes that are queued in the caller's own transaction are there if and only if the caller's rows are."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from contextlib import AsyncExitStack, asynccontextmanager, closing

import apsw
import psycopg
import pytest

from outlast.errors import ConfigError, NewerFormatError
from outlast.events import EventBus
from outlast.outbox import Applied, Counts, OpState, Outbox, SyncOutbox, Verb, Write, aenqueue_in, enqueue_in
from outlast.storage import FileFormat, SqliteDatabase
from outlast.sync_engine import CallableTransport, Runner


def put(entity, **options):
    """Make a write of a note."""
    return Write(verb=Verb.PUT, kind="note", entity=entity, body=b"{}", **options)


class Caller:
    """A program that has rows of its own beside the outbox; each subclass has another connection."""

    store = "postgres"

    def __init__(self, place):
        self.place = place
        self.mine = f"{place.beside}mine"
        with self.open_sync() as box:
            box.core.database.write(lambda db: db.execute(f"CREATE TABLE {self.mine} (id INTEGER)")).result()

    @property
    def options(self):
        """Return how the outbox is opened."""
        return {"bus": EventBus(), "inside": True} if self.store == "sqlite" else {"bus": EventBus()}

    def open_sync(self):
        """Open the outbox."""
        return SyncOutbox.open(self.place, **self.options)

    async def open(self, stack):
        """Open the outbox on a stack."""
        return await stack.enter_async_context(await Outbox.open(self.place, **self.options))

    def rows(self):
        """Return how many rows of the caller everybody sees."""
        return self.place.execute(f"SELECT count(*) FROM {self.mine}")[0][0]


class Blocking(Caller):
    """One whose connection blocks."""

    begin = None

    def connect(self):
        """Return a connection."""
        return psycopg.connect(self.place.libpq)

    @asynccontextmanager
    async def transaction(self):
        """Give a connection with a row of the caller in it."""
        with closing(self.connect()) as connection:
            if self.begin:
                connection.execute(self.begin)
            connection.execute(f"INSERT INTO {self.mine} VALUES (1)")
            yield connection

    async def run(self, connection, statement):
        """Run a statement of the caller."""
        connection.execute(statement)

    async def enqueue(self, connection, box, *writes):
        """Queue writes, through an open outbox or without one; return their places."""
        if box is None:
            return enqueue_in(connection, *writes, schema=self.place.schema)
        return [ticket.seq for ticket in await box.enqueue_in(connection, *writes)]


class Psycopg(Blocking):
    """psycopg, with rows that are dictionaries."""

    def connect(self):
        """Return a connection."""
        return psycopg.connect(self.place.libpq, row_factory=psycopg.rows.dict_row)


class Autocommit(Blocking):
    """psycopg, beginning by hand."""

    begin = "BEGIN"

    def connect(self):
        """Return a connection."""
        return psycopg.connect(self.place.libpq, autocommit=True)


class Awaited(Psycopg):
    """psycopg on the event loop."""

    @asynccontextmanager
    async def transaction(self):
        """Give a connection with a row of the caller in it."""
        connection = await psycopg.AsyncConnection.connect(self.place.libpq)
        try:
            await connection.execute(f"INSERT INTO {self.mine} VALUES (1)")
            yield connection
        finally:
            await connection.close()

    async def run(self, connection, statement):
        """Run a statement of the caller."""
        await connection.execute(statement)

    async def enqueue(self, connection, box, *writes):
        """Queue writes, through an open outbox or without one; return their places."""
        if box is None:
            return await aenqueue_in(connection, *writes, schema=self.place.schema)
        return [ticket.seq for ticket in await box.enqueue_in(connection, *writes)]


class Apsw(Blocking):
    """apsw."""

    store = "sqlite"
    begin = "BEGIN IMMEDIATE"

    def connect(self):
        """Return a connection."""
        connection = apsw.Connection(str(self.place))
        connection.set_busy_timeout(30_000)
        return connection


class Sqlite3(Blocking):
    """Python's own module, where the outbox is not open."""

    store = "sqlite"

    def connect(self):
        """Return a connection that begins by itself."""
        connection = sqlite3.connect(str(self.place), timeout=30)
        connection.row_factory = sqlite3.Row
        return connection


@pytest.fixture(params=[Psycopg, Autocommit, Awaited, Apsw, Sqlite3])
def caller(request, tmp_path):
    """Each kind of caller on its store."""
    from stores import PostgresPlace, SqlitePlace

    if request.param.store == "sqlite":
        return request.param(SqlitePlace(tmp_path / "mine.db", inside=True))
    return request.param(PostgresPlace(request.getfixturevalue("postgres_server")))


@pytest.fixture(params=["open", "alone"])
def beside(request, caller):
    """Whether the caller's process has the outbox open."""
    if isinstance(caller, Sqlite3):
        return False
    return request.param == "open"


async def deliver(caller):
    """Deliver all; return the entities in their order, and the counts."""
    seen = []

    async def act(op):
        seen.append(op.entity)
        return Applied()

    async with AsyncExitStack() as stack:
        box = await caller.open(stack)
        async with Runner(box, CallableTransport(act)) as runner:
            await runner.run_until_idle()
        return seen, await box.counts()


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_rows_and_writes_share_their_fate(caller, beside, end):
    """They are seen together after the commit, not before it, and never after a rollback."""
    async with AsyncExitStack() as stack:
        box = await caller.open(stack) if beside else None
        async with caller.transaction() as connection:
            seqs = await caller.enqueue(connection, box, put("a"), put("b"), put("a"))
            during = caller.rows(), caller.place.execute("SELECT count(*) FROM $op")[0][0]
            await caller.run(connection, end)
    seen, counts = await deliver(caller)

    committed = end == "COMMIT"
    assert during == (0, 0)
    assert seqs == sorted(set(seqs))
    assert len(seqs) == 3
    assert caller.rows() == int(committed)
    assert (sorted(seen), counts) == ((["a", "a", "b"], Counts(delivered=3)) if committed else ([], Counts()))


async def test_a_connection_that_is_lost_leaves_neither(caller, beside):
    """Who closes without a commit has written nothing."""
    async with AsyncExitStack() as stack:
        box = await caller.open(stack) if beside else None
        async with caller.transaction() as connection:
            await caller.enqueue(connection, box, put("a"))

    assert (caller.rows(), await deliver(caller)) == (0, ([], Counts()))


async def test_a_name_is_queued_once_in_any_transaction(caller, beside):
    """A second transaction gets the place of the first, also for the same name twice in one call."""
    places = []
    async with AsyncExitStack() as stack:
        box = await caller.open(stack) if beside else None
        for _ in range(2):
            async with caller.transaction() as connection:
                places += await caller.enqueue(connection, box, put("a", once="x"), put("b", once="x"))
                await caller.run(connection, "COMMIT")

    assert len(set(places)) == 1
    assert await deliver(caller) == (["a"], Counts(delivered=1))


async def test_tickets_know_what_was_committed(caller):
    """A ticket of an open outbox finds its write once the transaction is over."""
    if isinstance(caller, Sqlite3):
        caller = Apsw(caller.place.another("second"))
    async with AsyncExitStack() as stack:
        box = await caller.open(stack)
        async with caller.transaction() as connection:
            (ticket,) = await box.enqueue_in(connection, put("a"))
            with pytest.raises(LookupError):
                await ticket.status()
            await caller.run(connection, "COMMIT")

        assert (await ticket.status()).state is OpState.READY


async def test_the_blocking_face_does_the_same(caller):
    """`SyncOutbox` queues in blocking connections, and says which face is for the awaited ones."""
    if isinstance(caller, Sqlite3):
        return
    with caller.open_sync() as box:
        async with caller.transaction() as connection:
            if isinstance(caller, Awaited):
                with pytest.raises(ConfigError, match="is awaited"):
                    box.enqueue_in(connection, put("a"))
                return
            (ticket,) = box.enqueue_in(connection, put("a"))
            await caller.run(connection, "COMMIT")

        assert ticket.status().state is OpState.READY


async def test_without_a_transaction_nothing_is_queued(caller):
    """What would be committed apart from the caller's rows is a mistake, and is told before anything is written."""
    async with caller.transaction() as connection:
        await caller.run(connection, "ROLLBACK")
        if isinstance(caller, Sqlite3):
            connection.isolation_level = None
        if isinstance(caller, Awaited):
            await connection.set_autocommit(True)
        elif caller.store == "postgres":
            connection.autocommit = True
        with pytest.raises(ConfigError, match="begin one first"):
            await caller.enqueue(connection, None, put("a"))

    assert await deliver(caller) == ([], Counts())


@pytest.mark.parametrize("thing", [object(), None, "app.db"], ids=["object", "none", "path"])
def test_only_connections_that_we_know_are_taken(thing):
    """The error says which, and where frameworks keep theirs."""
    with pytest.raises(ConfigError, match=r"apsw, sqlite3 or psycopg.*Django"):
        enqueue_in(thing, put("a"))


async def test_a_database_without_an_outbox_is_told(caller):
    """The caller's transaction stays usable."""
    if caller.store == "sqlite":
        other = sqlite3.connect(":memory:")
        with pytest.raises(ConfigError, match="inside=True"):
            enqueue_in(other, put("a"))
        other.close()
        return
    async with caller.transaction() as connection:
        caller.place = caller.place.another("nowhere")
        with pytest.raises(ConfigError, match="without an outbox"):
            await caller.enqueue(connection, None, put("a"))
        await caller.run(connection, "COMMIT")

    assert caller.rows() == 1


def test_a_schema_is_a_plain_name(postgres_server):
    """What could be more than a name is refused before it becomes part of a statement."""
    with (
        closing(psycopg.connect(postgres_server.address())) as connection,
        pytest.raises(ConfigError, match="small letters"),
    ):
        enqueue_in(connection, put("a"), schema='x"; DROP')


async def test_a_connection_to_another_outbox_is_refused(caller):
    """Writes cannot end up where nobody delivers them from."""
    if isinstance(caller, Sqlite3):
        with caller.open_sync() as box, closing(apsw.Connection(":memory:")) as memory:
            memory.execute("BEGIN")
            with pytest.raises(ConfigError, match="without an outbox"):
                box.enqueue_in(memory, put("a"))
        return
    other = type(caller)(caller.place.another("other"))
    async with AsyncExitStack() as stack:
        box = await other.open(stack)
        async with caller.transaction() as connection:
            if caller.store == "sqlite":
                with pytest.raises(ConfigError, match="another database"):
                    await box.enqueue_in(connection, put("a"))
            else:  # another schema of the same database is as good as its own: the statement names it
                await box.enqueue_in(connection, put("a"))

    assert await deliver(other) == ([], Counts())


def test_a_second_copy_of_sqlite_is_refused(tmp_path):
    """Python's own module would undo the locks of the open outbox, so the error says what to do instead."""
    with (
        SyncOutbox.open(tmp_path / "app.db") as box,
        closing(sqlite3.connect(tmp_path / "other.db")) as other,
        pytest.raises(ConfigError, match="undo each other's locks"),
    ):
        box.enqueue_in(other, put("a"))


def test_a_connection_to_the_other_store_is_refused(tmp_path, postgres_server):
    """The error says where the connection goes, and where the outbox lies."""
    with (
        SyncOutbox.open(tmp_path / "app.db") as box,
        closing(psycopg.connect(postgres_server.address())) as other,
        pytest.raises(ConfigError, match="goes to postgres, and the outbox lies on sqlite"),
    ):
        box.enqueue_in(other, put("a"))


PRODUCE = """
import apsw, os, psycopg, signal, sys
from outlast.outbox import Verb, Write, enqueue_in
where, schema, mine, after = sys.argv[1:]
if schema == "-":
    connection = apsw.Connection(where)
    connection.execute("BEGIN IMMEDIATE")
else:
    connection = psycopg.connect(where)
connection.execute(f"INSERT INTO {mine} VALUES (1)")
write = Write(verb=Verb.PUT, kind="note", entity="a", body=b"{}")
enqueue_in(connection, write, **({} if schema == "-" else {"schema": schema}))
if after == "after":
    connection.execute("COMMIT")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("kind", [Psycopg, Apsw])
async def test_a_killed_producer_leaves_both_or_neither(kind, moment, tmp_path, postgres_server):
    """SIGKILL before the commit leaves nothing, after it everything."""
    from stores import PostgresPlace, SqlitePlace

    place = PostgresPlace(postgres_server) if kind is Psycopg else SqlitePlace(tmp_path / "mine.db", inside=True)
    caller = kind(place)
    where = [place.libpq, place.schema] if kind is Psycopg else [str(place), "-"]
    process = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", PRODUCE, *where, caller.mine, moment], check=False
    )
    seen, _ = await deliver(caller)

    assert process.returncode == -9
    assert (caller.rows(), seen) == ((1, ["a"]) if moment == "after" else (0, []))


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


def test_a_second_transaction_waits_for_the_lane(postgres_server):
    """Within a lane places are in the order of commits, because the second one cannot get a place before the first."""
    from stores import PostgresPlace

    caller = Psycopg(PostgresPlace(postgres_server))
    schema, done, order = caller.place.schema, threading.Event(), []

    def second():
        with closing(psycopg.connect(caller.place.libpq)) as connection:
            order.extend(enqueue_in(connection, put("a"), schema=schema))
            connection.commit()
        done.set()

    with closing(psycopg.connect(caller.place.libpq)) as connection:
        order.extend(enqueue_in(connection, put("a"), schema=schema))
        thread = threading.Thread(target=second)
        thread.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND query LIKE %s"
        while not caller.place.server.execute(waiting, f"%{'pg_notify'}%")[0][0]:
            assert not done.wait(0.01)
        connection.commit()
    thread.join(10)

    assert done.is_set()
    assert order == sorted(order)
