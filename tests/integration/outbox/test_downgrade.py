"""The way back: an outbox is brought down to what an older version of outlast has made, and nothing is lost."""

import hashlib
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from delivering import put
from outlast.errors import ConfigError, LeaseHeldError, NewerFormatError, StorageBusyError, StorageError
from outlast.events import EventBus
from outlast.outbox import Coalescing, OutboxLimits, SyncOutbox, begin_epoch, downgrade, examine
from stores import SqlitePlace
from unmeasured import UNMEASURED

LAYOUTS = Path(__file__).parent / "layouts"
SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
WRITES = ("op", "seal", "parked", "receipt", "meta")
REMEMBERED = {2: ("once", "shadow", "origin"), 1: ("once",)}


def made_by_an_older_version(path, layout):
    """Make the file that an older version has left."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute((LAYOUTS / f"layout_{layout}.sql").read_text())
    return SqlitePlace(path)


def everything(place, layout):
    """Return the schema of a file and all rows of its tables but the lease, whose fence rises with each holder."""
    tables = (*WRITES, *REMEMBERED[layout])
    return place.execute(SCHEMA), {
        table: sorted(map(repr, place.execute(f"SELECT * FROM ${table}"))) for table in tables
    }


@pytest.mark.parametrize("layout", [1, 2])
def test_up_and_down_is_what_the_older_version_had(tmp_path, layout):
    """The schema is that of the older version to the byte, and so is every row; the next place is not given twice."""
    place = made_by_an_older_version(tmp_path / "app.db", layout)
    before = everything(place, layout), place.execute("SELECT * FROM sqlite_sequence")
    options = {"limits": OutboxLimits(max_ops=100), "coalescing": Coalescing()}  # triggers that count, and an index
    with SyncOutbox.open(place, bus=EventBus(), **options) as box:
        assert box.counts().open > 0
    assert {name for _, name, *_ in place.execute(SCHEMA)} > {"backlog_in", "op_lane"}

    assert downgrade(place, layout) == []

    assert (everything(place, layout), place.execute("SELECT * FROM sqlite_sequence")) == before
    assert place.execute("PRAGMA user_version") == [(layout,)]
    assert place.execute("PRAGMA integrity_check") == [("ok",)]


class Reversed:
    """A codec."""

    name = "reversed"

    def encode(self, body):
        return body[::-1]

    decode = encode


def fill(place, layout):
    """Fill an outbox with what a layout can hold, and settle some of it."""
    with SyncOutbox.open(place, bus=EventBus(), limits=OutboxLimits(max_ops=100)) as box:
        for number in range(6):
            box.put("notes", f"n{number}", {"n": number}, once=f"name{number}")
        if layout == 2:
            with box.transaction() as group:
                group.put("notes", "g1", {}, schema=3, base={"n": 1}, expires=9e8)
                group.put("notes", "g2", {}, after=1)
            box.put("notes", "m", {}, order="mutex")
    for seq, state in ((2, "dead"), (3, "conflict")):
        copied = "seq, lane, verb, kind, entity, generation, target, content_type, if_match, created, body"
        place.execute(
            f"INSERT INTO $parked ({copied}, state, reason, parked, attempts)"
            f" SELECT {copied}, '{state}', 'why', 5.0, 1 FROM $op WHERE seq = {seq}"
        )
        place.execute("DELETE FROM $op WHERE seq = ?", seq)
    place.execute("DELETE FROM $op WHERE seq = 4")
    place.execute(
        "INSERT INTO $receipt (seq, generation, attempts, kind, entity, done) VALUES (4, 0, 1, 'notes', 'n3', 9.0)"
    )
    place.execute(
        "INSERT INTO $seal (seq, attempts, fence, due, delay, first_sent, reason, method, url, headers, body_hash)"
        " VALUES (1, 2, 1, 7.5, 1.0, 6.5, 'slow', 'PUT', 'http://h/1', '[]', ?)", hashlib.sha256(b'{"n":0}').digest(),
    )  # fmt: skip


def writes(place):
    """Return all that is held of writes, by names of columns."""
    return {
        table: sorted(map(repr, place.execute(f"SELECT {names} FROM ${table}"))) for table, names in COLUMNS.items()
    }


COLUMNS = {
    "op": "seq, lane, verb, kind, entity, generation, target, content_type, if_match, created, grp, after_seq,"
    " schema_v, rounds, expires, passable, base, body",
    "seal": "seq, attempts, fence, due, delay, first_sent, reason, method, url, headers, body_hash, body, accepted",
    "parked": "seq, state, reason, parked, attempts, lane, verb, kind, entity, generation, target, content_type,"
    " if_match, created, body, grp, after_seq, schema_v, rounds, expires, base, passable, theirs",
    "receipt": "seq, generation, attempts, etag, kind, entity, done, outcome",
    "meta": "name, value",
}


@pytest.mark.parametrize("layout", [1, 2])
def test_down_and_up_holds_the_same(place, layout):
    """Writes, seals, receipts and what is parked come back as they were, on both stores, and keys with them."""
    fill(place, layout)
    before = writes(place)

    assert downgrade(place, layout) == downgrade(place, layout) == []

    with SyncOutbox.open(place, bus=EventBus(), limits=OutboxLimits(max_ops=100)) as box:
        assert writes(place) == before
        assert box.put("notes", "new", {}).seq == (10 if layout == 2 else 7)
        assert box.put("notes", "again", {}, once="name5").seq == 6
    assert examine(place) == []


def test_tables_in_a_file_of_the_users(tmp_path):
    """They are brought down under their prefix, and the user's own are left alone."""
    place = SqlitePlace(tmp_path / "mine.db", inside=True)
    place.execute("CREATE TABLE op (mine)")
    place.execute("PRAGMA user_version = 77")
    with SyncOutbox.open(place, inside=True, bus=EventBus()) as box:
        box.put("notes", "a", {})

    assert downgrade(place, 1) == []

    assert place.execute("SELECT version FROM $layout") == [(1,)]
    assert place.execute("PRAGMA user_version") == [(77,)]
    old = made_by_an_older_version(tmp_path / "old.db", 1)
    assert {row[0] for row in place.execute("SELECT name FROM pragma_table_info('outlast_op')")} == {
        row[0] for row in old.execute("SELECT name FROM pragma_table_info('op')")
    }
    with SyncOutbox.open(place, inside=True, bus=EventBus()) as box:
        assert [op.entity for op in box.pending("notes")] == ["a"]


def test_what_the_older_layout_cannot_hold_is_named(place):
    """Each such write is listed with what is to be done about it, and nothing is changed."""
    with SyncOutbox.open(place, bus=EventBus()) as box:
        box.put("notes", "plain", {})
        box.put("notes", "after", {}, after=1)
        box.put("notes", "based", {}, base={"n": 1}, expires=9e8)
        box.put("notes", "mutex", {}, order="mutex", schema=2)
        with box.transaction() as group:
            group.put("notes", "g", {})
            group.put("notes", "h", {})
        before = writes(place)

    found = downgrade(place, 1)

    # The first of a group comes after nothing, the second one after the first.
    assert {one.code: one.seqs for one in found} == {
        "op.grp": (5, 6), "op.after_seq": (2, 6), "op.schema_v": (4,), "op.expires": (3,), "op.base": (3,),
        "op.passable": (4,),
    }  # fmt: skip
    assert {one.remedy for one in found} == {"deliver or discard them first: outlast outbox show SEQ"}
    assert found[1].text == "2 writes come after another write: 2, 6"
    assert writes(place) == before
    assert downgrade(place, 2) == []


def test_a_receipt_of_a_folded_write_is_named(place):
    """An older version would take it for delivered."""
    with SyncOutbox.open(place, bus=EventBus()) as box:
        box.put("notes", "a", {})
    receipt = "(seq, generation, attempts, kind, entity, done, outcome) VALUES (1, 0, 0, 'notes', 'a', 9.0, 'merged:2')"
    place.execute(f"INSERT INTO $receipt {receipt}")

    (found,) = downgrade(place, 1)

    assert (found.code, found.seqs, "prune" in found.remedy) == ("receipt.outcome", (1,), True)


def test_writes_of_an_earlier_epoch_and_a_codec_are_named(place):
    """Under an older version the first would have other keys, and the second would go out as they are stored."""
    with SyncOutbox.open(place, codec=Reversed(), bus=EventBus()) as box:
        box.put("notes", "a", {})
    begin_epoch(place)
    with SyncOutbox.open(place, codec=Reversed(), bus=EventBus()) as box:
        box.put("notes", "b", {})

    assert [(one.code, one.seqs) for one in downgrade(place, 2)] == [("codec", ()), ("epoch", (1,))]


def test_a_process_that_uses_it_keeps_it_as_it_is(place):
    """Nobody pulls the tables from under a delivery, nor from under a producer where that can be seen."""
    program = (
        "import sys; from outlast.outbox import ProcessingLease, SyncOutbox\n"
        "with SyncOutbox.open(sys.argv[1]) as box:\n"
        "    lease = ProcessingLease(box.core.database); lease.acquire(); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=UNMEASURED) as process:
        process.stdout.readline()
        with pytest.raises(StorageBusyError if place.kind == "sqlite" else LeaseHeldError):
            downgrade(place, 2)
        process.stdin.close()


def test_without_space_it_stays_as_it_is(tmp_path):
    """The tables are made anew, which needs room; where there is none nothing is changed, and it can be done later."""
    place = SqlitePlace(tmp_path / "app.db")
    with SyncOutbox.open(place, durability="process", bus=EventBus()) as box:
        box.enqueue(*[put(f"n{number}", b"x" * 500) for number in range(1000)])
    program = (
        "import resource, sys; from outlast.outbox import downgrade\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1)); downgrade(sys.argv[1], 2)"
    )
    before = writes(place)

    command = [sys.executable, "-c", program, str(place), str(place.path.stat().st_size // 2)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=UNMEASURED)

    assert "StorageFullError" in done.stderr
    assert (writes(place), examine(place), place.execute("PRAGMA user_version")) == (before, [], [(3,)])
    assert downgrade(place, 2) == []


def test_wrong_layouts(tmp_path, place):
    """A layout that is none is refused, and so is a file that is older, newer, or not there."""
    for layout in (0, 3, 9):
        with pytest.raises(ConfigError, match="must be from 1 to 2"):
            downgrade(place, layout)
    with pytest.raises(StorageError, match="older outlast"):
        downgrade(made_by_an_older_version(tmp_path / "old.db", 1), 2)
    newer = made_by_an_older_version(tmp_path / "newer.db", 2)
    newer.execute("PRAGMA user_version = 4")
    with pytest.raises(NewerFormatError):
        downgrade(newer, 2)
    with pytest.raises(StorageError, match="no such file"):
        downgrade(tmp_path / "none.db", 2)
