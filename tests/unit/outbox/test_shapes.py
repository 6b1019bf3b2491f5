"""What is wrong with a row of a damaged file is named, and what can be stored of it is kept."""

import pytest

from outlast.outbox._doctor.shapes import Column, fits, judge

COLUMNS = (
    Column("seq", "INTEGER", False, None, True),
    Column("lane", "INTEGER", True, None, False),
    Column("verb", "TEXT", True, None, False),
    Column("kind", "TEXT", True, None, False),
    Column("created", "REAL", True, None, False),
    Column("body", "BLOB", False, None, False),
    Column("hash", "BLOB", True, None, False),
    Column("note", "TEXT", False, None, False),
    Column("rounds", "INTEGER", True, 0, False),
)
SOUND = (None, 7, "put", "note", 1.5, b"x", b"h", None, 3)


def changed(place, value):
    """Return a sound row with another value at a place."""
    return (*SOUND[:place], value, *SOUND[place + 1 :])


@pytest.mark.parametrize(
    ("values", "name", "kept", "doubt"),
    [
        pytest.param(SOUND, "body", b"x", None, id="sound"),
        pytest.param(SOUND[:8], "rounds", 0, None, id="older-row"),
        pytest.param(changed(1, "x"), "lane", 0, "its lane is damaged", id="integer"),
        pytest.param(changed(4, None), "created", 0, "its created is damaged", id="real"),
        pytest.param(changed(3, b"n\xff"), "kind", "n\N{REPLACEMENT CHARACTER}", "its kind is damaged", id="text"),
        pytest.param(changed(3, None), "kind", "", "its kind is damaged", id="no-text"),
        pytest.param(changed(3, 5), "kind", "5", "its kind is damaged", id="number-for-text"),
        pytest.param(changed(5, "x"), "body", b"x", "its body is damaged", id="text-for-bytes"),
        pytest.param(changed(6, 5), "hash", b"", "its hash is damaged", id="number-for-bytes"),
        pytest.param(changed(2, "qut"), "verb", "put", "its verb reads 'qut'", id="verb"),
        pytest.param((*SOUND, 1), "body", b"x", "it has too many columns", id="too-many"),
    ],
)
def test_what_cannot_be_right_is_guessed_and_named(values, name, kept, doubt):
    """A row keeps what it can; each guess is a doubt."""
    judged = judge(COLUMNS, 5, values)

    assert judged.values["seq"] == 5
    assert judged.values[name] == kept
    assert judged.doubts == ([] if doubt is None else [doubt])


@pytest.mark.parametrize(
    ("rowid", "values", "expected"),
    [
        pytest.param(5, SOUND, True, id="sound"),
        pytest.param(5, SOUND[:8], True, id="older-row"),
        pytest.param(5, SOUND[:7], False, id="too-short"),
        pytest.param(0, SOUND, False, id="no-place"),
        pytest.param(5, changed(0, 5), False, id="place-in-the-row"),
        pytest.param(5, changed(1, None), False, id="needed"),
        pytest.param(5, changed(2, "qut"), False, id="verb"),
        pytest.param(5, changed(3, b"\xff"), False, id="type"),
    ],
)
def test_a_row_is_known_by_its_shape(rowid, values, expected):
    """What no tree leads to is taken for a row of a table only if all of it fits."""
    assert fits(COLUMNS, rowid, values) is expected
