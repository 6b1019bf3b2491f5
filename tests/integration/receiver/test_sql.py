"""The receiver's calls inside the caller's own transaction, on both databases and through every driver."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import psycopg
import psycopg.rows
import pytest

from outlast.errors import ConfigError, InDoubtError, NewerFormatError, classify
from outlast.http import Fence, Fenced, InProgress, New, Receiver, Replay, Reused, StoredResponse

MADE = StoredResponse(201, (("content-type", "text/plain"), ("etag", '"1"')), b"made \xff\x00 it")
EXPIRE = {
    True: "UPDATE outlast_receipts SET expires_at = 1.0",
    False: "UPDATE outlast_receipts SET expires_at = to_timestamp(1)",
}


def test_a_new_key_is_claimed_and_its_answer_given_again(driver):
    """The second of two equal requests gets what the first was answered, byte for byte."""
    first, second = driver.open(), driver.open()

    assert first.write(MADE) == New("", "k")
    second.begin()
    assert second.claim() == Replay(MADE)


def test_a_key_with_another_request_is_refused(driver):
    """A key belongs to one request."""
    driver.open().write(MADE)

    session = driver.open()
    session.begin()
    assert session.claim(digest="another") == Reused()


def test_scopes_share_no_keys(driver):
    """What one account was answered is no answer to another."""
    driver.open().write(MADE, scope="a")

    session = driver.open()
    session.begin()
    assert session.claim(scope="b") == New("b", "k")


def test_a_rollback_forgets_the_claim(driver):
    """What was rolled back may be tried again, by anybody."""
    session = driver.open()
    session.begin()
    session.store(session.claim(), MADE)
    session.rollback()

    again = driver.open()
    again.begin()
    assert again.claim() == New("", "k")


def test_a_lost_connection_forgets_the_claim(driver):
    """No key stays locked when whoever claimed it is gone."""
    session = driver.open()
    session.begin()
    assert session.claim() == New("", "k")
    driver.do(session.connection.close())

    again = driver.open()
    again.begin()
    found = again.claim()
    while found == InProgress():  # the server may need a moment to notice
        found = again.claim()
    assert found == New("", "k")


def test_work_and_answer_are_one(driver):
    """The effect is there exactly if the answer is."""
    session = driver.open()
    session.begin()
    claim = session.claim()
    session.execute("INSERT INTO effects VALUES ('k', 'me')")
    assert driver.place.effects() == []
    session.store(claim, MADE)
    assert driver.place.effects() == []
    session.commit()

    assert driver.place.effects() == ["k"]
    assert driver.place.rows("SELECT count(*) FROM outlast_receipts WHERE status = 201") == [(1,)]


def test_a_repeat_during_the_first(driver):
    """PostgreSQL tells that the first is at work; SQLite has one writer, and says so when waiting is over."""
    first, second = driver.open(), driver.open()
    first.begin()
    claim = first.claim()

    if driver.place.is_sqlite:
        with pytest.raises(Exception, match=r"(?i)locked|busy") as caught:
            second.begin() or second.claim()
        assert str(classify(caught.value).outcome) == "not_applied"
        first.store(claim, MADE)
        first.commit()
    else:
        second.begin()
        assert second.claim() == InProgress()
        first.store(claim, MADE)
        first.commit()
    if driver.place.is_sqlite and not second.connection.in_transaction:
        second.begin()

    assert second.claim() == Replay(MADE)


def test_other_keys_do_not_wait(driver):
    """On PostgreSQL two keys are at work at once."""
    if driver.place.is_sqlite:
        return
    first, second = driver.open(), driver.open()

    assert (first.claim("a"), second.claim("b")) == (New("", "a"), New("", "b"))


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


def test_fences_only_rise(driver):
    """A sender that was replaced is refused, before its key is looked at; each sender has its own fences."""
    session = driver.open()
    session.write(MADE, "a", fence=Fence("box", 3))
    session.write(MADE, "b", fence=Fence("box", 3))
    session.write(MADE, "c", fence=Fence("box", 5))
    session.write(MADE, "d", fence=Fence("other", 1))

    session.begin()
    assert session.claim("e", fence=Fence("box", 4)) == Fenced(5)
    assert session.claim("a", fence=Fence("box", 4)) == Fenced(5)
    assert session.claim("a", fence=Fence("box", 5)) == Replay(MADE)
    assert session.claim("a") == Replay(MADE)


def test_a_refused_fence_leaves_no_claim(driver):
    """Committing after `Fenced` claims nothing."""
    session = driver.open()
    session.write(MADE, "a", fence=Fence("box", 5))
    session.begin()
    assert session.claim("b", fence=Fence("box", 4)) == Fenced(5)
    session.commit()

    session.begin()
    assert session.claim("b", fence=Fence("box", 5)) == New("", "b")


def test_requests_of_one_term_go_side_by_side(postgres_place):
    """On PostgreSQL equal fences share, and a later term waits until those of the earlier have ended."""
    place, receiver = postgres_place.prepare(), Receiver()
    with place.connect() as setup:
        receiver.store(setup, receiver.claim(setup, "z", "d", fence=Fence("box", 1)), MADE)
    with place.connect() as first, place.connect() as second, place.connect() as later:
        assert receiver.claim(first, "a", "d", fence=Fence("box", 1)) == New("", "a")
        assert receiver.claim(second, "b", "d", fence=Fence("box", 1)) == New("", "b")
        later.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            receiver.claim(later, "c", "d", fence=Fence("box", 2))
        first.rollback()
        second.rollback()
        later.rollback()
        assert receiver.claim(later, "c", "d", fence=Fence("box", 2)) == New("", "c")


def test_a_claim_without_answer_is_a_loud_mistake(driver):
    """A program that commits without `store` neither repeats its work nor pretends to know the answer."""
    session = driver.open()
    session.begin()
    session.claim()
    session.commit()
    session.begin()

    with pytest.raises(InDoubtError, match="store the answer before you commit"):
        session.claim()


def test_storing_twice_is_a_mistake(driver):
    """A claim takes one answer."""
    session = driver.open()
    session.begin()
    claim = session.claim()
    session.store(claim, MADE)

    with pytest.raises(InDoubtError, match="claim and store once each"):
        session.store(claim, MADE)


def test_storing_after_the_end_is_a_mistake(driver):
    """The answer belongs into the transaction of the claim."""
    session = driver.open()
    session.begin()
    claim = session.claim()
    session.commit()

    with pytest.raises(ConfigError, match="commit after `store`"):
        session.store(claim, MADE)


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
    with pytest.raises(ConfigError, match=r"sqlite3, apsw, psycopg, not builtins\.str"):
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


def test_rows_may_be_what_the_owner_likes(sqlite_place, postgres_place):
    """The row factory of a connection is its owner's business."""
    receiver = Receiver()
    with sqlite_place.prepare().connect() as connection:
        connection.row_factory = lambda cursor, row: {"row": row}
        receiver.store(connection, receiver.claim(connection, "k", "d"), MADE)
        assert receiver.claim(connection, "k", "d") == Replay(MADE)
    with psycopg.connect(postgres_place.prepare().address, row_factory=psycopg.rows.dict_row) as connection:
        receiver.store(connection, receiver.claim(connection, "k", "d"), MADE)
        assert receiver.claim(connection, "k", "d") == Replay(MADE)
        assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_a_stricter_isolation_never_doubles(postgres_place):
    """Where a snapshot is older than the first answer, PostgreSQL refuses the repeat, and the next look finds it."""
    receiver = Receiver()
    place = postgres_place.prepare()
    with place.connect() as first, place.connect() as second:
        second.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        second.execute("SELECT 1 FROM effects")
        receiver.store(first, receiver.claim(first, "k", "d"), MADE)
        first.commit()

        with pytest.raises(psycopg.errors.SerializationFailure):
            receiver.claim(second, "k", "d")
        second.rollback()
        assert receiver.claim(second, "k", "d") == Replay(MADE)


def test_concurrent_claims_take_effect_once(place):
    """Twelve threads with four keys: each key's work is done once, and everybody who hears hears the same."""
    receiver, heard, gate = Receiver(), [], threading.Barrier(12)

    def one(number):
        key = f"k{number % 4}"
        gate.wait(20)
        while True:
            with place.connect() as connection:
                found = receiver.claim(connection, key, "d")
                if isinstance(found, New):
                    connection.execute(f"INSERT INTO effects VALUES ('{key}', '{number}')")
                    receiver.store(connection, found, StoredResponse(201, (), str(number).encode()))
                    connection.commit()
                    found = Replay(StoredResponse(201, (), str(number).encode()))
            if isinstance(found, Replay):
                heard.append((key, found.response.body.decode()))
                return

    threads = [threading.Thread(target=one, args=[number]) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    done = dict(place.rows("SELECT key, worker FROM effects"))
    assert place.effects() == ["k0", "k1", "k2", "k3"]
    assert sorted(heard) == sorted((key, done[key]) for key in done for _ in range(3))


async def test_a_cancelled_claim_leaves_the_transaction_to_its_owner(postgres_place):
    """Cancelling while PostgreSQL makes us wait ends the wait; after the rollback the connection works."""
    receiver, place = Receiver(), postgres_place.prepare()
    blocker = await psycopg.AsyncConnection.connect(place.address)
    connection = await psycopg.AsyncConnection.connect(place.address)
    async with blocker, connection:
        await blocker.execute("LOCK TABLE outlast_receipts")
        waiting = asyncio.create_task(receiver.aclaim(connection, "k", "d"))
        while not place.rows("SELECT 1 FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - a server tells nobody
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await connection.rollback()
        await blocker.rollback()
        assert await receiver.aclaim(connection, "k", "d") == New("", "k")
