"""A SQLite file or a schema of a real PostgreSQL, through each driver."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

import apsw
import psycopg

from outlast.http import Receiver, StoredResponse

MADE = StoredResponse(201, (("content-type", "text/plain"), ("etag", '"1"')), b"made \xff\x00 it")
EFFECTS = "CREATE TABLE effects (key TEXT NOT NULL, worker TEXT NOT NULL)"


class Place:
    """Where the tables of one test are; a program of its own can open it by its address."""

    def __init__(self, address):
        self.address = address
        self.is_sqlite = not address.startswith("postgresql:")
        self.library = sqlite3 if self.is_sqlite else psycopg

    def connect(self):
        """Open a connection as the application would.

        Always with one library: two copies of SQLite in one process do not see each other's locks on a file.
        """
        if self.library is apsw:
            return contextlib.closing(apsw.Connection(self.address))
        if self.library is sqlite3:
            return contextlib.closing(sqlite3.connect(self.address, check_same_thread=False))
        return psycopg.connect(self.address)

    def rows(self, query):
        """Ask from outside."""
        with self.connect() as connection:
            return connection.execute(query).fetchall()

    def run(self, statement):
        """Change something from outside."""
        with self.connect() as connection:
            connection.execute(statement)
            if self.library is not apsw:
                connection.commit()

    def effects(self):
        """Return the keys of the effects that took place, in their own order."""
        return sorted(key for key, _ in self.rows("SELECT key, worker FROM effects"))

    def prepare(self, library=None):
        """Create the tables."""
        self.library = library or self.library
        with self.connect() as connection:
            if self.is_sqlite:
                connection.execute("PRAGMA journal_mode=WAL")
            Receiver().create_tables(connection)
            connection.execute(EFFECTS)
            if self.library is not apsw:
                connection.commit()
        return self


class Driver:
    """Use a driver in one way for all: what a coroutine would return is waited for."""

    def __init__(self, place, receiver):
        self.place = place
        self.receiver = receiver
        self.opened = []

    def open(self):
        """Open a connection that is closed with the test."""
        session = Session(self, self.connect())
        self.opened.append(session)
        return session

    def do(self, value):
        """Return what a call returns."""
        return value

    def begin(self, connection):
        """Open a transaction that may write."""
        connection.execute("BEGIN IMMEDIATE")

    def close(self):
        for session in self.opened:
            self.do(session.connection.close())


class Sqlite3(Driver):
    """The module of the standard library, which opens transactions by itself."""

    library = sqlite3

    def connect(self):
        return sqlite3.connect(self.place.address, timeout=0.05)

    def begin(self, connection):
        """Leave it to the module."""


class Apsw(Driver):
    """apsw, which never does."""

    library = apsw

    def connect(self):
        return apsw.Connection(self.place.address)


class Psycopg(Driver):
    """psycopg for threads."""

    library = psycopg

    def connect(self):
        return psycopg.connect(self.place.address)

    def begin(self, connection):
        """Leave it to the driver."""


class PsycopgAsync(Psycopg):
    """psycopg for tasks."""

    def __init__(self, place, receiver):
        super().__init__(place, receiver)
        self.runner = asyncio.Runner()

    def connect(self):
        return self.do(psycopg.AsyncConnection.connect(self.place.address))

    def do(self, value):
        """Wait for it."""
        return self.runner.run(_finish(value)) if asyncio.iscoroutine(value) else value

    def close(self):
        super().close()
        self.runner.close()


async def _finish(coroutine):
    return await coroutine


class Session:
    """One connection, and the receiver's calls on it."""

    def __init__(self, driver, connection):
        self.driver = driver
        self.connection = connection

    def call(self, name, *args, **options):
        """Call the receiver in the colour of the driver."""
        colour = "a" if isinstance(self.driver, PsycopgAsync) else ""
        method = getattr(self.driver.receiver, f"{colour}{name}")
        return self.driver.do(method(self.connection, *args, **options))

    def begin(self):
        self.driver.begin(self.connection)

    def claim(self, key="k", digest="d", **options):
        return self.call("claim", key, digest, **options)

    def store(self, claim, response):
        return self.call("store", claim, response)

    def execute(self, statement):
        return self.driver.do(self.connection.execute(statement))

    def commit(self):
        self.execute("COMMIT")

    def rollback(self):
        self.execute("ROLLBACK")

    def write(self, response, key="k", digest="d", **options):
        """Do all that a handler does with a new key."""
        self.begin()
        claim = self.claim(key, digest, **options)
        self.store(claim, response)
        self.commit()
        return claim
