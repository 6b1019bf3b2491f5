import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from outlast.errors import (
    ConfigError,
    CorruptError,
    NewerFormatError,
    NotOursError,
    StorageBusyError,
    StorageError,
    StorageFullError,
)
from outlast.storage import FileFormat, SqliteDatabase, _sqlite

LAYOUT = "CREATE TABLE note (id INTEGER PRIMARY KEY, text)"
NOTES = FileFormat(name="notebook", application_id=0x6E6F7465, version=1, migrations=(LAYOUT,))
HERE = str(Path(__file__).parent)


@pytest.fixture
def path(tmp_path):
    """Where the file is."""
    return tmp_path / "notes.db"


@pytest.fixture
def notes(path):
    """An open notebook."""
    database = SqliteDatabase(path, NOTES)
    yield database
    database.close()


def add(number, text="x"):
    """Make a job that stores a note."""
    return lambda db: db.execute("INSERT INTO note VALUES (?, ?)", (number, text)).get


def ids(db):
    """Be a job that reads the ids."""
    return [row[0] for row in db.execute("SELECT id FROM note ORDER BY id")]


def hold(database):
    """Keep the writer busy until the returned event is set."""
    begun, go = threading.Event(), threading.Event()
    database.write(lambda db: begun.set() or go.wait(10))
    assert begun.wait(10)
    return go


@pytest.mark.parametrize(("durability", "level"), [("power", 2), ("process", 1)])
def test_durability_is_read_back(path, durability, level):
    """The file is in WAL mode and flushes as often as was asked for."""
    database = SqliteDatabase(path, NOTES, durability=durability)

    for run in (database.read, database.write):
        assert run(lambda db: db.pragma("journal_mode")).result() == "wal"
        assert run(lambda db: db.pragma("synchronous")).result() == level
    database.close()


def test_unknown_durability_is_refused(path):
    """A durability that does not exist is a mistake, found before the file is made."""
    with pytest.raises(ConfigError, match="power, process"):
        SqliteDatabase(path, NOTES, durability="hope")
    assert not path.exists()


def foreign(path, *, version=0, application=0, mode="delete"):
    """Make a database of another application."""
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA journal_mode = {mode}")
        other.execute("CREATE TABLE theirs (id)")
        other.execute(f"PRAGMA application_id = {application}")
        other.execute(f"PRAGMA user_version = {version}")
    other.close()


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        pytest.param(lambda p: p.write_text("dear diary, " * 100), NotOursError, "is not an? notebook", id="text"),
        pytest.param(foreign, NotOursError, "is a database, but no notebook", id="other-application"),
        pytest.param(lambda p: foreign(p, mode="wal"), NotOursError, "but no notebook", id="other-application-in-wal"),
        pytest.param(
            lambda p: foreign(p, application=NOTES.application_id, version=9),
            NewerFormatError,
            "layout 9.*up to 1.*upgrade outlast",
            id="newer",
        ),
        pytest.param(
            lambda p: p.write_bytes(b"SQLite format 3\x00" + bytes(4096)),
            NotOursError,
            "not a database",
            id="header",
        ),
    ],
)
def test_files_that_are_not_ours_are_not_touched(path, make, error, text):
    """Whatever else is in the place of the file is named, and stays as it is byte for byte."""
    make(path)
    before = path.read_bytes()

    with pytest.raises(error, match=text):
        SqliteDatabase(path, NOTES)

    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_file_that_another_application_has_open_is_not_touched(path):
    """A database of another application in WAL mode, with work not yet checkpointed, is left to it."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = wal")
    other.execute("CREATE TABLE theirs (id)")
    files = {name: (path.parent / name).read_bytes() for name in ("notes.db", "notes.db-wal")}

    with pytest.raises(NotOursError):
        SqliteDatabase(path, NOTES)

    assert files == {name: (path.parent / name).read_bytes() for name in files}
    other.close()


def test_folder_is_named(tmp_path):
    """A folder in place of the file is a mistake that is named."""
    with pytest.raises(NotOursError, match="is a folder; name a file for the notebook"):
        SqliteDatabase(tmp_path, NOTES)


def test_missing_folder_is_named(tmp_path):
    """The folder is not made up."""
    with pytest.raises(StorageError, match=r"the folder .*nowhere does not exist"):
        SqliteDatabase(tmp_path / "nowhere" / "notes.db", NOTES)


def test_empty_file_is_taken(path):
    """A file without a byte, as a temporary file is, becomes ours; so does an empty database left by a crash."""
    path.touch()
    SqliteDatabase(path, NOTES).close()
    path.unlink()
    empty = sqlite3.connect(path, isolation_level=None)
    empty.execute("PRAGMA journal_mode = wal")
    empty.close()
    assert path.stat().st_size > 0

    SqliteDatabase(path, NOTES).close()


def interrupt(path):
    """Leave a file as a power cut does in the middle of a commit without WAL: a journal that must be rolled back."""
    script = (
        "import os, sys, apsw; db = apsw.Connection(sys.argv[1]); db.pragma('journal_mode', 'delete');"
        "db.pragma('cache_size', 1); db.execute('BEGIN; CREATE TABLE IF NOT EXISTS filler (x)');"
        "[db.execute('INSERT INTO filler VALUES (zeroblob(9000))') for _ in range(20)]; os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert Path(f"{path}-journal").stat().st_size


def test_interrupted_commit_is_rolled_back(path):
    """A process or machine that dies while it makes the file, or takes it to WAL, leaves one that still opens."""
    database = SqliteDatabase(path, NOTES)
    database.write(add(1)).result(10)
    database.close()
    interrupt(path)

    database = SqliteDatabase(path, NOTES)
    found = database.read(ids).result(10)
    tables = database.read(lambda db: db.execute("SELECT count(*) FROM sqlite_schema").get).result(10)
    database.close()

    assert (found, tables) == ([1], 1)


def test_interrupted_making_is_begun_again(path):
    """What a first opening left behind that died in its first commit is no foreign database."""
    interrupt(path)

    database = SqliteDatabase(path, NOTES)
    database.write(add(1)).result(10)
    found = database.read(ids).result(10)
    database.close()

    assert found == [1]


def test_interrupted_foreign_file_is_refused(path):
    """One that another application left in the middle of a commit is still its own."""
    sqlite3.connect(path).executescript("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")
    interrupt(path)

    with pytest.raises(NotOursError):
        SqliteDatabase(path, NOTES)


def test_damaged_file_is_named_and_left_alone(path):
    """A file with a damaged page is refused when it is opened, and nothing of it is changed."""
    notes = SqliteDatabase(path, NOTES)
    for number in range(200):
        notes.write(add(number, "x" * 500))
    notes.close()
    data = bytearray(path.read_bytes())
    data[4096 * 5 : 4096 * 6] = b"\xa5" * 4096
    path.write_bytes(data)

    with pytest.raises(CorruptError, match="damaged"):
        SqliteDatabase(path, NOTES)

    assert path.read_bytes() == data


def test_old_library_is_refused(path, monkeypatch):
    """A SQLite that can damage WAL files is not used."""
    monkeypatch.setattr(_sqlite, "_SAFE_SINCE", (99, 0, 0))

    with pytest.raises(StorageError, match="can damage WAL files; install apsw"):
        SqliteDatabase(path, NOTES)


def test_file_that_does_not_take_wal_is_refused(path, monkeypatch):
    """Settings are read back, so a file that cannot keep the promise is refused."""
    monkeypatch.setattr(_sqlite, "_SYNCHRONOUS", {"power": 77})

    with pytest.raises(StorageError, match="SQLite refused WAL"):
        SqliteDatabase(path, NOTES)


def test_full_file_keeps_what_was_acknowledged(notes):
    """With no page left a write fails with a remedy, and all that was acknowledged before is there."""
    notes.write(add(1)).result()
    pages = notes.write(lambda db: db.pragma("page_count")).result()
    notes.write(lambda db: db.pragma("max_page_count", pages + 2)).result()

    with pytest.raises(StorageFullError, match="no space is left"):
        notes.write(add(2, "x" * 100_000)).result()

    assert notes.read(ids).result() == [1]
    notes.write(lambda db: db.pragma("max_page_count", 100_000)).result()
    notes.write(add(2, "x" * 100_000)).result()
    assert notes.read(ids).result() == [1, 2]


FULL = """
import resource, signal, sys
sys.path.insert(0, sys.argv[2])
from test_sqlite import NOTES, add, ids
from outlast.errors import StorageFullError
from outlast.storage import SqliteDatabase
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
notes = SqliteDatabase(sys.argv[1], NOTES)
notes.write(add(0)).result()
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
stored = 0
try:
    while True:
        notes.write(add(stored + 1, "x" * 10_000)).result()
        stored += 1
except StorageFullError as error:
    assert "no space is left" in str(error)
assert notes.read(ids).result() == list(range(stored + 1))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(stored, flush=True)
"""


def test_full_disk_keeps_what_was_acknowledged(path):
    """When the system refuses to let the file grow, the write fails, and a new process finds what was acknowledged."""
    program = [sys.executable, "-c", FULL, str(path), HERE]
    stored = int(subprocess.run(program, check=True, capture_output=True, text=True).stdout)

    notes = SqliteDatabase(path, NOTES)
    assert stored > 0
    assert notes.read(ids).result() == list(range(stored + 1))
    notes.write(add(stored + 1)).result()
    notes.close()


def test_locked_file_fails_the_whole_group_at_once(notes, monkeypatch):
    """When another process holds the file too long, all who wait learn it after one wait, not one after another."""
    go = hold(notes)
    futures = [notes.write(add(number)) for number in range(5)]
    monkeypatch.setattr(notes, "_main", Locked(notes._main))
    go.set()

    assert [type(future.exception()) for future in futures] == [StorageBusyError] * 5
    assert notes._main.begins == 1
    monkeypatch.undo()
    notes.write(add(9)).result()


class Locked:
    """A connection whose transactions do not begin."""

    def __init__(self, real):
        self.real = real
        self.begins = 0

    def __getattr__(self, name):
        return getattr(self.real, name)

    def execute(self, sql, *args):
        """Refuse to begin."""
        if sql.startswith("BEGIN"):
            import apsw

            self.begins += 1
            raise apsw.BusyError("database is locked")
        return self.real.execute(sql, *args)


def test_a_commit_of_anybody_has_moved_the_file(path, notes):
    """Whoever asks learns at once that something was committed, by whichever opening, and once only."""
    notes.moved()
    idle = notes.moved()
    notes.write(add(1)).result()
    own = (notes.moved(), notes.moved())
    stranger = SqliteDatabase(path, NOTES)
    stranger.write(add(2)).result()
    other = (notes.moved(), notes.moved())
    stranger.close()
    notes.close()

    assert (idle, own, other) == (False, (True, False), (True, False))
    assert notes.moved(), "whoever looks closely is told that it is closed"


def test_who_opens_takes_his_turn(tmp_path, monkeypatch):
    """SQLite's lock is taken behind the gate only, where nobody who writes without a pause can keep others away."""
    at_gate, begun = [], []

    class Gate(_sqlite.FileGate):
        def __enter__(self):
            super().__enter__()
            at_gate.append(True)

        def __exit__(self, *error):
            at_gate.pop()
            super().__exit__(*error)

    monkeypatch.setattr(_sqlite, "FileGate", Gate)
    connect = SqliteDatabase._connect

    def watched(self, durability):
        connection = connect(self, durability)
        connection.trace_v2(
            apsw.SQLITE_TRACE_STMT,
            lambda event: begun.append(bool(at_gate)) if "BEGIN IMMEDIATE" in event["sql"] else None,
        )
        return connection

    monkeypatch.setattr(SqliteDatabase, "_connect", watched)
    with closing(SqliteDatabase(tmp_path / "notes.db", NOTES)) as first:
        first.write(lambda db: db.execute("INSERT INTO note VALUES (1, 'x')").get).result()
        with closing(SqliteDatabase(tmp_path / "notes.db", NOTES)):
            pass

    assert len(begun) == 4
    assert all(begun)
