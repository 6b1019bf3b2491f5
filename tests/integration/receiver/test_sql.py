"""The receiver's calls inside the caller's own transaction, on both databases and through every driver."""

from __future__ import annotations

import asyncio
import threading

import apsw
import psycopg
import psycopg.rows
import pytest
from drivers import MADE

from outlast.errors import ConfigError, InDoubtError, classify
from outlast.http import Fence, Fenced, InProgress, New, Receiver, Replay, Reused, StoredResponse


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


def test_rows_may_be_what_the_owner_likes(sqlite_place, postgres_place):
    """The row factory of a connection is its owner's business."""
    receiver = Receiver()
    with sqlite_place.prepare().connect() as connection:
        connection.row_factory = lambda cursor, row: {"row": row}
        receiver.store(connection, receiver.claim(connection, "k", "d"), MADE)
        assert receiver.claim(connection, "k", "d") == Replay(MADE)
    with sqlite_place.connect() as connection:
        connection.text_factory = bytes
        assert receiver.claim(connection, "k", "d") == New("", "k")
        receiver.store(connection, New("", "k"), MADE)
        assert receiver.claim(connection, "k", "d") == Replay(MADE)
        assert connection.execute("SELECT 'mine'").fetchone() == (b"mine",)
    with psycopg.connect(postgres_place.prepare().address, row_factory=psycopg.rows.dict_row) as connection:
        receiver.store(connection, receiver.claim(connection, "k", "d"), MADE)
        assert receiver.claim(connection, "k", "d") == Replay(MADE)
        assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_rows_of_apsw_may_be_what_the_owner_likes(sqlite_place):
    """Its row trace is the owner's business as well."""
    receiver = Receiver()
    with sqlite_place.prepare(apsw).connect() as connection:
        connection.row_trace = lambda cursor, row: {"row": row}
        connection.execute("BEGIN")
        receiver.store(connection, receiver.claim(connection, "k", "d"), MADE)
        assert receiver.claim(connection, "k", "d") == Replay(MADE)
        assert list(connection.execute("SELECT 1")) == [{"row": (1,)}]


def test_a_pipeline_is_no_place_for_a_claim(postgres_place):
    """Results come late in it, so it is refused by name; before and after it the transaction is as any other."""
    receiver = Receiver()
    with psycopg.connect(postgres_place.prepare().address) as connection:
        with connection.pipeline():
            connection.execute("INSERT INTO effects VALUES ('k', 'piped')")
            with pytest.raises(ConfigError, match="is in pipeline mode"):
                receiver.claim(connection, "k", "d")
        receiver.store(connection, receiver.claim(connection, "k", "d"), MADE)

    assert postgres_place.effects() == ["k"]


def test_a_connection_whose_texts_are_bytes_is_refused(postgres_place):
    """No digest would be equal to itself on it, so that each repeat would seem to be another request."""
    receiver = Receiver()
    with psycopg.connect(postgres_place.prepare().address, client_encoding="SQL_ASCII") as connection:
        with pytest.raises(ConfigError, match="client_encoding='UTF8'"):
            receiver.claim(connection, "k", "d")
        connection.execute("SET client_encoding TO 'UTF8'")
        assert receiver.claim(connection, "k", "d") == New("", "k")


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
