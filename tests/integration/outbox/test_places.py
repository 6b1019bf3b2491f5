"""Where the file of an outbox lies: behind a link, under a relative name, gone while it is open, gone but its log."""

import shutil

import pytest

from delivering import put
from outlast.errors import CorruptError, LeaseHeldError, StorageError
from outlast.events import EventBus
from outlast.outbox import Inspection, ProcessingLease, SyncOutbox, examine, salvage


def opened(path):
    """Open an outbox."""
    return SyncOutbox.open(path, durability="process", bus=EventBus())


@pytest.fixture
def killed(tmp_path):
    """Return an outbox whose process has died, with all of its writes in the log."""
    left = tmp_path / "left"
    left.mkdir()
    with opened(tmp_path / "app.db") as box:
        box.enqueue(*[put(f"n{number}") for number in range(20)])
        for name in ("app.db", "app.db-wal"):
            shutil.copy(tmp_path / name, left / name)
    return left / "app.db"


@pytest.fixture
def link(tmp_path, killed):
    """Return a link to it in another folder."""
    (tmp_path / "links").mkdir()
    found = tmp_path / "links" / "app.db"
    found.symlink_to(killed)
    return found


def test_a_link_leads_to_the_log_too(link, tmp_path):
    """The log lies beside the file and not beside the link; nothing of it is missed, looking or saving."""
    with Inspection.open(link) as seen:
        looked_at = seen.counts().open
    report = salvage(link, tmp_path / "new.db")

    assert (looked_at, report.read["op"]) == (20, 20)


def test_a_salvage_through_a_link_takes_the_place_of_the_file(link, killed):
    """The link goes on leading to the outbox, and what was damaged lies beside the file."""
    report = salvage(link, link, move_away=True)

    assert link.is_symlink()
    assert report.new == str(killed)
    assert all(name.startswith(f"{killed}.damaged-") for name in report.quarantined)
    with opened(link) as box:
        assert box.counts().open == 20


def test_one_lease_behind_all_links(link, killed):
    """Who delivers holds a lock beside the file, so that nobody takes over from it through a link."""
    with opened(killed) as box, opened(link) as other:
        lease = ProcessingLease(box.core.database)
        lease.acquire()

        with pytest.raises(LeaseHeldError):
            ProcessingLease(other.core.database).acquire()
        lease.release()


def test_a_relative_name_is_that_of_the_folder_in_which_it_was_opened(tmp_path, monkeypatch):
    """A process that goes into another folder, as a daemon does, keeps its outbox and makes none there."""
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(tmp_path)
    with opened("app.db") as box:
        monkeypatch.chdir(there)
        box.core.database.moved()
        box.enqueue(put("a"))

        assert (box.counts().open, list(there.iterdir())) == (1, [])


@pytest.mark.parametrize("what", ["gone", "empty"])
def test_a_log_without_its_file_is_not_thrown_away(killed, tmp_path, what):
    """SQLite takes it for a leftover; here whoever comes is told, and a salvage finds all that it holds."""
    killed.unlink() if what == "gone" else killed.write_bytes(b"")
    log = (killed.parent / "app.db-wal").read_bytes()

    with pytest.raises(CorruptError, match=f"is {what}, but its log app.db-wal is there"):
        opened(killed)
    assert [finding.code for finding in examine(killed)] == ["unreadable"]
    assert (killed.parent / "app.db-wal").read_bytes() == log
    assert salvage(killed, tmp_path / "new.db").read["op"] == 20


@pytest.mark.parametrize("what", ["deleted", "replaced"])
def test_nothing_is_acknowledged_into_a_file_that_is_gone(tmp_path, what):
    """What is written into a deleted file is lost when the process ends, so a write into it is refused."""
    path = tmp_path / "app.db"
    with opened(path) as box:
        box.enqueue(put("a"))
        path.rename(tmp_path / "kept.db")
        if what == "replaced":
            shutil.copy(tmp_path / "kept.db", path)

        with pytest.raises(StorageError, match="moved, deleted or replaced"):
            box.enqueue(put("b"))
        (tmp_path / "kept.db").rename(path)

        box.enqueue(put("c"))  # it was put back
        assert box.counts().open == 2
