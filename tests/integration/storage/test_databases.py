"""What every database does, whichever it is."""

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from outlast.errors import ConfigError, ForkedError, NewerFormatError, NotOursError, ShuttingDownError, StorageError
from outlast.storage import Failed, FileFormat, PostgresDatabase, SqliteDatabase

NOTES = FileFormat("notebook", 0x6E6F7465, 1, ("CREATE TABLE $note (id BIGINT PRIMARY KEY, text TEXT)",))
NEWER = FileFormat("notebook", NOTES.application_id, 2, (*NOTES.migrations, "ALTER TABLE $note ADD COLUMN tag TEXT"))
BROKEN = FileFormat(
    "notebook",
    NOTES.application_id,
    2,
    (*NOTES.migrations, "CREATE TABLE $tag (id TEXT); CREATE TABLE $note (id TEXT)"),
)
FOREIGN = FileFormat("notebook", 0x64696172, 1, ("CREATE TABLE $note (id BIGINT)",))
HERE = str(Path(__file__).parent)


class Notebooks:
    """Open databases at one place; those that are left open are closed with the test."""

    def __init__(self, where, kind):
        self.where, self.kind, self.opened = where, kind, []

    def open(self, layout=NOTES, **options):
        """Open one."""
        self.opened.append(self.kind(self.where, layout, **options))
        return self.opened[-1]


@pytest.fixture
def notebooks(place):
    """Where notebooks may be opened, on each store in turn."""
    notebooks = Notebooks(place, SqliteDatabase if place.kind == "sqlite" else PostgresDatabase)
    yield notebooks
    for database in notebooks.opened:
        database.close()


@pytest.fixture
def notes(notebooks):
    """An open notebook."""
    return notebooks.open()


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


def test_written_is_read(notes):
    """What a write's future reports done is there for readers."""
    notes.write(add(1)).result()

    assert notes.read(ids).result() == [1]


def test_result_of_a_job_is_its_futures(notes):
    """A job's return value comes back."""
    assert notes.write(lambda db: db.execute("SELECT 7").get).result() == 7


def test_waiting_jobs_share_commits(notes):
    """A hundred jobs that wait at the same time need a commit or two, not a hundred."""
    go, before = hold(notes), notes.commits
    futures = [notes.write(add(number)) for number in range(100)]
    go.set()

    for future in futures:
        future.result()

    assert notes.commits - before <= 3
    assert notes.read(ids).result() == list(range(100))


def test_failing_job_costs_the_others_nothing(notes):
    """Of a group with one mistake all the others are stored, and only its own future fails."""
    notes.write(add(5)).result()
    go = hold(notes)
    futures = [notes.write(add(number)) for number in range(10)]
    go.set()

    outcomes = [future.exception() for future in futures]

    assert [type(outcome) for outcome in outcomes if outcome] == [StorageError]
    assert isinstance(outcomes[5], StorageError)
    assert notes.read(ids).result() == list(range(10))


def test_job_that_raises_leaves_nothing_behind(notes):
    """What a job wrote before it raised is rolled back, and the user's own exception comes through."""

    def job(db):
        add(1)(db)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        notes.write(job).result()

    assert notes.read(ids).result() == []


def test_cancelled_job_is_not_run(notes):
    """A job whose future was cancelled while it waited does not run; the others of its group do."""
    go = hold(notes)
    cancelled, kept = notes.write(add(1)), notes.write(add(2))
    assert cancelled.cancel()
    go.set()
    kept.result()

    assert notes.read(ids).result() == [2]


def test_group_of_cancelled_jobs(notes):
    """When everything that waited was cancelled the writer goes on waiting."""
    go = hold(notes)
    assert notes.write(add(1)).cancel()
    go.set()
    notes.write(add(2)).result()

    assert notes.read(ids).result() == [2]


def test_failing_query_is_translated(notes):
    """A query that the database refuses raises an error of ours, and the next one works."""
    with pytest.raises(StorageError, match="nowhere"):
        notes.read(lambda db: db.execute("SELECT * FROM nowhere")).result()

    assert notes.read(ids).result() == []


def test_closed_database_refuses_work(notes):
    """After closing, nothing is written or read, and closing again does nothing."""
    last = notes.write(add(1))
    notes.close()
    notes.close()

    assert last.done()
    with pytest.raises(ShuttingDownError, match="is closed"):
        notes.write(add(2))
    with pytest.raises(ShuttingDownError, match="is closed"):
        notes.read(ids)


def test_close_finishes_what_waits(notebooks):
    """What was given to the writer before closing is stored."""
    notes = notebooks.open()
    go = hold(notes)
    for number in range(50):
        notes.write(add(number))
    go.set()
    notes.close()

    assert notebooks.open().read(ids).result() == list(range(50))


def test_migration_brings_older_tables_up(notebooks):
    """What layout 1 has left is brought to layout 2 when it is opened, and keeps what it holds."""
    first = notebooks.open()
    first.write(add(1)).result()
    first.close()

    second = notebooks.open(NEWER)

    assert second.read(lambda db: db.execute("SELECT id, tag FROM note").get).result() == (1, None)
    with pytest.raises(NewerFormatError, match=r"layout 2.*up to 1.*upgrade outlast"):
        notebooks.open()


def test_migration_that_fails_changes_nothing(notebooks):
    """A migration is all or nothing, and the database can be opened again as before."""
    notebooks.open().close()

    with pytest.raises(StorageError, match="already exists"):
        notebooks.open(BROKEN)

    again = notebooks.open()
    with pytest.raises(StorageError, match="tag"):
        again.read(lambda db: db.execute("SELECT * FROM tag").get).result()
    again.close()


def test_tables_of_somebody_else_are_not_ours(notebooks):
    """What another program of this house has made is refused by name."""
    notebooks.open(FOREIGN).close()

    with pytest.raises(NotOursError, match="no notebook"):
        notebooks.open()


def test_unknown_durability_is_refused(notebooks):
    """A durability that does not exist is a mistake, found before anything is made."""
    with pytest.raises(ConfigError, match="power, process"):
        notebooks.open(durability="hope")


def test_many_open_for_the_first_time_at_once(notebooks):
    """The tables are made once, whoever comes first."""
    gate, opened = threading.Barrier(4), []

    def begin():
        gate.wait(10)
        opened.append(notebooks.open())

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(opened) == 4
    opened[0].write(add(1)).result()
    assert [database.read(ids).result() for database in opened] == [[1]] * 4


def add_all(db, items):
    """Be a job that stores many notes at once and tells how many came together."""
    for number in items:
        db.execute("INSERT INTO note VALUES (?, ?)", (number, "x"))
    return [len(items)] * len(items)


def test_items_that_wait_are_one_job(notes):
    """Items of the same job that wait one after the other are given to it together, in their order."""
    go = hold(notes)
    first = [notes.write_item(add_all, number) for number in range(5)]
    other = notes.write(lambda db: "other")
    last = [notes.write_item(add_all, number) for number in range(5, 8)]
    go.set()

    assert [future.result() for future in first] == [5] * 5
    assert (other.result(), [future.result() for future in last]) == ("other", [3] * 3)
    assert notes.read(ids).result() == list(range(8))


def test_item_that_fails_costs_the_others_nothing(notes):
    """The others of its call are stored all the same."""
    notes.write(add(3)).result()
    go = hold(notes)
    futures = [notes.write_item(add_all, number) for number in range(5)]
    go.set()

    assert [future.exception() is None for future in futures] == [True, True, True, False, True]
    assert notes.read(ids).result() == list(range(5))


def test_two_writers_take_turns(notebooks, notes):
    """Two openings in a process or in several both get their writes in."""
    other = notebooks.open()
    futures = [(notes if number % 2 else other).write(add(number)) for number in range(100)]
    for future in futures:
        future.result()

    assert notes.read(ids).result() == other.read(ids).result() == list(range(100))


def test_fork_is_refused(notes):
    """A child process may not use its parent's database; closing it there does nothing to the parent."""
    notes.write(add(1)).result()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of any fork with threads
        child = os.fork()
    if child == 0:
        refused = 0
        for use in (notes.write, notes.read):
            try:
                use(ids)
            except ForkedError:
                refused += 1
        notes.close()
        os._exit(0 if refused == 2 else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert notes.read(ids).result() == [1]


def test_lock_has_one_holder_until_it_is_let_go(notebooks, notes):
    """Who has the lock of a name keeps it; another one of that name gets it afterwards, one of another name at once."""
    mine, theirs, another = notes.lock("x"), notebooks.open().lock("x"), notes.lock("y")

    assert (mine.try_acquire(), mine.try_acquire(), mine.held) == (True, True, True)
    assert (theirs.try_acquire(), theirs.held) == (False, False)
    assert another.try_acquire()
    mine.release()
    mine.release()
    assert (mine.held, theirs.try_acquire()) == (False, True)
    theirs.release()
    another.release()


HOLD = """
import sys
sys.path.append(sys.argv[2])
from test_databases import NOTES
from outlast.storage import PostgresDatabase, SqliteDatabase, is_address
notes = (PostgresDatabase if is_address(sys.argv[1]) else SqliteDatabase)(sys.argv[1], NOTES)
lock = notes.lock("x")
assert lock.try_acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_lock_is_freed_by_the_death_of_its_holder(place, notes):
    """A process that is killed holds nothing any more."""
    program = [sys.executable, "-c", HOLD, str(place), HERE]
    process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    lock = notes.lock("x")

    assert process.stdout.readline() == "held\n"
    held_by_it = not lock.try_acquire()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    end = time.monotonic() + 10
    while not lock.try_acquire():
        assert time.monotonic() < end
        time.sleep(0.01)

    assert held_by_it
    lock.release()


CRASH = """
import itertools, sys
sys.path.append(sys.argv[2])
from test_databases import NOTES, add
from outlast.storage import PostgresDatabase, SqliteDatabase, is_address
notes = (PostgresDatabase if is_address(sys.argv[1]) else SqliteDatabase)(sys.argv[1], NOTES)
for number in itertools.count():
    notes.write(add(number)).result()
    print(number, flush=True)
"""


@pytest.mark.parametrize("_round", range(3))
def test_acknowledged_writes_survive_kill_9(place, notebooks, _round):
    """Whatever was acknowledged before the process was killed is there for the next one."""
    program = [sys.executable, "-c", CRASH, str(place), HERE]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    lines = [process.stdout.readline() for _ in range(10 * (_round + 1))]
    process.kill()
    lines += process.stdout.readlines()
    process.stdout.close()
    process.wait()

    acknowledged = {int(line) for line in lines if line.endswith("\n")}
    assert acknowledged <= set(notebooks.open().read(ids).result())


def test_a_list_of_items_is_told_at_once(notes):
    """It is told of each item what became of it; the one that fails costs the others nothing."""
    notes.write(add(3)).result()
    go, before, told = hold(notes), notes.commits, []
    listed, lone = notes.write_items(add_all, [0, 1, 2, 3, 4], told.append), notes.write_item(add_all, 5)
    undone = (listed.done(), listed.wait(0.01))
    go.set()
    listed.wait(30)

    assert (undone, listed.done()) == ((False, None), True)
    (outcomes,) = told
    assert [isinstance(outcome, Failed) for outcome in outcomes] == [False, False, False, True, False]
    assert isinstance(outcomes[3].error, StorageError)
    assert (lone.exception(), notes.read(ids).result()) == (None, list(range(6)))
    assert notes.commits - before < 6


def test_who_is_told_of_a_list_and_raises_harms_nobody(notes, caplog):
    """The mistake is logged, the list is done, and the writer goes on."""

    def raise_at(outcomes):
        raise RuntimeError("a mistake of whoever is told")

    listed = notes.write_items(add_all, [0, 1], raise_at)
    listed.wait(30)

    assert (listed.done(), notes.write(add(2)).result(), notes.read(ids).result()) == (True, None, [0, 1, 2])
    assert "a mistake of whoever is told" in caplog.text
