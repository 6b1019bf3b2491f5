"""A salvage beside another one, cut off while files change their names, and beside writes that come late."""

import threading

import pytest

from damaged import PAGE, PLACES, make, root_of
from delivering import put
from outlast.clock import SystemClock
from outlast.errors import ConfigError, NotOursError, StorageBusyError
from outlast.events import EventBus
from outlast.outbox import Outbox, SyncOutbox, salvage
from outlast.storage import _quarantine


@pytest.fixture
def path(tmp_path):
    """Return an outbox that is to be salvaged."""
    make(tmp_path / "app.db")
    return tmp_path / "app.db"


def places(path):
    """Return the places that whoever opens the outbox sees."""
    with SyncOutbox.open(path, durability="process", bus=EventBus()) as box:
        return {status.seq for status in box.list(limit=10_000)}


def test_of_several_at_once_one_makes_the_file(path, tmp_path):
    """Each has a file of its own to write; who comes second is told that there is one, and it is whole."""
    start, said = threading.Barrier(3), []

    def work():
        start.wait()
        try:
            said.append(salvage(path, tmp_path / "new.db").new)
        except ConfigError as error:
            said.append(error.path)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(said) == sorted([str(tmp_path / "new.db"), "new", "new"])
    assert places(tmp_path / "new.db") == set(PLACES)


def test_files_of_others_are_left_alone(path, tmp_path):
    """What only looks like a leftover is not deleted, and nothing is left over."""
    other = tmp_path / "new.db.part"
    other.write_text("mine")

    salvage(path, tmp_path / "new.db")

    assert other.read_text() == "mine"
    assert {file.name for file in tmp_path.glob("new*")} == {"new.db", "new.db.part"}


@pytest.mark.parametrize("step", range(1, 8))
def test_a_crash_leaves_no_empty_place(path, monkeypatch, step):
    """Whoever opened an empty place would begin a new queue there; it has the old file, the new one, or a word."""
    left, sync = step, _quarantine._sync

    class CrashedError(BaseException):
        pass

    def crash(file):
        nonlocal left
        left -= 1
        if not left:
            raise CrashedError
        sync(file)

    monkeypatch.setattr(_quarantine, "_sync", crash)
    try:
        salvage(path, path, move_away=True)
    except CrashedError:
        monkeypatch.setattr(_quarantine, "_sync", sync)
    else:
        assert step == 7  # there are no more

    assert path.exists()
    try:
        found = places(path)
    except NotOursError:
        (old,) = path.parent.glob("app.db.damaged-*Z")
        assert str(old) in path.read_text()
        found = places(old)
    assert found == set(PLACES)


class LateWriter(SystemClock):
    """Queue something when it is asked for the time, which is when the old file has been read."""

    def __init__(self, path):
        super().__init__()
        self._path = path

    def wall(self):
        """Do so."""
        with SyncOutbox.open(self._path, bus=EventBus()) as box:
            box.enqueue(put("late"))
        return super().wall()


def test_what_was_queued_meanwhile_is_not_left_behind(path, tmp_path):
    """A program that opened the old file, wrote and ended while it was read is noticed; nothing is changed."""
    with pytest.raises(StorageBusyError, match="written to while it was read"):
        salvage(path, path, move_away=True, clock=LateWriter(path))

    assert places(path) == {*PLACES, len(PLACES) + 1}
    assert not list(tmp_path.glob("*.part"))


async def test_tables_of_others_are_not_moved_away(tmp_path):
    """In the file that took its place they would be missing."""
    path = tmp_path / "own.db"
    async with await Outbox.open(path, inside=True, bus=EventBus()) as box:
        await box.put("note", "a", {})

    with pytest.raises(ConfigError, match="tables of others"):
        salvage(path, path, move_away=True)


def test_lost_receipts_are_said(path, tmp_path):
    """Nothing that waits is lost with them, and yet not everything could be read."""
    content, page = bytearray(path.read_bytes()), root_of(path, "receipt")
    content[(page - 1) * PAGE : page * PAGE] = bytes(PAGE)
    path.write_bytes(content)

    report = salvage(path, tmp_path / "new.db")

    assert (report.receipts_lost, report.whole, report.doubtful) == (True, False, ())


def test_a_file_that_is_open_here_is_refused(path, tmp_path):
    """The own process is not forgotten; its outbox keeps its file, its locks, and what it queues."""
    with SyncOutbox.open(path, bus=EventBus()) as box:
        with pytest.raises(StorageBusyError, match="open in this process; close it first"):
            salvage(path, tmp_path / "new.db")
        box.enqueue(put("later"))

    assert not (tmp_path / "new.db").exists()
    assert salvage(path, tmp_path / "new.db").whole
