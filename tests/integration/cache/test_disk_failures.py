"""A file that is damaged, full or refuses costs loads, and says why; it never answers wrongly."""

import pytest
from cache_files import failed, never, reopen

from cache_faces import Script
from outlast.cache import Memory, Source, SqliteTier, _envelope
from outlast.errors import CorruptError, NotOursError, SchemaError, StorageFullError
from outlast.events import LoadFailed
from outlast.registry import Registry


def test_load_goes_on_without_a_ticket(face, path, monkeypatch):
    """When the file cannot say under which generation a load begins, the value is kept in memory only."""
    tier = SqliteTier(path)
    cache = face.make(disk=tier)
    monkeypatch.setattr(tier, "ticket", lambda *_: failed(StorageFullError("odd")))

    assert face.read(cache, "k", Script("v")).value == "v"
    assert cache.snapshot().disk_error == "StorageFullError: odd"
    assert tier.lookup("users", "k").result() is None


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


def test_tier_says_what_is_wrong_with_it(path):
    """The repr names the file and its failure; a closed tier answers with errors, not with exceptions."""
    tier = SqliteTier(path)
    tier.close()

    assert "failure=None" in repr(tier)
    assert "is closed" in str(tier.lookup("users", "k").exception())
    assert "is closed" in str(tier.remove("users", "k").exception())


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
