from __future__ import annotations

import ast
import json
import sqlite3
import sys
from pathlib import Path

import pytest

from outlast.lab import observer
from outlast.lab.ledger import Ledger
from outlast.lab.observer import main, observe

NOTE = "own-1"


class Play:
    """A hand-written database and ledger: effects, then what the application wrote down."""

    def __init__(self, folder):
        self.db = folder / "notes.db"
        self.path = folder / "app.jsonl"
        self.ledger = Ledger(self.path)
        with sqlite3.connect(self.db) as database:
            database.execute(
                "CREATE TABLE effects (seq INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT, write_id TEXT, verb TEXT,"
                " revision INTEGER, body TEXT, at REAL)"
            )
        database.close()

    def effect(self, write, at, note=NOTE, verb="PUT"):
        with sqlite3.connect(self.db) as database:
            database.execute(
                "INSERT INTO effects (note, write_id, verb, revision, at) VALUES (?, ?, ?, 1, ?)",
                (note, write, verb, at),
            )
        database.close()

    def write(self, write, asked, acked=None, refused=None):
        self.ledger.ask_write(write, NOTE, at=asked)
        if acked is not None:
            self.ledger.ack(write, NOTE, at=acked)
        if refused is not None:
            self.ledger.refused(write, NOTE, error="no", at=refused)

    def read(self, shown, *, asked, at=None, age=0.0, stale=False, note=NOTE):
        self.ledger.read(
            note, asked=asked, at=asked + 0.01 if at is None else at, write=shown, age=age, stale=stale, source="x"
        )

    def count(self, healed_at=0.0):
        (result,) = observe(self.db, [self.path], healed_at)
        return result


@pytest.fixture
def play(tmp_path):
    """Begin with an empty database and an empty ledger."""
    play = Play(tmp_path)
    yield play
    play.ledger.close()


def test_only_the_standard_library_is_imported():
    """The observer shares no code with what it judges, not even with the lab."""
    tree = ast.parse(Path(observer.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names |= {node.module for node in froms}

    assert all(node.level == 0 for node in froms)
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
    assert not any(isinstance(node, ast.Name) and node.id in {"__import__", "exec"} for node in ast.walk(tree))


def test_writes_are_counted_by_what_became_of_them(play):
    """Delivered, refused, lost and unknown add up to what was asked; doubled is counted beside."""
    play.write("delivered", 1, acked=2)
    play.write("lost", 1, acked=2)
    play.write("refused", 1, refused=2)
    play.write("told no, yet applied", 1, refused=2)
    play.write("killed meanwhile", 1)
    play.write("doubled", 1, acked=2)
    for write in ("delivered", "told no, yet applied", "doubled", "doubled", "of another client", "of another client"):
        play.effect(write, 1.5)

    result = play.count()
    assert result["writes"] == {
        "asked": 6,
        "acknowledged": 3,
        "delivered": 2,
        "refused": 2,
        "refused_yet_applied": 1,
        "lost": 1,
        "doubled": 1,
        "unknown": 1,
    }
    assert (result["lost_writes"], result["doubled_writes"]) == (["lost"], ["doubled"])


def test_a_write_acknowledged_after_a_refusal_is_acknowledged(play):
    """The last word of an application that retries by hand is its acknowledgement."""
    play.write("w", 1, acked=3, refused=2)
    play.write("w", 1.5, acked=4)
    play.effect("w", 2.5)

    writes = play.count()["writes"]
    assert (writes["asked"], writes["acknowledged"], writes["delivered"], writes["refused"]) == (1, 1, 1, 0)


def test_a_note_is_seen_after_an_answer_or_an_acknowledgement(play):
    """Reads are first reads until the application has had an answer or an acknowledgement before asking."""
    play.effect("seed", 0)
    play.ledger.unanswered(NOTE, asked=1.0, at=1.1, error="timeout")
    play.read("seed", asked=2.0, at=4.0)
    play.read("seed", asked=3.0, at=3.5)
    play.read("seed", asked=3.5)
    play.ledger.unanswered(NOTE, asked=5.0, at=5.1, error="timeout")

    result = play.count()
    assert (result["first_reads"]["total"], result["first_reads"]["answered"]) == (3, 2)
    assert (result["reads"]["total"], result["reads"]["answered"], result["reads"]["wrong"]) == (2, 1, 0)


def test_an_acknowledged_write_makes_a_note_seen(play):
    """A writer knows its own note without having read it."""
    play.write("w", 1, acked=2)
    play.read("w", asked=2)

    assert play.count()["reads"]["answered"] == 1


def test_staleness_is_taken_from_the_ledger(play):
    """Stale reads are counted, with the greatest age of all answers and the median of the stale ones."""
    play.effect("seed", 0)
    play.read("seed", asked=10, age=0)
    for age in (2, 4, 9):
        play.read("seed", asked=10 + age, age=age, stale=True)

    reads = play.count()["reads"]
    assert (reads["stale"], reads["max_age"], reads["median_stale_age"]) == (3, 9, 4)
    assert play.count()["first_reads"]["median_stale_age"] is None


@pytest.mark.parametrize(
    ("shown", "asked", "at", "age", "true"),
    [
        pytest.param("old", 5.0, 5.1, 0.0, True, id="current"),
        pytest.param("old", 10.2, 10.3, 0.0, True, id="superseded-within-the-slack"),
        pytest.param("old", 10.3, 10.4, 0.0, False, id="superseded-before"),
        pytest.param("old", 12.0, 12.1, 2.0, True, id="as-old-as-it-says"),
        pytest.param("old", 13.0, 13.1, 2.0, False, id="older-than-it-says"),
        pytest.param("new", 9.0, 10.5, 0.0, True, id="applied-while-asking"),
        pytest.param("new", 9.0, 9.5, 0.0, False, id="from-the-future"),
        pytest.param("never", 5.0, 5.1, 0.0, False, id="never-applied"),
        pytest.param(None, 5.0, 5.1, 0.0, False, id="hides-an-existing-note"),
        pytest.param(None, 0.5, 0.6, 0.0, True, id="not-there-yet"),
        pytest.param(None, 20.1, 20.2, 0.0, True, id="deleted"),
        pytest.param("new", 20.5, 20.6, 0.0, False, id="shown-after-its-deletion"),
    ],
)
def test_a_value_has_to_have_been_current_within_the_stated_age(play, *, shown, asked, at, age, true):
    """An answer counts only if the server had that value at a moment that the answer's age allows."""
    play.effect("old", 1)
    play.effect("new", 10)
    play.effect("gone", 20, verb="DELETE")
    play.read(shown, asked=asked, at=at, age=age)

    reads = play.count()["first_reads"]
    assert (reads["answered"], reads["wrong"]) == ((1, 0) if true else (0, 1))


@pytest.mark.parametrize(
    ("shown", "asked", "true"),
    [
        pytest.param("pending", 3.0, True, id="acknowledged-and-on-its-way"),
        pytest.param("asked", 6.0, True, id="asked-and-on-its-way"),
        pytest.param("refused", 9.0, False, id="given-up"),
        pytest.param("refused", 7.5, True, id="not-given-up-yet"),
        pytest.param("pending", 0.5, False, id="before-it-was-asked-for"),
    ],
)
def test_own_writes_on_their_way_may_be_shown(play, shown, asked, true):
    """A pending write is a true answer to its own writer, until it is refused."""
    play.write("pending", 1, acked=2)
    play.write("asked", 5)
    play.write("refused", 7, refused=8)
    play.read(shown, asked=asked)

    result = play.count()
    assert result["reads"]["answered"] + result["first_reads"]["answered"] == int(true)


def test_a_pending_write_of_another_note_is_no_answer(play):
    """A value is judged on the note that it was written to."""
    play.write("w", 1, acked=2)
    play.read("w", asked=3, note="own-2")

    assert play.count()["first_reads"]["wrong"] == 1


@pytest.mark.parametrize(
    ("shown", "true"),
    [
        pytest.param("before", False, id="older-value-that-is-current"),
        pytest.param("mine", True, id="the-write-itself"),
        pytest.param("mine-later", True, id="own-later-write"),
    ],
)
def test_a_writer_reads_its_own_writes(play, shown, true):
    """After an acknowledgement, what the server still has is not an answer any more."""
    play.effect("before", 0)
    play.write("mine", 1, acked=2)
    play.write("mine-later", 3)
    play.read(shown, asked=4)

    result = play.count()
    assert (result["reads"]["answered"], result["reads"]["wrong"]) == ((1, 0) if true else (0, 1))
    if not true:
        assert "hides the own write 'mine'" in result["wrong_reads"][0]["reason"]


def test_an_effect_after_the_own_write_may_be_shown(play):
    """Another client's later value does not hide the own write, its earlier one does."""
    play.effect("theirs-before", 0)
    play.write("mine", 1, acked=2)
    play.effect("mine", 1.5)
    play.effect("theirs-after", 5)
    play.read("theirs-after", asked=6)
    play.read("theirs-before", asked=6, age=5.5, stale=True)

    result = play.count()
    assert (result["reads"]["answered"], result["reads"]["wrong"]) == (1, 1)


def test_no_more_than_twenty_wrong_reads_are_listed(play):
    """The list is evidence, the count is complete."""
    for number in range(30):
        play.read("nonsense", asked=number)

    result = play.count()
    assert len(result["wrong_reads"]) == 20
    assert result["reads"]["wrong"] + result["first_reads"]["wrong"] == 30


@pytest.mark.parametrize(
    ("effect_at", "expected"),
    [pytest.param(5.0, 0.0, id="before-the-end"), pytest.param(13.5, 3.5, id="after"), pytest.param(None, None)],
)
def test_recovery_ends_with_the_last_write_that_waited(play, effect_at, expected):
    """Recovery lasts until every write acknowledged before the fault's end has its effect."""
    play.write("waited", 1, acked=2)
    play.write("after the end", 11, acked=12)
    if effect_at is not None:
        play.effect("waited", effect_at)

    assert play.count(healed_at=10.0)["recovered_after"] == expected


def test_the_command_prints_one_object_and_skips_a_torn_line(play, capsys):
    """The process reads database and ledgers as they lie, also after a kill in the middle of a line."""
    play.write("w", 1, acked=2)
    play.effect("w", 1.5)
    with play.path.open("ab") as file:
        file.write(b'{"kind": "ack", "wri')

    code = main(["--api-db", str(play.db), "--ledger", str(play.path), "--healed-at", "3"])
    (application,) = json.loads(capsys.readouterr().out)["applications"]
    assert (code, application["ledger"], application["writes"]["delivered"]) == (0, str(play.path), 1)


@pytest.mark.parametrize("line", ["nonsense", '{"kind": "ack"}', '{"kind": "what", "note": "n", "at": 1}', "[]"])
def test_a_line_that_is_none_is_named(play, line, capsys):
    """A damaged ledger stops the count instead of changing it."""
    with play.path.open("a") as file:
        file.write(line + "\n")

    assert main(["--api-db", str(play.db), "--ledger", str(play.path), "--healed-at", "3"]) == 2
    assert "app.jsonl, line 1" in capsys.readouterr().err


def test_a_missing_database_is_not_made(play, tmp_path, capsys):
    """Read-only means that a wrong path is an error, not an empty count."""
    missing = tmp_path / "missing.db"

    assert main(["--api-db", str(missing), "--ledger", str(play.path), "--healed-at", "3"]) == 2
    assert "cannot observe" in capsys.readouterr().err
    assert not missing.exists()
