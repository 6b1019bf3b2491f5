"""The receiver's tables are made once, kept small, and given only keys, connections and times that make sense."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from drivers import MADE

from outlast.errors import ConfigError, NewerFormatError
from outlast.http import New, Receiver, Replay, StoredResponse

EXPIRE = {
    True: "UPDATE outlast_receipts SET expires_at = 1.0",
    False: "UPDATE outlast_receipts SET expires_at = to_timestamp(1)",
}


def test_an_expired_answer_counts_as_none(driver):
    """After the retention a key is new again, with any request, whether or not it was tidied up yet."""
    session, other = driver.open(), StoredResponse(204)
    for number in range(4):
        session.write(MADE, f"k{number}")
    driver.place.run(EXPIRE[driver.place.is_sqlite])

    assert session.write(other, "k3", "another") == New("", "k3")
    session.begin()
    assert session.claim("k3", "another") == Replay(other)


def test_an_answer_is_kept_for_the_retention(driver):
    """The retention is counted by the database's clock."""
    driver.receiver = Receiver(retention=3600.0)
    driver.open().write(MADE)

    age = "expires_at - created_at" if driver.place.is_sqlite else "extract(epoch FROM expires_at - created_at)"
    assert [round(float(row[0])) for row in driver.place.rows(f"SELECT {age} FROM outlast_receipts")] == [3600]


def test_new_keys_tidy_up(driver):
    """Each new key removes two expired ones, so that nobody has to call prune."""
    session = driver.open()
    for number in range(6):
        session.write(MADE, f"old{number}")
    driver.place.run(EXPIRE[driver.place.is_sqlite])
    for number in range(3):
        session.write(MADE, f"new{number}")

    assert sorted(driver.place.rows("SELECT key FROM outlast_receipts")) == [("new0",), ("new1",), ("new2",)]


def test_prune_goes_in_small_steps(driver):
    """Pruning deletes what is expired, a bounded number at a time, in a transaction of its own."""
    session = driver.open()
    for number in range(5):
        session.write(MADE, f"old{number}")
    driver.place.run(EXPIRE[driver.place.is_sqlite])
    driver.place.run(
        "INSERT INTO outlast_receipts SELECT scope, 'alive', fingerprint, created_at, "
        + ("1e12" if driver.place.is_sqlite else "now() + make_interval(days => 1)")
        + ", status, headers, body FROM outlast_receipts LIMIT 1"
    )

    assert [session.call("prune", max_rows=2) for _ in range(4)] == [2, 2, 1, 0]
    assert driver.place.rows("SELECT key FROM outlast_receipts") == [("alive",)]


def test_prune_leaves_alone_what_somebody_asks_for():
    """A number of rows that makes no sense is refused."""
    with pytest.raises(ConfigError, match="max_rows"):
        Receiver().prune(None, max_rows=0)


def test_creating_again_changes_nothing(driver):
    """The tables may be created at every start, also inside a transaction."""
    session = driver.open()
    session.write(MADE)
    session.call("create_tables")
    driver.do(session.execute("BEGIN")) if driver.place.is_sqlite else session.execute("SELECT 1")
    session.call("create_tables")
    session.rollback()

    session.begin()
    assert session.claim() == Replay(MADE)


def test_newer_tables_are_refused(driver):
    """What a newer version made is left alone, and the connection is free again."""
    driver.place.run("UPDATE outlast_receiver SET version = 99")
    session = driver.open()

    with pytest.raises(NewerFormatError, match="layout 99"):
        session.call("create_tables")
    session.begin()
    assert session.claim() == New("", "k")


def test_many_create_the_tables_at_once(sqlite_place, postgres_place):
    """Processes that start together do not trip over each other."""
    for place in (sqlite_place, postgres_place):
        failures, gate = [], threading.Barrier(6)

        def create(place=place, failures=failures, gate=gate):
            with place.connect() as connection:
                gate.wait(10)
                try:
                    Receiver().create_tables(connection)
                except Exception as error:
                    failures.append(error)

        threads = [threading.Thread(target=create) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert failures == []
        assert place.rows("SELECT version FROM outlast_receiver") == [(1,)]


def test_a_connection_that_commits_by_itself_is_refused(driver):
    """Without a transaction nothing would hold claim and work together."""
    session = driver.open()
    if isinstance(session.connection, sqlite3.Connection):
        session.connection.isolation_level = None
    elif not driver.place.is_sqlite:
        driver.do(session.connection.set_autocommit(True))

    with pytest.raises(ConfigError, match="no transaction is open"):
        session.claim()
    session.execute("BEGIN")
    assert session.claim() == New("", "k")


def test_other_connections_are_named(driver):
    """What is no connection is told what would be one."""
    with pytest.raises(ConfigError, match=r"apsw, sqlite3 or psycopg, not builtins\.str"):
        driver.receiver.claim("app.db", "k", "d")


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_keys_have_a_length(driver, key):
    """Neither no key nor a novel."""
    session = driver.open()
    session.begin()
    with pytest.raises(ConfigError, match="1 to 255 characters"):
        session.claim(key)


@pytest.mark.parametrize("retention", [0, -1.0, float("inf"), float("nan"), "a week"])
def test_retentions_that_make_no_sense(retention):
    """Answers are kept for a time, and not for ever."""
    with pytest.raises(ConfigError, match="retention"):
        Receiver(retention=retention)
