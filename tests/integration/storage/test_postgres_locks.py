"""Who waits for somebody else's transaction on PostgreSQL, for how long, and who does not."""

import threading
import time

import psycopg
import pytest
from notebook import add, ids

from outlast.errors import StorageBusyError
from outlast.storage import _writer


def test_a_lock_that_is_kept_too_long_is_told(notes, open_notes, postgres_server, schema, monkeypatch):
    """Who waits for somebody else's transaction gives up after a while."""
    monkeypatch.setattr(_writer, "PATIENCE", 0.05)
    notes.write(add(1)).result()
    other = open_notes(postgres_server.address(schema=schema))
    begun, go = threading.Event(), threading.Event()
    holding = notes.write(lambda db: (db.execute("LOCK TABLE note"), begun.set(), go.wait(10)))
    assert begun.wait(10)

    with pytest.raises(StorageBusyError, match="kept it locked"):
        other.write(add(2)).result()
    go.set()
    holding.result()


def test_a_lock_keeps_those_who_do_not_need_it_for_a_moment_only(notes, postgres_server, schema, monkeypatch):
    """Only a job alone is waited with for long, and for no longer than since it was queued; the others are stored."""
    monkeypatch.setattr(_writer, "PATIENCE", 0.5)
    monkeypatch.setattr(_writer, "_MOMENT", 0.01)
    notes.write(add(1)).result()
    waits, transact, begun, go = [], notes._writer._transact, threading.Event(), threading.Event()
    monkeypatch.setattr(
        notes._writer, "_transact", lambda work, patience: waits.append(patience) or transact(work, patience)
    )

    def change(db):
        db.execute("UPDATE note SET text = 'mine' WHERE id = 1")

    with psycopg.connect(postgres_server.address()) as somebody:
        somebody.execute(f"SELECT 1 FROM {schema}.note FOR UPDATE")
        first = notes.write(lambda db: (begun.set(), go.wait(50)))
        assert begun.wait(50)
        futures = [notes.write(job) for job in (change, add(2), change, add(3))]
        go.set()
        errors = [future.exception() for future in futures]

    assert first.result() == (None, True)
    assert [type(error) for error in errors] == [StorageBusyError, type(None), StorageBusyError, type(None)]
    assert sum(wait > 0.01 for wait in waits[1:]) <= 3, "two alone that are stored, and the first that waits"
    assert waits[1] == 0.01
    assert notes.read(ids).result() == [1, 2, 3]


def test_many_that_wait_for_one_lock_are_found_out_soon(notes, postgres_server, schema, monkeypatch):
    """Only all of them together wait for a moment, each part of them for much less, so nobody else waits for long."""
    monkeypatch.setattr(_writer, "PATIENCE", 0.0)
    waits, transact, begun, go = [], notes._writer._transact, threading.Event(), threading.Event()
    monkeypatch.setattr(
        notes._writer, "_transact", lambda work, patience: waits.append(patience) or transact(work, patience)
    )
    notes.write(add(1)).result()
    with psycopg.connect(postgres_server.address()) as somebody:
        somebody.execute(f"SELECT 1 FROM {schema}.note FOR UPDATE")
        first = notes.write(lambda db: (begun.set(), go.wait(50)))
        assert begun.wait(50)
        futures = [notes.write(lambda db: db.execute("UPDATE note SET text = 'mine'")) for _ in range(16)]
        go.set()
        errors = [future.exception() for future in futures]

    assert first.result() == (None, True)
    assert {type(error) for error in errors} == {StorageBusyError}
    assert len(waits) == 2 + 31
    assert sum(waits[2:]) == pytest.approx(_writer._MOMENT + 30 * _writer._BLINK)


def test_a_lost_transaction_that_is_still_being_ended_is_waited_for(notes, postgres_server, schema):
    """However many jobs wait together, they are not refused because their writer's own mark is held for a moment."""
    notes.write(add(1)).result()
    with psycopg.connect(postgres_server.address()) as lost:
        lost.execute(f"SELECT 1 FROM {schema}.writer FOR UPDATE")
        futures = [notes.write(add(number)) for number in (2, 3, 4)]
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
        until = time.monotonic() + 50
        while not postgres_server.execute(waiting, f"%{schema}%writer%")[0][0]:
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(3 * _writer._MOMENT)  # longer than a group waits for anything else

    assert [future.exception() for future in futures] == [None] * 3
