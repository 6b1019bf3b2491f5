"""A damaged log is not left out silently, as SQLite does it, and every whole commit of it can be saved."""

import logging
import shutil
from contextlib import closing

import apsw
import pytest

from damaged import read_one_by_one
from delivering import put
from outlast.errors import CorruptError
from outlast.events import EventBus
from outlast.outbox import Inspection, SyncOutbox, examine, salvage

FRAME = 24 + 4096
COMMITS = 6


@pytest.fixture
def torn(tmp_path):
    """Leave a file as a process does that was killed: all that it queued lies in the log only."""
    with SyncOutbox.open(tmp_path / "live.db", bus=EventBus()) as box:
        for number in range(COMMITS):
            box.enqueue(put(f"n{number}", b'{"n":%d}' % number))
        for end in ("", "-wal"):
            shutil.copy(f"{box.core.name}{end}", f"{tmp_path / 'app.db'}{end}")
    return tmp_path / "app.db"


def log_of(path):
    """Return where the log is and what is in it."""
    log = path.with_name(f"{path.name}-wal")
    return log, bytearray(log.read_bytes())


def commits(content):
    """Return the numbers of the frames with which a commit ends."""
    frames = range((len(content) - 32) // FRAME)
    return [number for number in frames if content[32 + number * FRAME + 4 : 32 + number * FRAME + 8] != bytes(4)]


def hurt(path, number, at=1000):
    """Change a byte of a frame."""
    log, content = log_of(path)
    content[32 + number * FRAME + at] ^= 0x40
    log.write_bytes(content)


def entities(path):
    """Return what waits in a file, by place."""
    return {seq: row["entity"] for seq, row in read_one_by_one(path).items()}


@pytest.mark.parametrize("at", [1000, 3, 9, 20], ids=["page", "number", "salt", "checksum"])
def test_a_damaged_frame_hides_what_follows(torn, tmp_path, at):
    """The file is refused and stays as it is; the doctor counts what would be missing; all of it is saved."""
    hurt(torn, commits(log_of(torn)[1])[-COMMITS + 1], at)
    before = {path.name: path.read_bytes() for path in (torn, log_of(torn)[0])}

    with pytest.raises(CorruptError, match=r"commits in it would be missing.*--salvage"):
        SyncOutbox.open(torn, bus=EventBus())

    with pytest.raises(CorruptError), Inspection.open(torn):
        pass
    assert {name: torn.with_name(name).read_bytes() for name in before} == before
    assert any(finding.code == "log" for finding in examine(torn))
    report = salvage(torn, tmp_path / "new.db")
    assert report.unseen_commits
    assert entities(tmp_path / "new.db") == {number + 1: f"n{number}" for number in range(COMMITS)}


def test_a_damaged_header_hides_all(torn, tmp_path):
    """SQLite would take the whole log for none."""
    log, content = log_of(torn)
    content[16] ^= 1
    log.write_bytes(content)

    with pytest.raises(CorruptError, match="commits in it would be missing"):
        SyncOutbox.open(torn, durability="process", bus=EventBus())
    assert log.read_bytes() == content

    salvage(torn, tmp_path / "new.db")
    assert len(entities(tmp_path / "new.db")) == COMMITS


@pytest.mark.parametrize(
    ("begin", "end"), [(0, 512), (0, 4096), (32, 56)], ids=["sector", "page", "first frame's header"]
)
def test_a_log_without_its_beginning_is_not_taken_for_none(torn, tmp_path, begin, end):
    """A sector of zeros takes the header and that of the first frame away; what lies behind is still known as ours."""
    log, content = log_of(torn)
    content[begin:end] = bytes(end - begin)
    log.write_bytes(content)

    with pytest.raises(CorruptError, match="commits in it would be missing"):
        SyncOutbox.open(torn, bus=EventBus())
    assert any(finding.code == "log" for finding in examine(torn))
    salvage(torn, tmp_path / "new.db")
    assert len(entities(tmp_path / "new.db")) == COMMITS


def test_the_last_commit_may_be_half_written(torn, caplog):
    """That is what a power cut leaves, before anything was acknowledged; it is said, and the rest is there."""
    hurt(torn, commits(log_of(torn)[1])[-1])

    with caplog.at_level(logging.WARNING, "outlast.storage"), SyncOutbox.open(torn, bus=EventBus()) as box:
        waiting = [status.entity for status in box.list()]

    assert waiting == [f"n{number}" for number in range(COMMITS - 1)]
    assert [record.message for record in caplog.records if "half written" in record.message]


def test_without_flushing_more_may_be_half_written(torn, caplog):
    """With `durability="process"` a power cut may take several commits; that is the bargain, and is said."""
    hurt(torn, commits(log_of(torn)[1])[-3])

    with caplog.at_level(logging.WARNING, "outlast.storage"):
        SyncOutbox.open(torn, durability="process", bus=EventBus()).close()

    assert "ends with 3 commit(s)" in caplog.text


@pytest.mark.parametrize("keep", [0.0, 0.4, 0.99])
def test_a_log_that_was_cut_off_is_no_mystery(torn, keep):
    """What is not there cannot be missed by anybody; what is there is read."""
    log, content = log_of(torn)
    log.write_bytes(content[: 32 + int((len(content) - 32) * keep)])

    with SyncOutbox.open(torn, bus=EventBus()) as box:
        assert len(box.list()) <= COMMITS


def test_a_whole_log_is_read(torn, caplog):
    """A killed process leaves nothing to complain of."""
    with SyncOutbox.open(torn, bus=EventBus()) as box:
        assert len(box.list()) == COMMITS
    with Inspection.open(torn) as seen:
        assert seen.counts().ready == COMMITS
    assert caplog.records == []


def go_on(torn, copy, count, body):
    """Go on from a copy with one commit and return what the log is then."""
    for end in ("", "-wal"):
        shutil.copy(f"{torn}{end}", f"{copy}{end}")
    with SyncOutbox.open(copy, bus=EventBus()) as box:
        box.enqueue(*[put(f"{body}{number}", body.encode() * 300) for number in range(count)])
        return log_of(copy)[1]


def test_what_killed_processes_never_finished_hides_nothing(torn, tmp_path, caplog):
    """Each was killed before its commit counted, and who came next wrote over its beginning only."""
    logs = [go_on(torn, tmp_path / f"{body}.db", count, body) for body, count in (("a", 90), ("b", 60), ("c", 1))]
    log = bytearray()
    for longer in logs:
        log[: len(longer)] = longer
    log_of(torn)[0].write_bytes(log)
    there = {number + 1: f"n{number}" for number in range(COMMITS)} | {COMMITS + 1: "c0"}

    report = salvage(torn, tmp_path / "new.db")
    assert (report.unseen_commits, entities(tmp_path / "new.db")) == (0, there)

    with SyncOutbox.open(torn, bus=EventBus()) as box:
        assert {status.seq: status.entity for status in box.list()} == there
    assert "2 commit(s)" in caplog.text


def test_a_damaged_checksum_is_damage_in_one_place(torn):
    """The frame behind it goes on from what it was, so that both are one gap, and acknowledged commits follow."""
    hurt(torn, commits(log_of(torn)[1])[-2], at=20)

    with pytest.raises(CorruptError, match="2 commits in it would be missing"):
        SyncOutbox.open(torn, bus=EventBus())


def test_frames_of_an_older_log_are_not_ours(tmp_path):
    """A power cut may leave them in the middle of a commit that was never acknowledged; they hide nothing."""
    with SyncOutbox.open(tmp_path / "live.db", bus=EventBus()) as box:
        log = tmp_path / "live.db-wal"
        apsw_checkpoint(tmp_path / "live.db")
        for number in range(30):
            box.enqueue(put(f"n{number}"))
        older = log.read_bytes()
        apsw_checkpoint(tmp_path / "live.db")
        box.enqueue(*[put(f"m{number}", b"x" * 300) for number in range(60)])
        newer = bytearray(log.read_bytes())
        shutil.copy(tmp_path / "live.db", tmp_path / "app.db")
    assert older[16:24] != newer[16:24]
    for number in (1, 2, 3):
        begin = 32 + number * FRAME
        newer[begin : begin + FRAME] = older[begin : begin + FRAME]
    (tmp_path / "app.db-wal").write_bytes(newer)

    with SyncOutbox.open(tmp_path / "app.db", bus=EventBus()) as box:
        assert box.counts().ready == 30


def apsw_checkpoint(path):
    """Bring the log into the file, so that the next commit begins a new log."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("SELECT count(*) FROM op").fetchall()
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
