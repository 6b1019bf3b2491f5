"""An outbox of an older layout is brought up, with all that waits in it."""

from dataclasses import replace
from functools import partial

import pytest

from damaged import PAGE, leaf_of, make
from outlast.errors import ConfigError, CorruptError
from outlast.events import EventBus
from outlast.outbox import Pruned, Retention, SyncOutbox, Verb, Write, downgrade, salvage
from outlast.outbox._layout import INSIDE, OUTBOX, POSTGRES_OUTBOX
from outlast.storage import PostgresDatabase, SqliteDatabase
from stores import SqlitePlace

OP = """
INSERT INTO $op (lane, verb, kind, entity, generation, content_type, created, body) VALUES (?, ?, ?, ?, 0, ?, ?, ?)
"""


def run(db, statement, bindings):
    """Run a statement."""
    db.execute(statement, bindings)


def make_older_layout(place, version, **options):
    """Make an outbox as an older layout had it, with an op that waits, and one behind it that is gone."""
    kind, layout = (SqliteDatabase, OUTBOX) if place.kind == "sqlite" else (PostgresDatabase, POSTGRES_OUTBOX)
    where = str(place) if place.kind == "postgres" else place
    database = kind(where, replace(layout, version=version, migrations=layout.migrations[:version]), **options)
    row = (7, "put", "notes", "a", "application/json", 1.5, b'{"text":"old"}')
    for statement, bindings in ((OP, row), (OP, row), ("DELETE FROM $op WHERE seq = 2", ())):
        database.write(partial(run, statement=database.dialect.text(statement), bindings=bindings)).result(10)
    database.close()


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_layout_is_brought_up(face, place, version):
    """What was queued by an older version waits on, with its place, and the new columns have their defaults."""
    make_older_layout(place, version)

    box = face.open(place)
    (op,) = box.core.pending("notes").result(10)

    assert (op.seq, op.lane, op.verb, op.body) == (1, 7, Verb.PUT, b'{"text":"old"}')
    assert (op.group, op.after, op.schema, op.rounds, op.expires_at, op.base) == (None, None, 0, 0, None, None)
    assert face.do(box.put("notes", "b", {}, after=1)).seq == 3  # a place is never given twice


def test_what_was_remembered_counts_from_the_upgrade(place):
    """Names and shadows of layout 2 have no age, so they are kept as if they were new."""
    rows = (
        ("INSERT INTO $once (name, seq) VALUES ('n', 1)", ()),
        ("INSERT INTO $shadow (kind, entity, etag, seq, body) VALUES ('notes', 'a', '1', 1, ?)", (b"{}",)),
        (
            "INSERT INTO $receipt (seq, generation, attempts, kind, entity, done) VALUES (9, 0, 1, 'notes', 'a', 5.0)",
            (),
        ),
    )
    make_older_layout(place, 2)
    for statement, bindings in rows:
        place.execute(statement, *bindings)

    with SyncOutbox.open(place) as box:
        pruned = box.prune(Retention(names_for=3600, shadows_for=3600))
        assert box.core.shadow("notes", "a").result(10).body == b"{}"

    assert pruned == Pruned(receipts=1)
    assert place.execute("SELECT name FROM $once") == [("n",)]


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_layout_in_a_file_of_the_users_is_brought_up(tmp_path, version):
    """The tables keep their prefix, and the user's own are left alone."""
    place = SqlitePlace(tmp_path / "mine.db", inside=True)
    make_older_layout(place, version, inside=INSIDE)
    place.execute("CREATE TABLE op (mine)")
    place.execute("INSERT INTO op VALUES (7)")

    with SyncOutbox.open(place, inside=True) as box:
        assert [op.seq for op in box.pending("notes")] == [1]
        assert box.put("notes", "b", {}).seq == 3

    assert place.execute("SELECT mine FROM op") == [(7,)]
    tables = {name for (name,) in place.execute("SELECT name FROM sqlite_schema WHERE name LIKE '%next%'")}
    assert tables == set()


def test_all_layouts_end_alike(place):
    """One that was brought up has the same columns as one that was made today."""
    make_older_layout(place, 1)
    fresh = place.another("fresh")
    for one in (place, fresh):
        SyncOutbox.open(one).close()

    assert columns(place) == columns(fresh) != []
    if place.kind == "sqlite":
        assert [name for table, name in columns(place) if table == "op"][-2:] == ["base", "body"]


def columns(place):
    """Return the columns of all tables in their order."""
    if place.kind == "postgres":
        return place.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = ?"
            " ORDER BY table_name, ordinal_position", place.schema,
        )  # fmt: skip
    return place.execute(
        "SELECT s.name, i.name FROM sqlite_schema AS s, pragma_table_info(s.name) AS i WHERE s.type = 'table'"
        " ORDER BY s.name, i.cid"
    )


def test_all_of_a_write_is_kept(face, box):
    """Each field of a write comes back as it was given."""
    face.do(box.put("notes", "a", {"text": "one"}))
    wanted = {"after": 1, "expires": 60, "schema": 3, "base": {"text": "before"}}
    face.do(box.put("notes", "b", {"text": "two"}, **wanted))

    _, op = box.core.pending("notes").result(10)

    assert (op.after, op.schema, op.base) == (1, 3, b'{"text":"before"}')
    assert op.expires_at == pytest.approx(op.created_at + 60)


@pytest.mark.parametrize(
    ("field", "value"), [("after", 0), ("after", "1"), ("schema", -1), ("expires", 0), ("expires", float("inf"))]
)
def test_wrong_numbers_are_refused(field, value):
    """A number that means nothing is refused with the name of its field."""
    with pytest.raises(ConfigError, match=f"write.{field}"):
        Write(verb=Verb.DELETE, kind="notes", entity="a", **{field: value})


def test_base_is_bytes():
    """A base that is no bytes is refused where a write is built by hand."""
    with pytest.raises(ConfigError, match=r"write\.base"):
        Write(verb=Verb.DELETE, kind="notes", entity="a", base="text")


@pytest.mark.parametrize("version", [1, 2])
def test_a_salvage_does_not_read_an_older_layout_wrongly(tmp_path, version):
    """Its columns stand in another order; it is refused with the remedy, and nothing is made of it."""
    place = SqlitePlace(tmp_path / "old.db")
    make_older_layout(place, version)

    with pytest.raises(CorruptError, match="older layout"):
        salvage(place, tmp_path / "new.db")

    assert not list(tmp_path.glob("new*"))


def test_a_damaged_file_is_not_brought_up(tmp_path):
    """SQLite skips the cells that a page denies without a word, and the queue would be shorter, on sound pages."""
    path = tmp_path / "app.db"
    make(path)
    assert downgrade(path, 2) == []
    content, at = bytearray(path.read_bytes()), (leaf_of(path, "op") - 1) * PAGE
    content[at + 4] //= 2  # the count of cells
    path.write_bytes(content)

    with pytest.raises(CorruptError, match="nothing was changed"):
        SyncOutbox.open(path, bus=EventBus())

    assert path.read_bytes() == content
