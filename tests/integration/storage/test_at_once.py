"""A commit that need not wait for anybody is made by whoever asks for it, and nothing is done when it would have to."""

import fcntl
import itertools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from outlast.errors import ShuttingDownError, StorageError
from outlast.storage import FileFormat, SqliteDatabase, _sqlite
from stepping import Stepping

LAYOUT = "CREATE TABLE note (id INTEGER PRIMARY KEY, text)"
NOTES = FileFormat(name="notebook", application_id=0x6E6F7465, version=1, migrations=(LAYOUT,))


@pytest.fixture
def notes(tmp_path):
    """An open notebook, in which something was written once."""
    database = SqliteDatabase(tmp_path / "notes.db", NOTES)
    yield database
    database.close()


def add(db, ids):
    """Be a job that stores notes and tells which thread did it."""
    for number in ids:
        db.execute("INSERT INTO note VALUES (?, 'x')", (number,))
    return [threading.current_thread().name] * len(ids)


def stored(database):
    """Return the ids of all notes, as another connection sees them."""
    with closing(apsw.Connection(str(database.path))) as other:
        return [row[0] for row in other.execute("SELECT id FROM note ORDER BY id")]


def hold(database):
    """Keep the writer busy until the returned event is set."""
    begun, go = threading.Event(), threading.Event()
    done = database.write(lambda db: begun.set() or go.wait(30))
    assert begun.wait(30)
    return go, done


def test_who_asks_makes_the_commit(notes):
    """The caller's own thread does it, it is durable then, and it counts as a commit."""
    before = notes.commits

    assert notes.write_at_once(add, [1, 2]) == [threading.current_thread().name] * 2
    assert (stored(notes), notes.commits - before) == ([1, 2], 1)


def test_any_thread_may(notes):
    """One thread after the other uses the one connection, and the writer's own thread as well."""
    with ThreadPoolExecutor(3) as threads:
        for number in range(30):
            assert threads.submit(notes.write_at_once, add, [number]).result() is not None
            notes.write_item(add, 100 + number).result()

    assert stored(notes) == [*range(30), *range(100, 130)]


def test_not_while_the_writer_writes(notes):
    """While the writer has the connection nothing is done, at once and without waiting for it."""
    go, done = hold(notes)

    assert notes.write_at_once(add, [1]) is None
    go.set()
    done.result()
    assert stored(notes) == []
    assert notes.write_at_once(add, [1]) is not None


def test_not_past_those_who_wait(notes):
    """What was handed over before is written before."""
    go, _ = hold(notes)
    waiting = [notes.write_item(add, number) for number in (1, 2)]
    assert notes.write_at_once(add, [3]) is None
    go.set()
    for one in waiting:
        one.result()

    assert stored(notes) == [1, 2]


def test_not_while_somebody_is_about_to_be_served(notes):
    """Nor is anybody passed whom the writer has not come to yet."""
    notes._writer._entries.append(None)  # and no bell is rung, so the writer sleeps on
    assert notes.write_at_once(add, [1]) is None
    notes._writer._entries.clear()
    assert notes.write_at_once(add, [1]) is not None


def test_nobody_is_told_while_the_connection_is_held(notes):
    """Whoever is told by the writer's thread may write at once."""
    answers = []
    batch = notes.write_items(add, [1], lambda _: answers.append(notes.write_at_once(add, [2])))
    batch.wait(30)

    assert None not in answers
    assert stored(notes) == [1, 2]


def test_not_while_others_share_commits(notes):
    """Where several came at once nobody goes alone, until one has come alone to the writer."""
    go, _ = hold(notes)
    for one in [notes.write_item(add, number) for number in (1, 2)]:
        go.set()
        one.result()

    assert notes.write_at_once(add, [3]) is None
    notes.write_item(add, 4).result()
    notes.write_item(add, 5).result()
    assert notes.write_at_once(add, [6]) is not None


def test_not_while_another_program_writes(notes):
    """A lock that somebody else holds is not waited for; the writer's thread waits for it as ever."""
    other = apsw.Connection(str(notes.path))
    other.execute("BEGIN IMMEDIATE")

    assert notes.write_at_once(add, [1]) is None
    waiting = notes.write_item(add, 1)
    other.execute("COMMIT")
    other.close()
    waiting.result()
    assert stored(notes) == [1]


def test_only_the_writer_is_patient(notes):
    """Whoever asks goes on at once when the lock is taken; the writer has ten seconds, also after somebody asked."""

    def patience(db, items):
        return [db.pragma("busy_timeout") for _ in items]

    assert notes.write_at_once(patience, [1]) == [0]
    assert notes.write_item(patience, 1).result() == 10_000


def test_not_while_little_space_is_left(notes):
    """While the log is kept short for that, it is the writer who does so."""
    notes._space.low = True
    assert notes.write_at_once(add, [1]) is None
    notes._space.low = False
    assert notes.write_at_once(add, [1]) is not None


def test_not_while_another_process_has_its_turn(notes):
    """Nor is the turn waited for that processes take at one file."""
    with Path(f"{notes.path}-gate").open("rb") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        assert notes.write_at_once(add, [1]) is None
    assert notes.write_at_once(add, [1]) is not None


def test_what_fails_is_undone(notes):
    """A job that fails leaves nothing behind; the writer finds out whose fault it was."""
    notes.write_at_once(add, [1])

    assert notes.write_at_once(add, [2, 1]) is None
    assert stored(notes) == [1]
    first, second = notes.write_item(add, 2), notes.write_item(add, 1)
    first.result()
    with pytest.raises(Exception, match="UNIQUE"):
        second.result()
    assert stored(notes) == [1, 2]


def pages_of(path):
    """Return how many pages the log has that are not in the file yet."""
    with closing(apsw.Connection(str(path))) as other:
        list(other.execute("SELECT count(*) FROM note"))
        logged, done = other.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        return logged - done


def test_a_long_log_is_the_writers(notes):
    """Whoever asks never writes the log back; once it is long the writer does, and then it is short again."""
    numbers = itertools.count()
    while notes.write_at_once(add, [next(numbers)]) is not None:
        assert next(numbers) < 10_000
    assert pages_of(notes.path) >= 1000

    notes.write_item(add, next(numbers)).result()
    notes.write(lambda db: None).result()  # the log was written back behind the former
    assert pages_of(notes.path) == 0
    notes.write_item(add, next(numbers)).result()
    assert notes.write_at_once(add, [next(numbers)]) is not None


def test_closed_is_closed(notes):
    """What runs when it is closed comes to its end, and afterwards nothing is done."""
    begun, go = threading.Event(), threading.Event()

    def slowly(db, ids):
        begun.set()
        assert go.wait(30)
        return add(db, ids)

    with ThreadPoolExecutor(2) as threads:
        asked = threads.submit(notes.write_at_once, slowly, [1])
        assert begun.wait(30)
        closed = threads.submit(notes.close)
        go.set()
        assert len(asked.result()) == 1
        closed.result()

    assert stored(notes) == [1]
    assert notes.write_at_once(add, [2]) is None
    with pytest.raises(ShuttingDownError):
        notes.write_item(add, 2)


def test_a_disk_is_quick_until_it_is_not(notes, monkeypatch):
    """It takes many quick flushes in a row to be taken for quick, and a single slow one to lose that."""
    clock = Stepping()
    monkeypatch.setattr(_sqlite, "SYSTEM_CLOCK", clock)
    numbers = itertools.count()

    def found(count, seconds):
        clock.step = seconds
        quick = []
        for _ in range(count):
            notes.write_at_once(add, [next(numbers)])
            quick.append(notes.quick)
        return quick

    for _ in range(80):
        notes.write(lambda db: None).result()
    assert notes.quick is False  # what changes nothing was not flushed
    assert found(1, 0.005) == [False]
    assert found(80, 0.0001) == [False] * 63 + [True] * 17
    assert found(1, 0.005) == [False]
    assert found(64, 0.0001) == [False] * 63 + [True]


def test_a_handler_of_a_signal_may_not_wait_for_the_write_that_it_interrupts(notes):
    """Who asks for a write in the middle of another one of its thread is told so, instead of waiting for ever."""

    def interrupted_by_another(db, ids):
        with pytest.raises(StorageError, match="interrupts"):
            notes.write_item(add, 7)
        return add(db, ids)

    assert notes.write_at_once(interrupted_by_another, [1]) is not None
    notes.write_item(add, 2).result(30)
    assert stored(notes) == [1, 2]


class AlarmError(Exception):
    """Be what the handler of a signal raises, as the time limits of task queues do."""


class Interruption:
    """Raise at one of the places where the handler of a signal may be run: in front of a function, behind one of C.

    Args:
        place: Where, counted from the beginning.
        kind: What.
    """

    def __init__(self, place, kind):
        self.left, self.kind = place, kind

    def __call__(self, _frame, event, _argument):
        if event in ("call", "c_return"):
            self.left -= 1
            if self.left < 0:
                sys.setprofile(None)
                raise self.kind


def is_free(path):
    """Tell whether another process could have its turn at a file."""
    with Path(f"{path}-gate").open("rb") as gate:
        try:
            fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def append(db, texts):
    """Be a job that stores texts, which may be there already."""
    for text in texts:
        db.execute("INSERT INTO note (text) VALUES (?)", (text,))
    return texts


def interrupted(notes, place, kind, items):
    """Ask for a write that is interrupted somewhere; tell whether it was, and what was answered."""
    interruption, answer = Interruption(place, kind), "raised"
    try:
        sys.setprofile(interruption)
        answer = notes.write_at_once(append, items)
    except kind:
        pass
    finally:
        sys.setprofile(None)
    return interruption.left < 0, answer


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, AlarmError])
def test_whoever_is_interrupted_leaves_nothing_behind(notes, kind, count):
    """Wherever a signal comes all is stored or nothing, nothing where that was said, and the next may write."""
    for place in itertools.count():
        items = [f"{place}-{number}" for number in range(count)]
        hit, answer = interrupted(notes, place, kind, items)
        assert is_free(notes.path)
        notes.write_item(append, f"after {place}").result(30)
        with closing(apsw.Connection(str(notes.path))) as other:
            found = [
                row[0] for row in other.execute("SELECT text FROM note WHERE text LIKE ? ORDER BY id", (f"{place}-%",))
            ]

        assert found in ([[], items] if answer == "raised" else [answer or []])
        if count == 1 or kind is KeyboardInterrupt:
            assert (answer == "raised") == hit
        if not hit:
            assert place > 10
            return


def test_what_is_durable_is_not_done_again(notes):
    """What raises behind a commit is told to who asked; neither that thread nor the writer stores it a second time."""
    notes._main.set_wal_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        notes.write_at_once(append, ["one", "two"])
    go, _ = hold(notes)
    waiting = [notes.write_item(append, text) for text in ("three", "four")]
    go.set()
    for one in waiting:
        with pytest.raises(ZeroDivisionError):
            one.result(30)

    with closing(apsw.Connection(str(notes.path))) as other:
        assert [row[0] for row in other.execute("SELECT text FROM note ORDER BY id")] == ["one", "two", "three", "four"]
