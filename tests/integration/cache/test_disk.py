"""What the file of a cache keeps: over restarts, reboots, evictions, and beside other caches."""

import math

import pytest
from cache_files import never, reopen

from cache_faces import Script
from outlast.cache import Loaded, Memory, Source, SqliteTier, _envelope
from outlast.registry import Registry


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
