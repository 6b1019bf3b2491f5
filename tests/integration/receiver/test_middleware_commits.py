"""Effect and answer of a request are one transaction: both are there, or neither, and nobody hears too early."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sides import Asgi, Wsgi

from outlast.errors import ConfigError
from outlast.http import Receiver, ReceiverRules, WsgiReceiver, connection_of


def test_a_repeat_during_the_first(side):
    """On PostgreSQL it is told to come back with the same key; the effect stays one."""
    if side.place.is_sqlite:
        return
    with side.place.connect() as other:
        Receiver().claim(other, "k", "whatever", scope="all")
        got = side.ask()
        other.rollback()

    assert (got.problem, got.headers["retry-after"]) == ((409, "idempotency-key-in-progress"), "1")
    assert side.ask().status == 201


def test_a_busy_database_is_no_failure_of_the_request(side):
    """SQLite that somebody else writes to for too long is 503 with Retry-After, and nothing was done."""
    if not side.place.is_sqlite:
        return
    side.serve(rules=ReceiverRules(max_wait=0.05, retry_after=7))
    with side.place.connect() as other:
        other.execute("BEGIN IMMEDIATE")
        got, keyless = side.ask(), side.ask(None)

    assert (got.problem, got.headers["retry-after"]) == ((503, "busy"), "7")
    assert keyless.problem == (503, "busy")
    assert (side.script.calls, side.ask().status) == (0, 201)


def test_a_database_that_is_away(side, tmp_path):
    """Where nobody listens nothing was done, and the sender may come back; a wrong path is the operator's to see."""
    if side.place.is_sqlite:
        side.serve(connect=lambda: contextlib.closing(sqlite3.connect(tmp_path / "no such folder" / "app.db")))
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            side.ask()
        return
    side.place.address = "host=127.0.0.1 port=1"

    assert side.ask().problem == (503, "busy")


def test_an_exception_rolls_back(side):
    """What raises leaves no effect and no answer, so a repeat starts afresh."""
    side.script.error = ZeroDivisionError("inside")
    with pytest.raises(ZeroDivisionError):
        side.ask()
    assert side.place.effects() == []
    side.script.error = None

    assert side.ask().status == 201
    assert side.place.effects() == ["k"]


def test_an_answer_that_is_not_final_rolls_back(side):
    """A sender that will come back finds nothing done; the application's own answer goes out."""
    side.script.status = 503
    got = side.ask()
    assert (got.status, got.body, side.place.effects()) == (503, b"made", [])
    side.script.status = 201

    assert (side.ask().status, side.place.effects()) == (201, ["k"])


def test_a_large_answer_is_rolled_back(side):
    """An answer that cannot be kept cannot be repeated, so nothing is done for it."""
    side.serve(rules=ReceiverRules(max_body_bytes=10))
    side.script.parts = [b"x"] * 11

    assert side.ask().problem == (500, "answer-too-large")
    assert side.place.effects() == []
    side.script.parts = [b"x"] * 10
    assert side.ask().status == 201


def test_a_transaction_that_has_failed_is_no_success(side):
    """An application that overlooks its database's error does not tell its client that all went well."""
    if side.place.is_sqlite:
        return  # a statement that fails leaves the rest of its transaction as it is
    fine, side.script.statement, side.script.overlooks = side.script.statement, "SELECT 1 / 0", True
    for key in ("k", None):
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            side.ask(key)
    side.script.statement = fine
    assert (side.ask().status, side.place.effects()) == (201, ["k"])


def test_an_application_that_commits_is_found_out(side):
    """The transaction belongs to the middleware; who ends it gets an error, not a wrong promise."""
    side.script.statement = "COMMIT"

    with pytest.raises(ConfigError, match="leave commit and rollback to the middleware"):
        side.ask()


def test_the_answer_waits_for_the_commit(side):
    """When COMMIT fails, nobody has heard of success."""
    if side.place.is_sqlite:
        side.place.run("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        side.place.run("CREATE TABLE kids (id INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED)")
        side.serve(connect=lambda: with_foreign_keys(side.place))
    else:
        side.place.run("CREATE TABLE parents (id integer PRIMARY KEY)")
        side.place.run("CREATE TABLE kids (id integer REFERENCES parents DEFERRABLE INITIALLY DEFERRED)")
    fine, side.script.statement = side.script.statement, "INSERT INTO kids VALUES (7)"

    with pytest.raises(Exception, match=r"(?i)foreign key"):
        side.ask()
    side.script.statement = fine
    assert side.place.rows("SELECT count(*) FROM kids") == [(0,)]
    assert (side.ask().status, side.place.effects()) == (201, ["k"])


def test_what_a_wsgi_application_does_when_it_is_closed(place):
    """Its body is closed after the commit, as a server does, and then there is no connection any more."""
    side, seen = Wsgi(place), []

    class Body:
        def __init__(self, environ):
            self.environ, self.parts = environ, iter([b"made"])

        def __iter__(self):
            return self.parts

        def close(self):
            seen.append(place.effects())
            with pytest.raises(ConfigError, match="has no connection"):
                connection_of(self.environ)

    def inner(environ, start_response):
        side.inner(environ, start_response)
        return Body(environ)

    side.app = WsgiReceiver(inner, side.connect, scope="all")

    assert (side.ask().body, side.ask().body, seen) == (b"made", b"made", [["k"]])


@contextlib.contextmanager
def with_foreign_keys(place):
    """Open SQLite so that it holds them."""
    with place.connect() as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        yield connection


class Crowd:
    """Clients that send the same at the same time, and come back when they are told to."""

    def __init__(self, side, keys):
        self.side, self.keys = side, keys
        self.heard = {key: set() for key in keys}

    def settled(self, got, key):
        if got.status == 201:
            self.heard[key].add((got.body, got.headers["etag"]))
        else:
            assert got.problem == (409, "idempotency-key-in-progress")
        return got.status == 201

    def one(self, key):
        while not self.settled(self.side.ask(key), key):
            pass

    async def task(self, key):
        while not self.settled(await self.side.asks(key), key):
            pass

    async def tasks(self):
        await asyncio.gather(*map(self.task, self.keys))

    def ask(self):
        """Send everything."""
        if isinstance(self.side, Asgi):
            self.side.runner.run(self.tasks())
            return
        with ThreadPoolExecutor(len(self.keys)) as threads:
            list(threads.map(self.one, self.keys))


def test_many_at_once_take_effect_once(side):
    """Clients that send the same at the same time hear the same, or are told to come back."""
    crowd = Crowd(side, [f"k{number % 3}" for number in range(12)])

    crowd.ask()

    assert side.place.effects() == ["k0", "k1", "k2"]
    assert {key: len(answers) for key, answers in crowd.heard.items()} == {"k0": 1, "k1": 1, "k2": 1}
