from __future__ import annotations

import json
import sqlite3

import pytest

from outlast.lab._notes import Change, Plant, write_body
from outlast.lab._notes_book import NotesBook


@pytest.fixture
def make_book(tmp_path):
    """Open the same database, with a plant if asked."""
    books = []

    def make(plant=None):
        books.append(NotesBook(tmp_path / "notes.db", plant=plant, now=lambda: 100.0))
        return books[-1]

    yield make
    for book in books:
        book.close()


@pytest.fixture
def book(make_book):
    """Open an empty book."""
    return make_book()


def put(note, write, **more):
    """Return a PUT."""
    return Change("PUT", note, write, write_body(write, "x"), **more)


def effects(tmp_path):
    """Return what a stranger reads from the database."""
    database = sqlite3.connect(tmp_path / "notes.db")
    rows = database.execute("SELECT note, write_id, verb, revision FROM effects ORDER BY seq").fetchall()
    database.close()
    return rows


def test_put_creates_then_replaces(book, tmp_path):
    """The first PUT is a creation, each has its tag and its row in the ledger."""
    assert [book.apply(put("a", write)).status for write in ("w-1", "w-2")] == [201, 200]
    assert book.read("a").etag == '"2"'
    assert effects(tmp_path) == [("a", "w-1", "PUT", 1), ("a", "w-2", "PUT", 2)]


@pytest.mark.parametrize(
    ("exists", "headers", "status"),
    [
        (False, {"if_none_match": "*"}, 201),
        (True, {"if_none_match": "*"}, 412),
        (True, {"if_none_match": '"1"'}, 412),
        (True, {"if_none_match": '"9"'}, 200),
        (True, {"if_match": '"1"'}, 200),
        (True, {"if_match": '"7", "1"'}, 200),
        (True, {"if_match": "*"}, 200),
        (True, {"if_match": '"2"'}, 412),
        (True, {"if_match": 'W/"1"'}, 412),
        (False, {"if_match": "*"}, 412),
    ],
)
def test_preconditions(book, tmp_path, exists, headers, status):
    """A precondition that fails leaves no effect."""
    if exists:
        book.apply(put("a", "w-0"))

    assert book.apply(put("a", "w-1", **headers)).status == status
    assert len(effects(tmp_path)) == int(exists) + (status < 400)


def test_delete_and_a_tag_that_never_comes_back(book):
    """A note that is made again after its deletion has a tag that it never had."""
    book.apply(put("a", "w-1"))

    assert book.apply(Change("DELETE", "a", "w-2", if_match='"9"')).status == 412
    assert book.apply(Change("DELETE", "a", "w-2")).status == 204
    assert book.apply(Change("DELETE", "a", "w-3")).status == 404
    assert book.read("a") is None
    assert book.apply(put("a", "w-4")).headers["etag"] == '"3"'


def test_a_repeat_gets_the_first_answer(book, tmp_path):
    """A key is applied once; a repeat gets status, tag and body of the first answer, also after later changes."""
    first = book.apply(put("a", "w-1", key="k"))
    book.apply(put("a", "w-2"))
    again = book.apply(put("a", "w-1", key="k"))

    assert (again.status, again.body, again.headers["etag"]) == (first.status, first.body, first.headers["etag"])
    assert again.headers["idempotent-replayed"] == "true"
    assert len(effects(tmp_path)) == 2


def test_a_key_with_another_request_is_refused(book, tmp_path):
    """One key names one request: other bodies, notes and verbs are refused."""
    book.apply(put("a", "w-1", key="k"))

    for other in (put("a", "w-2", key="k"), put("b", "w-1", key="k"), Change("DELETE", "a", "w-1", key="k")):
        refusal = book.apply(other)
        assert refusal.status == 422
        assert json.loads(refusal.body)["type"] == "/problems/idempotency-key-reused"
    assert len(effects(tmp_path)) == 1


def test_a_refusal_is_remembered_too(book):
    """A late duplicate of a refused request is refused again, although it would hold by now."""
    assert book.apply(put("a", "w-1", key="k", if_match='"1"')).status == 412
    book.apply(put("a", "w-0"))

    assert book.apply(put("a", "w-1", key="k", if_match='"1"')).status == 412


def test_seeding_twice_changes_nothing(book, tmp_path):
    """A restart finds its notes as they are."""
    book.seed(2)
    book.seed(2)

    assert effects(tmp_path) == [("n0000", "seed-n0000", "PUT", 1), ("n0001", "seed-n0001", "PUT", 1)]


def test_a_failure_rolls_everything_back(book, tmp_path):
    """No effect is left when its answer could not be remembered."""
    book._db.execute("DROP TABLE answers")
    with pytest.raises(sqlite3.OperationalError):
        book.apply(put("a", "w-1", key="k"))

    assert effects(tmp_path) == []
    assert book.read("a") is None


def test_planted_loss_answers_and_stores_nothing(make_book, tmp_path):
    """The fifth PUT is answered like the others, and is not there."""
    book = make_book(Plant.LOST)

    assert [book.apply(put(f"a{n}", f"w-{n}", key=f"k{n}")).status for n in range(7)] == [201] * 7
    assert [row[1] for row in effects(tmp_path)] == ["w-0", "w-1", "w-2", "w-3", "w-5", "w-6"]


def test_planted_double_strikes_the_first_repeat(make_book, tmp_path):
    """One repeat of a key is applied again, the next ones are not."""
    book = make_book(Plant.DOUBLED)
    for _ in range(4):
        book.apply(put("a", "w-1", key="k"))

    assert [row[1] for row in effects(tmp_path)] == ["w-1", "w-1"]


def test_planted_double_strikes_the_fifth_put_without_repeats(make_book, tmp_path):
    """Without a repeat, the fifth PUT has two effects."""
    book = make_book(Plant.DOUBLED)
    for n in range(7):
        book.apply(put(f"a{n}", f"w-{n}"))

    assert [row[1] for row in effects(tmp_path)] == ["w-0", "w-1", "w-2", "w-3", "w-4", "w-4", "w-5", "w-6"]


def test_the_neighbour_is_spared(make_book, tmp_path):
    """Planted bugs strike the client's writes, not those of others."""
    book = make_book(Plant.LOST)
    for n in range(6):
        book.overwrite(put("a", f"neighbour-{n}"))

    assert len(effects(tmp_path)) == 6
