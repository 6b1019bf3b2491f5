"""A new epoch after a backup was restored: no key is used a second time, and what may have been sent is looked for."""

import shutil

import pytest

from delivering import SOON, deliver, die_with_claims, opened
from outlast.errors import LeaseHeldError, StorageError
from outlast.outbox import Applied, Coalescing, Found, Identity, ProcessingLease, Rejected, Terms, begin_epoch
from outlast.sync_engine import CallableTransport, Runner
from stores import SqlitePlace


def test_old_places_keep_their_keys_and_new_ones_have_others(face, place):
    """What lies in the backup may have been sent since; what is queued from now on never was."""
    box = face.open(place)
    before = face.do(box.put("note", "a", {})).key
    face.close(box)

    identity = begin_epoch(place)

    box = face.open(place)
    after = face.do(box.put("note", "b", {})).key
    (old, new) = box.core.pending("note").result(10)
    assert (old.key, new.key, box.ticket(1).key) == (before, after, before)
    assert after.startswith(f"{identity}:2:")
    assert identity.epoch.startswith("2-")


def test_places_that_left_no_trace_count_too(face, place):
    """The last place that was given is that of the store's own count, not of what is still there."""
    box = face.open(place)
    for _ in range(3):
        face.do(box.put("note", "a", {}))
    face.close(box)
    place.execute("DELETE FROM $op")

    assert begin_epoch(place).epochs[-1][0] == 3


async def test_what_was_sent_before_is_read_back(place):
    """A sealed write keeps its key and its bytes; the server is asked for it before it is sent again."""
    log = []

    async def send(op):
        log.append(("send", op.key))
        return Applied()

    async def read_back(op):
        log.append(("read", op.key))
        return Found(equal=op.entity == "a")

    async with opened(place) as box:
        tickets = [await box.put("note", entity, {}) for entity in ("a", "b")]
        lease = ProcessingLease(box.core.database)
        lease.acquire()
        transport = CallableTransport(send)
        await box.core.result(box.core.claim(lease.fence, [1, 2], Terms(transport.seal)))
        lease.release()
    die_with_claims(place)
    begin_epoch(place)
    async with opened(place) as box:
        transport = CallableTransport(send, read_back=read_back)
        async with Runner(box, transport, policy=SOON) as runner:
            await runner.run_until_idle()

    keys = [ticket.key for ticket in tickets]
    assert sorted(log) == sorted([("read", keys[0]), ("read", keys[1]), ("send", keys[1])])


def remembering(seen, answer):
    """Return a server that remembers the body of each key."""

    async def send(op):
        seen.setdefault(op.key, set()).add(op.body)
        return answer

    return send


async def test_nothing_is_folded_into_what_may_have_been_sent(place):
    """In the backup it was never sent, but since then it may have been; its key stands for the body that it had."""
    seen, options = {}, {"coalescing": Coalescing()}
    async with opened(place, **options) as box:
        await box.put("note", "a", {"v": 1})
    begin_epoch(place)
    async with opened(place, **options) as box:
        await box.put("note", "a", {"v": 2})
        await deliver(box, remembering(seen, Applied()))

    assert list(seen.values()) == [{b'{"v":1}'}, {b'{"v":2}'}]


async def test_another_body_has_a_key_that_nobody_has_seen(tmp_path):
    """After the backup was made it may have been replayed already, otherwise; that key stands for another request."""
    seen, file, backup = {}, tmp_path / "app.db", tmp_path / "backup.db"
    async with opened(file) as box:
        await box.put("note", "a", {"v": 1})
        await deliver(box, remembering(seen, Rejected("422")))
    shutil.copy(file, backup)
    for number in (2, 3, 4):
        async with opened(file) as box:
            await box.replay(1, {"v": number})
            await deliver(box, remembering(seen, Applied()))
        shutil.copy(backup, file)
        begin_epoch(file)

    assert [*seen.values()] == [{b'{"v":%d}' % number} for number in (1, 2, 3, 4)]


def test_the_same_backup_twice_is_two_epochs(tmp_path, face):
    """Whoever restores a backup a second time gives no key of the first time again."""
    box = face.open(tmp_path / "app.db")
    face.do(box.put("note", "a", {}))
    face.close(box)
    shutil.copy(tmp_path / "app.db", tmp_path / "again.db")

    first, second = begin_epoch(tmp_path / "app.db"), begin_epoch(tmp_path / "again.db")

    assert first.epoch != second.epoch


def test_a_process_that_delivers_is_in_the_way(face, place):
    """It knows the old epoch only, so it must end first."""
    box = face.open(place)
    lease = ProcessingLease(box.core.database)
    lease.acquire()

    with pytest.raises(LeaseHeldError):
        begin_epoch(place)
    lease.release()


def test_where_there_is_no_outbox_none_is_made(tmp_path):
    """A wrong name is told, and no file is made."""
    with pytest.raises(StorageError, match="no such file"):
        begin_epoch(tmp_path / "none.db")

    assert list(tmp_path.iterdir()) == []


def test_tables_inside_of_a_database_of_ones_own_are_found(face, tmp_path):
    """The prefix of the tables is found out."""
    place = SqlitePlace(tmp_path / "own.db", inside=True)
    face.close(face.open(place, inside=True))

    assert begin_epoch(place).epoch.startswith("2-")


def test_an_identity_names_each_epoch():
    """Three epochs give three beginnings of keys."""
    identity = Identity("s").after(4, "aa").after(9, "bb")

    assert [identity.key(seq, 0) for seq in (4, 5, 9, 10)] == ["s.1:4:0", "s.2-aa:5:0", "s.2-aa:9:0", "s.3-bb:10:0"]
    assert str(identity) == "s.3-bb"


def test_each_epoch_has_generations_of_its_own():
    """What changes once more after another backup was restored is behind all that the epochs before may have used."""
    first = Identity("s").after(4, "aa")
    second, other = first.after(4, "bb"), first.after(4, "cc")
    changed = first.next_generation(4, 0)

    assert (first.next_generation(5, 0), first.next_generation(4, changed)) == (1, changed + 1)
    assert second.next_generation(4, changed) > changed + 1
    assert second.next_generation(4, changed) != other.next_generation(4, changed)
    assert second.next_generation(4, changed) < 2**53  # so that every reader of JSON has the same number
