"""Programs that have rows of their own beside an outbox, each with a connection of another library."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing

import apsw
import psycopg

from outlast.events import EventBus
from outlast.outbox import Outbox, SyncOutbox, aenqueue_in, enqueue_in


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
