import asyncio
import math
import threading
from concurrent.futures import Future

import pytest

from cache_faces import Script
from outlast.cache import Cache, Loaded, Memory, Source, SqliteTier, _envelope
from outlast.errors import CorruptError, NotOursError, SchemaError, StorageFullError
from outlast.events import LoadFailed
from outlast.registry import Registry


@pytest.fixture
def path(tmp_path):
    """Where the file is."""
    return tmp_path / "cache.db"


def reopen(face, cache, path, **options):
    """Close a cache and make another on the same file, as a new process would."""
    face.close(cache)
    face.registry = Registry()
    return face.make(disk=SqliteTier(path), **options)


def hold_writer(tier):
    """Keep the writer thread busy until the returned event is set."""
    go = threading.Event()
    tier._database.write(lambda db: go.wait(10))
    return go


def never(key):
    """Be a loader that must not be asked."""
    raise AssertionError(key)


def failed(error):
    """Return a future that failed."""
    future = Future()
    future.set_exception(error)
    return future


def test_value_outlives_the_process(face, path):
    """A reopened cache answers from the file, with the value's true age and version."""
    cache = face.make(disk=SqliteTier(path))
    face.read(cache, "k", Script(Loaded({"id": 1}, etag='"1"')))

    face.clock.advance(20.0)
    cache = reopen(face, cache, path)
    first, second = face.read(cache, "k", never), face.read(cache, "k", never)

    assert (first.value, first.source, first.age, first.etag) == ({"id": 1}, Source.DISK, 20.0, '"1"')
    assert (second.source, second.age) == (Source.MEMORY, 20.0)


def test_stale_value_from_the_file_stands_in(face, path):
    """After a restart a value past its time to live still stands in for a failing source."""
    cache = face.make(disk=SqliteTier(path))
    face.read(cache, "k", Script("old"))
    face.clock.advance(100.0)
    cache = reopen(face, cache, path)

    result = face.read(cache, "k", Script(ConnectionError()))

    assert (result.value, result.source, result.stale) == ("old", Source.DISK, True)


def test_value_too_old_for_any_use_is_not_read_back(face, path):
    """What may not be answered any more is loaded anew."""
    cache = face.make(disk=SqliteTier(path), stale_if_error=10.0)
    face.read(cache, "k", Script("old"))
    face.clock.advance(100.0)
    cache = reopen(face, cache, path, stale_if_error=10.0)

    assert face.read(cache, "k", Script("new")).value == "new"


def test_absence_outlives_the_process(face, path):
    """That there is no such thing is kept in the file too."""
    cache = face.make(disk=SqliteTier(path))
    face.read(cache, "k", Script(None))
    cache = reopen(face, cache, path)

    result = face.read(cache, "k", never)

    assert (result.value, result.source) == (None, Source.DISK)


@pytest.mark.parametrize(("jump", "age"), [(0.0, 20.0), (1000.0, 1020.0), (-1000.0, 0.0)])
def test_age_after_a_reboot_goes_by_the_wall_clock(face, path, monkeypatch, jump, age):
    """Another boot counts from another zero, so the wall clock decides, and an age is never negative."""
    cache = face.make(disk=SqliteTier(path))
    face.read(cache, "k", Script("v"))
    face.clock.advance(20.0)
    face.clock.jump_wall(jump)
    monkeypatch.setattr(_envelope, "boot_id", lambda: "another boot")

    assert face.peek(reopen(face, cache, path), "k").age == pytest.approx(age, abs=0.002)


def test_wall_clock_does_not_count_within_a_boot(face, path):
    """Within a boot a step of the wall clock changes no age."""
    cache = face.make(disk=SqliteTier(path))
    face.read(cache, "k", Script("v"))
    face.clock.advance(20.0)
    face.clock.jump_wall(-5000.0)

    assert face.peek(reopen(face, cache, path), "k").age == 20.0


def test_removed_value_is_gone_from_the_file(face, path):
    """Neither a removal nor clearing lets anything back after a restart."""
    cache = face.make(disk=SqliteTier(path))
    for key in "abc":
        face.put(cache, key, key)

    face.remove(cache, "a")
    cache = reopen(face, cache, path)
    assert face.peek(cache, "a") is None
    face.clear(cache)
    cache = reopen(face, cache, path)

    assert [face.peek(cache, key) for key in "abc"] == [None] * 3


def test_evicted_value_is_read_from_the_file(face, path):
    """What no longer fits in memory is still answered without loading."""
    cache = face.make(disk=SqliteTier(path), memory=Memory(max_items=1))
    face.put(cache, "a", 1)
    face.put(cache, "b", 2)

    assert face.read(cache, "a", never).source is Source.DISK


def test_evicted_value_is_the_newest_even_before_it_is_written(face, path):
    """A value that waits for the writer is read in place of the older one in the file."""
    tier = SqliteTier(path)
    cache = face.make(disk=tier, memory=Memory(max_items=1), ttl=0.0)
    face.read(cache, "a", Script("old"))
    go = hold_writer(tier)
    face.read(cache, "a", Script("new"))
    face.read(cache, "b", Script("other"))

    assert face.peek(cache, "a").value == "new"
    go.set()


def test_reads_do_not_wait_for_the_writer(face, path):
    """A load is answered while the file is still busy with something else."""
    tier = SqliteTier(path)
    cache = face.make(disk=tier)
    go = hold_writer(tier)

    assert face.read(cache, "k", Script("v")).value == "v"
    go.set()


def test_removal_while_the_file_is_read(face, path, monkeypatch):
    """A value that is removed after the file was read and before its answer arrived is not answered, nor kept."""
    cache = face.make(disk=SqliteTier(path))
    face.put(cache, "k", "gone")
    face.close(cache)
    face.registry, tier, slow = Registry(), SqliteTier(path), Future()
    cache, row = face.make(disk=tier), tier.lookup("users", "k").result()
    monkeypatch.setattr(tier, "lookup", lambda *_: slow)
    reader = face.start(cache.read, "k", face.loader(Script("new")))

    while not cache._core._shelf._board._leases:
        pass
    face.remove(cache, "k")
    slow.set_result(row)

    assert reader.result().value == "new"


def test_put_while_the_file_is_read(face, path, monkeypatch):
    """A value that is put while the file is read is the answer, not the older one of the file."""
    tier, slow = SqliteTier(path), Future()
    cache = face.make(disk=tier)
    monkeypatch.setattr(tier, "lookup", lambda *_: slow)
    reader = face.start(cache.read, "k", face.loader(never))

    while not cache._core._shelf._board._leases:
        pass
    face.put(cache, "k", "mine")
    slow.set_result(None)

    assert reader.result().value == "mine"


def test_load_goes_on_without_a_ticket(face, path, monkeypatch):
    """When the file cannot say under which generation a load begins, the value is kept in memory only."""
    tier = SqliteTier(path)
    cache = face.make(disk=tier)
    monkeypatch.setattr(tier, "ticket", lambda *_: failed(StorageFullError("odd")))

    assert face.read(cache, "k", Script("v")).value == "v"
    assert cache.snapshot().disk_error == "StorageFullError: odd"
    assert tier.lookup("users", "k").result() is None


def test_two_caches_in_one_file_keep_apart(face, path):
    """Names divide a file; clearing one cache leaves the other alone, and the last to close closes the file."""
    tier = SqliteTier(path)
    users, orders = face.make("users", disk=tier), face.make("orders", disk=tier)
    face.put(users, "1", "Ada")
    face.put(orders, "1", "tea")

    face.clear(users)
    face.close(users)

    face.put(orders, "2", "milk")
    orders = reopen(face, orders, path)
    assert face.peek(orders, "1") is None
    face.registry = Registry()
    again = face.make("orders", disk=SqliteTier(path))
    assert (face.peek(again, "1").value, face.peek(again, "2").value) == ("tea", "milk")


def test_load_from_before_another_process_removed_is_not_stored(face, path):
    """A removal by another process voids a load under way here: neither file nor memory keeps its value."""
    mine, gate = face.make(disk=SqliteTier(path)), face.gate()
    face.registry = Registry()
    other = face.make(disk=SqliteTier(path))
    reader = face.start(mine.read, "k", gate.load)
    gate.wait_entered()

    face.remove(other, "k")
    gate.end("gone")

    assert reader.result().value == "gone"
    face.run(mine.remove, "unrelated")  # by then the file has refused the value
    assert mine.snapshot().items == 0
    assert face.peek(other, "k") is None


def test_of_two_loads_the_one_that_began_later_wins(face, path):
    """A slow load of another process does not replace what a later one stored."""
    slow, gate = face.make(disk=SqliteTier(path)), face.gate()
    face.registry = Registry()
    quick = face.make(disk=SqliteTier(path))
    reader = face.start(slow.read, "k", gate.load)
    gate.wait_entered()
    face.clock.advance(1.0)
    face.read(quick, "k", Script("later"))
    gate.end("earlier")
    reader.result()
    face.close(quick)

    assert face.peek(reopen(face, slow, path), "k").value == "later"


def test_value_of_another_type_is_a_miss(face, path):
    """After a deployment with another codec the old bytes are loaded anew, and nothing is reported."""

    class Other:
        fingerprint = "other"
        encode = decode = staticmethod(bytes)

    cache = face.make(disk=SqliteTier(path))
    face.put(cache, "k", b"old")
    cache = reopen(face, cache, path, codec=Other())

    assert face.read(cache, "k", Script(b"new")).value == b"new"
    assert cache.snapshot().disk_error == ""


@pytest.mark.parametrize("change", ["payload = x'c0'", "etag = 'x'", "known = known + 1", "key = 'k2'"])
def test_row_that_was_tampered_with_is_not_answered(face, path, change):
    """Whatever of a row is changed, its checksum tells, and the value is loaded anew."""
    cache, tier = face.make(disk=SqliteTier(path)), SqliteTier(path)
    face.put(cache, "k", "v")
    tier._database.write(lambda db: db.execute(f"UPDATE entries SET {change}")).result()
    tier.close()
    cache = reopen(face, cache, path)

    key = "k2" if "key" in change else "k"
    assert face.read(cache, key, Script("new")).source is Source.LOADED
    assert (face.seen.last(LoadFailed).source, face.seen.last(LoadFailed).error) == ("users/disk", "CorruptError")


def test_row_that_cannot_be_decoded_is_not_answered(face, path):
    """A codec that refuses its own bytes costs a load, not an error."""

    class Broken:
        fingerprint = "plain-1"
        encode = staticmethod(bytes)

        def decode(self, data):
            raise ValueError("no")

    cache = face.make(disk=SqliteTier(path))
    face.put(cache, "k", "v")
    cache = reopen(face, cache, path, codec=Broken())

    assert face.read(cache, "k", Script(b"new")).value == b"new"
    assert face.seen.last(LoadFailed).error == "CorruptError"


def test_damaged_file_is_reported_and_reads_go_on(face, path):
    """A file that is damaged when it is opened is left alone; the cache goes on in memory and says so."""
    cache = face.make(disk=SqliteTier(path))
    for number in range(200):
        face.put(cache, number, "x" * 1000)
    face.close(cache)
    damage(path)
    before = path.read_bytes()

    face.registry = Registry()
    cache = face.make(disk=SqliteTier(path))
    assert face.read(cache, 1, Script("loaded")).value == "loaded"
    assert face.read(cache, 1, never).source is Source.MEMORY
    face.put(cache, 2, "put")
    face.remove(cache, 2)
    face.clear(cache)

    assert cache.snapshot().disk_error.startswith("CorruptError")
    assert cache.health()[0] == "degraded"
    face.close(cache)
    assert path.read_bytes() == before


def test_file_damaged_while_it_is_used_is_reported_once(face, path):
    """Damage that is found while reading costs a load; the file is not read any more and the outage is told once."""
    cache = face.make(disk=SqliteTier(path))
    for number in range(200):
        face.put(cache, number, "x" * 1000)
    cache = reopen(face, cache, path)
    damage(path)

    for number in range(20):
        assert face.read(cache, number, Script("loaded")).value == "loaded"

    assert len(face.seen.of(LoadFailed)) == 1
    assert cache.snapshot().disk_error.startswith("CorruptError")


def damage(path):
    """Overwrite the pages of a database behind its first ones."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xa5" * (size - 4096 * 3))


def test_file_that_is_no_cache_is_refused(path):
    """Naming a file that is something else is the user's mistake, and it is not touched."""
    path.write_text("dear diary")

    with pytest.raises(NotOursError):
        SqliteTier(path)
    assert path.read_text() == "dear diary"


def test_removal_that_the_file_refuses_is_an_error(face, path, monkeypatch):
    """A removal that could come back after a restart is not passed over; for this process the value is gone."""
    tier = SqliteTier(path)
    cache = face.make(disk=tier)
    face.put(cache, "k", "v")
    monkeypatch.setattr(tier._database, "write", lambda job: failed(StorageFullError("full")))

    with pytest.raises(StorageFullError):
        face.remove(cache, "k")
    with pytest.raises(StorageFullError):
        face.clear(cache)

    assert face.peek(cache, "k") is None
    assert cache.snapshot().disk_error == "StorageFullError: full"


def test_write_that_the_file_refuses_does_not_bring_back_the_older_value(face, path, monkeypatch):
    """With a full disk puts and loads go on in memory, the file's older value is not read, and later all is well."""
    tier = SqliteTier(path)
    cache = face.make(disk=tier, memory=Memory(max_items=1))
    face.put(cache, "a", "old")
    with monkeypatch.context() as patch:
        patch.setattr(tier._database, "write", lambda job: failed(StorageFullError("full")))
        face.put(cache, "a", "new")
        assert face.peek(cache, "a").value == "new"
        assert face.read(cache, "b", Script("b")).value == "b"
        assert face.peek(cache, "a") is None

    assert face.read(cache, "a", Script("newest")).value == "newest"
    face.put(cache, "c", "c")

    assert face.peek(cache, "a").source is Source.DISK
    assert cache.snapshot().disk_error == ""
    assert len(face.seen.of(LoadFailed)) == 1


def test_value_that_cannot_be_encoded_is_answered_but_not_stored(face, path):
    """A loaded value without a codec is kept in memory and the report says what to do; putting one is refused."""
    cache = face.make(disk=SqliteTier(path))

    assert face.read(cache, "k", Script((1, 2))).value == (1, 2)
    assert "give the cache a codec" in cache.snapshot().disk_error
    with pytest.raises(SchemaError, match="is a tuple"):
        face.put(cache, "k", (3,))
    assert face.peek(cache, "k").value == (1, 2)


def test_sizes_are_known_with_a_file(face, path):
    """With a file the bound by bytes counts encoded bytes."""
    cache = face.make(disk=SqliteTier(path), memory=Memory(max_bytes=100))

    face.put(cache, "k", "x" * 200)

    assert (cache.snapshot().items, cache.snapshot().too_big) == (0, 1)
    assert face.read(cache, "k", never).source is Source.DISK


def test_old_and_superfluous_rows_are_swept(face, path):
    """What is too old to be of use goes, and so do the oldest of what is too much."""
    tier = SqliteTier(path, max_items=3)
    cache = face.make(disk=tier)
    for number in range(5):
        face.clock.advance(1.0)
        face.put(cache, number, number)

    def count(db):
        return [row[0] for row in db.execute("SELECT key FROM entries ORDER BY wall_ms")]

    tier.sweep("users", before_ms=-math.inf).result()
    assert tier._database.read(count).result() == ["2", "3", "4"]
    tier.sweep("users", before_ms=face.clock.wall() * 1000 - 500).result()
    assert tier._database.read(count).result() == ["4"]


def test_tier_says_what_is_wrong_with_it(path):
    """The repr names the file and its failure; a closed tier answers with errors, not with exceptions."""
    tier = SqliteTier(path)
    tier.close()

    assert "failure=None" in repr(tier)
    assert "is closed" in str(tier.lookup("users", "k").exception())
    assert "is closed" in str(tier.remove("users", "k").exception())


async def test_tier_opens_without_blocking_the_loop(path):
    """The file may be opened from a running event loop."""
    tier = await SqliteTier.open(path, max_items=5)

    assert (tier.max_items, tier.is_open) == (5, True)
    tier.close()


async def test_cancelled_removal_is_durable(path):
    """Cancelling whoever waits for a removal does not cancel the removal."""
    tier = SqliteTier(path)
    async with Cache("users", disk=tier, registry=Registry()) as cache:
        await cache.put("k", "v")
        go = hold_writer(tier)
        removal = asyncio.create_task(cache.remove("k"))
        await asyncio.sleep(0.01)
        removal.cancel()
        with pytest.raises(asyncio.CancelledError):
            await removal
        go.set()

    async with Cache("users", disk=SqliteTier(path), registry=Registry()) as cache:
        assert await cache.peek("k") is None


async def test_cancelled_close_still_closes_the_file(path):
    """A close that is cancelled while loads end leaves the file closed."""
    tier = SqliteTier(path)
    cache = Cache("users", disk=tier, registry=Registry())
    entered = asyncio.Event()

    async def stubborn(key):
        entered.set()
        while True:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                if ended:
                    return

    ended = []
    reader = asyncio.create_task(cache.read("k", stubborn))
    await entered.wait()
    closing = asyncio.create_task(cache.aclose())
    await asyncio.sleep(0.01)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    ended.append(True)
    reader.cancel()

    assert "is closed" in str(tier.lookup("users", "k").exception())
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


def test_corrupt_error_is_kept_as_the_reason(path):
    """A tier on a damaged file is not open and says why."""
    tier = SqliteTier(path)
    for number in range(200):
        tier.put("users", str(number), _envelope.Row(b"x" * 1000, None, 0, 0.0, "b", 0, "f")).result()
    tier.close()
    damage(path)

    tier = SqliteTier(path)

    assert isinstance(tier.failure, CorruptError)
    assert not tier.is_open
    assert tier.lookup("users", "k").exception() is tier.failure
