"""Contradictions between the tables are found, and a salvage puts them before a person; the old file is put away."""

from pathlib import Path

import pytest

from damaged import SEALED, SETTLED, make
from delivering import deliver, opened
from outlast.errors import ConfigError, CorruptError, NotOursError
from outlast.events import EventBus
from outlast.outbox import Applied, Inspection, OpState, SyncOutbox, examine, salvage
from outlast.sync_engine import CallableTransport
from stores import SqlitePlace

FIRST, LAST = SETTLED + 1, SETTLED + SEALED + 120
NEXT = SETTLED + SEALED + 1
"""The first that was never sent."""


@pytest.fixture
def place(tmp_path):
    """An outbox with writes of all kinds, in a file."""
    found = SqlitePlace(tmp_path / "app.db")
    make(found.path)
    return found


PLANTED = [
    pytest.param("seal without op", f"DELETE FROM op WHERE seq = {FIRST}", None, id="seal-without-op"),
    pytest.param(
        "op and parked",
        "INSERT INTO parked SELECT seq, 'dead', 'r', 1, 1, lane, verb, kind, entity, generation, target, content_type,"
        f" if_match, created, body, grp, after_seq, schema_v, rounds, expires, base, passable, NULL FROM op WHERE seq"
        f" = {NEXT}",
        "it seems to wait at the same time",
        id="op-and-parked",
    ),
    pytest.param(
        "op and receipt",
        f"INSERT INTO receipt VALUES ({NEXT}, 0, 1, NULL, 'note', 'n0', 1, 'delivered')",
        "a receipt says that it is settled",
        id="op-and-receipt",
    ),
    pytest.param(
        "after itself",
        f"UPDATE op SET after_seq = {LAST} WHERE seq = {NEXT}",
        "it comes after a write that was queued later",
        id="after-itself",
    ),
    pytest.param(
        "parked and receipt",
        "INSERT INTO receipt VALUES (10, 0, 1, NULL, 'note', 'old9', 1, 'delivered')",
        "a receipt says that it is settled",
        id="parked-and-receipt",
    ),
    pytest.param("beyond", "UPDATE sqlite_sequence SET seq = 50", None, id="beyond"),
    pytest.param("verb", f"UPDATE op SET verb = 'pat' WHERE seq = {NEXT}", "its verb reads 'pat'", id="verb"),
    pytest.param(
        "body",
        f"""UPDATE op SET body = CAST('{{"n"' AS BLOB) WHERE seq = {NEXT}""",
        "its body was JSON and is none any more",
        id="body",
    ),
    pytest.param(
        "sealed bytes",
        f"UPDATE op SET body = CAST('[]' AS BLOB) WHERE seq = {FIRST}",
        "it was sent, and its sealed bytes are damaged",
        id="sealed-bytes",
    ),
    pytest.param(
        "sealed bytes",
        f"UPDATE seal SET headers = '[' WHERE seq = {FIRST}",
        "it was sent, and its sealed bytes are damaged",
        id="sealed-headers",
    ),
    pytest.param("meta", "UPDATE meta SET value = 'x' WHERE name = 'decisions'", None, id="decisions"),
]


@pytest.mark.parametrize(("code", "statement", "doubt"), PLANTED)
def test_contradictions_are_found_and_put_before_a_person(place, tmp_path, code, statement, doubt):
    """Each has its word; what is doubtful lies in the dead letters of the saved file, which has none of it."""
    place.execute(statement)

    found = examine(place)
    report = salvage(place, tmp_path / "new.db")

    assert [finding.code for finding in found] == [code]
    assert [one.why for one in report.doubtful] == ([] if doubt is None else [doubt])
    assert report.findings == ()


def test_a_sound_file_is_saved_as_it_is(place, tmp_path):
    """Nothing is doubtful, and everything is there: places, names, counts, the fence above the old one."""
    report = salvage(place, tmp_path / "new.db")
    place.execute("UPDATE op SET grp = coalesce(grp, seq)")  # the only difference: nothing more is folded into them

    assert (report.whole, report.damaged, examine(place)) == (True, (), [])
    new = SqlitePlace(tmp_path / "new.db")
    for query in ("SELECT * FROM op", "SELECT * FROM once", "SELECT * FROM parked", "SELECT * FROM receipt"):
        assert new.execute(query) == place.execute(query)
    assert new.execute("SELECT fence FROM lease")[0] > place.execute("SELECT fence FROM lease")[0]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("new")) == ["new.db"]


def test_the_old_file_is_put_away_with_its_log(place, tmp_path):
    """The new one has its name then; of the old one nothing is deleted."""
    (tmp_path / "app.db-wal").write_bytes(b"")
    before = place.path.read_bytes()

    report = salvage(place, place, move_away=True)

    (moved, log) = report.quarantined
    assert moved.startswith(f"{place}.damaged-")
    assert log == f"{moved}-wal"
    assert Path(moved).read_bytes() == before
    with SyncOutbox.open(place, bus=EventBus()) as box:
        assert box.counts().open == SEALED + 120


def test_what_is_no_outbox_is_not_salvaged(tmp_path):
    """A file of something else gives nothing, and no new file."""
    other = SqlitePlace(tmp_path / "other.db")
    other.execute("CREATE TABLE theirs (id INTEGER PRIMARY KEY, word TEXT)")
    (tmp_path / "empty.db").touch()

    with pytest.raises(NotOursError, match="looks like an outbox"):
        salvage(other, tmp_path / "new.db")
    with pytest.raises(NotOursError):
        examine(other)
    with pytest.raises(CorruptError, match="not one page"):
        salvage(tmp_path / "empty.db", tmp_path / "new.db")
    with pytest.raises(ConfigError, match="exists already"):
        salvage(other, tmp_path / "empty.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.db", "other.db"]


def test_tables_inside_of_another_database_are_saved(tmp_path):
    """They come into a file of their own; the other tables are their owner's to save."""
    own = SqlitePlace(tmp_path / "own.db", inside=True)
    with SyncOutbox.open(own, inside=True, bus=EventBus()) as box:
        box.put("note", "a", {"n": 1})
        key = box.ticket(1).key
    own.execute("CREATE TABLE theirs (id)")

    assert examine(own) == []
    assert salvage(own, tmp_path / "new.db").whole
    with SyncOutbox.open(tmp_path / "new.db", bus=EventBus()) as box:
        assert (box.ticket(1).key, box.counts().ready) == (key, 1)


async def test_damaged_sealed_bytes_are_never_sent(place):
    """Other bytes under the same key would be another request; the write is put before a person."""
    place.execute("UPDATE op SET body = CAST('[]' AS BLOB) WHERE seq = ?", FIRST)
    place.execute(f"DELETE FROM op WHERE seq > {FIRST}")
    place.execute(f"DELETE FROM seal WHERE seq > {FIRST}")
    sent = []

    async def send(op):
        sent.append(op.seq)
        return Applied()

    async with opened(place) as box:
        await deliver(box, CallableTransport(send))
        letter = await box.conflict(FIRST)

    assert sent == []
    assert letter.state is OpState.DEAD
    assert letter.reason.startswith("the bytes that were sealed are damaged")


def test_a_damaged_row_is_told_and_not_guessed(place):
    """A verb that nobody knows, and a text that is none, are errors with a remedy wherever they are met."""
    place.execute("UPDATE op SET verb = 'pat' WHERE seq = ?", NEXT)
    with SyncOutbox.open(place, bus=EventBus()) as box, pytest.raises(CorruptError, match="its verb reads 'pat'"):
        box.pending("note")
    place.execute("UPDATE op SET verb = 'put', entity = CAST(x'ff' AS TEXT) WHERE seq = ?", NEXT)
    with SyncOutbox.open(place, bus=EventBus()) as box, pytest.raises(CorruptError, match="the file is damaged"):
        box.pending("note")
    with pytest.raises(CorruptError), Inspection.open(place) as seen:
        seen.list(limit=1000)
