"""An outbox of an older layout is brought up, with all that waits in it."""

from dataclasses import replace

import pytest

from outlast.errors import ConfigError
from outlast.outbox import Verb, Write
from outlast.outbox._layout import OUTBOX, POSTGRES_OUTBOX
from outlast.storage import PostgresDatabase, SqliteDatabase

OP = """
INSERT INTO $op (lane, verb, kind, entity, generation, content_type, created, body) VALUES (?, ?, ?, ?, 0, ?, ?, ?)
"""


def make_first_layout(place):
    """Make an outbox as the first layout had it, with an op that waits."""
    kind, layout = (SqliteDatabase, OUTBOX) if place.kind == "sqlite" else (PostgresDatabase, POSTGRES_OUTBOX)
    where = str(place) if place.kind == "postgres" else place
    database = kind(where, replace(layout, version=1, migrations=layout.migrations[:1]))
    row = (7, "put", "notes", "a", "application/json", 1.5, b'{"text":"old"}')
    database.write(lambda db: db.execute(database.dialect.text(OP), row)).result(10)
    database.close()


def test_first_layout_is_brought_up(face, place):
    """What was queued by an older version waits on, with its place, and the new columns have their defaults."""
    make_first_layout(place)

    box = face.open(place)
    (op,) = box.core.pending("notes").result(10)

    assert (op.seq, op.lane, op.verb, op.body) == (1, 7, Verb.PUT, b'{"text":"old"}')
    assert (op.group, op.after, op.schema, op.rounds, op.expires_at, op.base) == (None, None, 0, 0, None, None)


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
