from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from outlast.lab._contestant import Contestant, Tail, sealed_and_unsettled
from outlast.lab.ledger import Ledger


def write_down(ledger):
    """Write a line of each kind."""
    ledger.ask_write("w1", "a", at=1.0)
    ledger.ack("w1", "a", at=1.1)
    ledger.refused("w2", "a", error="no", at=1.2)
    ledger.read("a", asked=2.0, at=2.1, write="w1", age=0.0, stale=False, source="memory")
    ledger.read("a", asked=3.0, at=3.1, write="w1", age=9.0, stale=True, source="memory")
    ledger.unanswered("b", asked=4.0, at=4.1, error="nothing")


def test_a_ledger_that_is_not_there_yet_counts_nothing(tmp_path):
    """Before the application has started there is nothing to show."""
    tail = Tail(tmp_path / "none.jsonl")
    tail.read_on()

    assert (tail.answered, tail.acknowledged) == (0, 0)


def test_each_kind_of_line_is_counted_once(tmp_path):
    """A tail goes on where it ended, so that no line counts twice."""
    tail = Tail(tmp_path / "ledger.jsonl")
    with Ledger(tail.path) as ledger:
        write_down(ledger)
        tail.read_on()
        tail.read_on()
        write_down(ledger)
        tail.read_on()

    assert (tail.answered, tail.unanswered, tail.stale, tail.acknowledged, tail.refused) == (4, 2, 2, 2, 2)


def test_a_torn_line_waits_for_its_rest(tmp_path):
    """A line that is being written is counted when it is whole; one that a kill tore is replaced."""
    tail = Tail(tmp_path / "ledger.jsonl")
    line = json.dumps({"kind": "ack", "write": "w", "note": "a", "at": 1.0})
    tail.path.write_text(line + "\n" + line[:20])
    tail.read_on()
    assert tail.acknowledged == 1

    with Ledger(tail.path) as ledger:  # cuts the torn line off
        ledger.ack("w3", "a", at=2.0)
    tail.read_on()

    assert tail.acknowledged == 2


def test_sealed_writes_are_counted_from_outside(tmp_path):
    """The rows of the table of seals are the writes that were sent and have no outcome."""
    path = tmp_path / "outbox.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE seal (seq INTEGER)")
        database.executemany("INSERT INTO seal VALUES (?)", [(1,), (2,)])

    assert sealed_and_unsettled(path) == 2


@pytest.mark.parametrize("content", [None, b"", b"no database"], ids=["missing", "empty", "foreign"])
def test_without_an_outbox_nothing_is_sealed(tmp_path, content):
    """A file that is not there or is no outbox yet holds no sealed write, and is not made."""
    path = tmp_path / "outbox.db"
    if content is not None:
        path.write_bytes(content)

    assert sealed_and_unsettled(path) == 0
    assert path.exists() == (content is not None)


def test_a_contestant_has_a_folder_and_no_process_at_first(tmp_path):
    """What was never started has no process and has said nothing."""
    side = Contestant("plain", "outlast.lab.plain_app", tmp_path / "plain")

    assert side.folder.is_dir()
    assert (side.pids, side.last_words()) == ({}, "")
    side.check_app()
