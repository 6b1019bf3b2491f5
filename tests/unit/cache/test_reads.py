import os

import pytest

from cache_faces import Script
from outlast.cache import Loaded, Source
from outlast.errors import ConfigError, ForkedError, ShuttingDownError
from outlast.events import LoadFailed, ReadAnswered


def down():
    """Return a loader whose source is down."""
    return Script(ConnectionError("refused"))


def test_first_read_loads_and_the_second_does_not(face):
    """A value is loaded once and then answered from memory, and the result says which."""
    cache, load = face.make(), Script("Ada")

    first = face.read(cache, 7, load)
    face.clock.advance(59.0)
    second = face.read(cache, 7, load)

    assert (first.value, first.source, first.age, first.stale) == ("Ada", Source.LOADED, 0.0, False)
    assert (second.value, second.source, second.age, second.stale) == ("Ada", Source.MEMORY, 59.0, False)
    assert load.keys == [7]


def test_get_or_load_returns_the_value_alone(face):
    """The short form returns what the result would hold."""
    cache = face.make()

    assert face.value(cache, "k", Script({"id": 1})) == {"id": 1}


def test_value_past_its_ttl_is_loaded_anew(face):
    """At the end of its time to live a value is fresh no more."""
    cache, load = face.make(), Script("old", "new")
    face.read(cache, "k", load)

    face.clock.advance(60.0)

    assert (face.read(cache, "k", load).value, load.calls) == ("new", 2)


def test_stale_value_stands_in_for_a_failed_load(face):
    """While the source fails a stale value is answered, and the result says why."""
    cache = face.make()
    face.read(cache, "k", Script("old"))
    face.clock.advance(100.0)

    result = face.read(cache, "k", down())

    assert (result.value, result.source, result.stale) == ("old", Source.MEMORY, True)
    assert result.why == "loading failed: ConnectionError"
    assert result.age == 100.0


def test_too_old_a_value_does_not_stand_in(face):
    """Past the window for errors the loader's own exception comes through, with a note."""
    cache = face.make(stale_if_error=10.0)
    face.read(cache, "k", Script("old"))
    face.clock.advance(70.0)
    error = ConnectionError("refused")

    with pytest.raises(ConnectionError) as caught:
        face.read(cache, "k", Script(error))

    assert caught.value is error
    assert error.__notes__ == ["cache 'users' had no usable stored value of 'k' to answer instead"]


def test_error_without_any_value_is_the_loaders_own(face):
    """With nothing stored the error is the user's, noted once however often it is raised."""
    cache, error = face.make(), KeyError("mine")

    for _ in range(2):
        with pytest.raises(KeyError) as caught:
            face.read(cache, "k", Script(error))
        assert caught.value is error

    assert len(error.__notes__) == 1


def test_failed_load_pauses_further_ones(face):
    """A dead source is not asked by every read while a stale value can stand in."""
    cache, load = face.make(retry_load_after=2.0), down()
    face.read(cache, "k", Script("old"))
    face.clock.advance(100.0)

    whys = [face.read(cache, "k", load).why for _ in range(5)]
    face.clock.advance(1.9)
    face.read(cache, "k", load)
    assert load.calls == 1
    face.clock.advance(0.2)
    face.read(cache, "k", load)

    assert whys == ["loading failed: ConnectionError"] * 5
    assert load.calls == 2


def test_recovery_ends_the_pause(face):
    """After the pause a source that is back is read, and the answer is fresh again."""
    cache = face.make()
    face.read(cache, "k", Script("old"))
    face.clock.advance(100.0)
    face.read(cache, "k", down())
    face.clock.advance(1.1)

    result = face.read(cache, "k", Script("new"))

    assert (result.value, result.stale, face.peek(cache, "k").stale) == ("new", False, False)


def test_revalidation_answers_at_once_and_loads_behind(face):
    """In the window for revalidation the stale value is answered and the next reader gets the new one."""
    cache, load = face.make(stale_while_revalidate=30.0), Script("old", "new")
    face.read(cache, "k", load)
    face.clock.advance(70.0)

    during = face.read(cache, "k", load)
    face.idle(cache)
    after = face.read(cache, "k", load)

    assert (during.value, during.stale, during.why) == ("old", True, "being refreshed")
    assert (after.value, after.stale, load.calls) == ("new", False, 2)


def test_failed_refresh_is_not_repeated_by_every_read(face):
    """A refresh behind the caller's back that fails pauses further ones and shows in the reason."""
    cache, load = face.make(stale_while_revalidate=30.0), down()
    face.read(cache, "k", Script("old"))
    face.clock.advance(70.0)

    face.read(cache, "k", load)
    face.idle(cache)
    result = face.read(cache, "k", load)

    assert (result.value, result.why, load.calls) == ("old", "loading failed: ConnectionError", 1)


def test_absence_is_cached_for_its_own_time(face):
    """None means that there is no such thing, which is remembered, for less long than a value."""
    cache, load = face.make(negative_ttl=5.0), Script(None, "born")

    first = face.read(cache, "k", load)
    face.clock.advance(4.0)
    second = face.read(cache, "k", load)
    face.clock.advance(2.0)
    third = face.read(cache, "k", load)

    assert (first.value, second.value, third.value) == (None, None, "born")
    assert (second.source, load.calls) == (Source.MEMORY, 2)


def test_falsy_values_are_values(face):
    """Zero, an empty text and False are kept for the whole time to live."""
    cache = face.make(negative_ttl=0.0)

    for key, value in (("a", 0), ("b", ""), ("c", False)):
        face.read(cache, key, Script(value))
        assert face.peek(cache, key).value == value
        assert not face.peek(cache, key).stale


def test_loaded_carries_an_etag(face):
    """A loader may return the version beside the value, and every later result has it."""
    cache = face.make()

    first = face.read(cache, "k", Script(Loaded("v", etag='"1"')))

    assert (first.value, first.etag) == ("v", '"1"')
    assert face.peek(cache, "k").etag == '"1"'


def test_peek_never_loads(face):
    """Peeking answers with what may still be used, fresh or stale, or with nothing."""
    cache = face.make(stale_if_error=40.0)
    assert face.peek(cache, "k") is None
    face.read(cache, "k", Script("v"))

    face.clock.advance(80.0)
    stale = face.peek(cache, "k")
    face.clock.advance(30.0)

    assert (stale.value, stale.stale, stale.why) == ("v", True, "read without loading")
    assert face.peek(cache, "k") is None


def test_put_is_read_back(face):
    """What is put is current from then on, with its version."""
    cache = face.make()

    face.put(cache, "k", "mine", etag='"2"')
    face.clock.advance(1.0)
    result = face.read(cache, "k", down())

    assert (result.value, result.etag, result.age, result.stale) == ("mine", '"2"', 1.0, False)


def test_put_none_is_absence(face):
    """Putting None stores that there is no such thing."""
    cache = face.make(negative_ttl=5.0)

    face.put(cache, "k", None)

    assert face.peek(cache, "k").value is None


def test_put_ends_the_pause_after_a_failure(face):
    """A value that is put is not marked by the failures of the one before."""
    cache = face.make()
    face.read(cache, "k", Script("old"))
    face.clock.advance(100.0)
    face.read(cache, "k", down())

    face.put(cache, "k", "new")

    assert face.read(cache, "k", down()).why == ""


def test_number_and_its_digits_are_one_key(face):
    """A whole number is turned into text."""
    cache = face.make()
    face.put(cache, 7, "seven")

    assert face.peek(cache, "7").value == "seven"


@pytest.mark.parametrize("key", [True, None, 1.5, b"k", ("a",), "\ud800"], ids=repr)
def test_other_keys_are_refused(face, key):
    """Only text and whole numbers name a value; anything else is a mistake."""
    cache = face.make()

    with pytest.raises(ConfigError, match="key"):
        face.read(cache, key, Script("v"))


def test_text_beyond_ascii_is_a_key(face):
    """Any text that UTF-8 can hold names a value."""
    cache = face.make()
    face.put(cache, "größe", 1)

    assert face.peek(cache, "größe").value == 1


def test_values_are_shared_not_copied(face):
    """Every reader gets the same object."""
    cache, value = face.make(), ["shared"]

    face.read(cache, "k", Script(value))

    assert face.read(cache, "k", Script("x")).value is value


def test_age_counts_from_the_start_of_the_load(face):
    """A value may have changed since the load began, so that is where its age begins."""
    cache = face.make()

    def slow(key):
        face.clock.advance(3.0)
        return "v"

    result = face.read(cache, "k", slow)

    assert result.age == 3.0


def test_events_tell_of_reads_and_failures(face):
    """Whoever listens learns of each answer and each failed load."""
    cache = face.make()
    face.read(cache, "k", Script("old"))
    face.clock.advance(100.0)
    face.read(cache, "k", down())

    reads = [(event.key, event.origin, event.stale) for event in face.seen.of(ReadAnswered)]
    assert reads == [("k", "loaded", False), ("k", "memory", True)]
    assert [(e.source, e.key, e.error) for e in face.seen.of(LoadFailed)] == [("users", "k", "ConnectionError")]


def test_no_event_is_built_when_nobody_listens(face):
    """Without a listener reads are answered all the same."""
    face.seen.close()
    cache = face.make()
    face.read(cache, "k", Script("v"))

    assert face.seen.events == []


def test_snapshot_counts(face):
    """The snapshot shows what happened, and the repr shows the snapshot."""
    cache = face.make()
    face.read(cache, "a", Script(1))
    face.read(cache, "a", Script(1))
    face.clock.advance(100.0)
    face.read(cache, "a", down())
    with pytest.raises(ConnectionError):
        face.read(cache, "b", down())

    shot = cache.snapshot()
    assert (shot.items, shot.hits_fresh, shot.hits_stale, shot.misses) == (1, 1, 1, 1)
    assert (shot.loads, shot.load_failures, shot.in_flight, shot.disk_error) == (3, 2, 0, "")
    assert repr(shot) in repr(cache)
    assert cache.health() == ("healthy", "")


def test_registered_under_its_name(face):
    """A cache is known to the registry, and a second live one of its name is refused."""
    cache = face.make("orders")

    assert face.registry.get("cache", "orders") is cache
    with pytest.raises(ConfigError, match="alive already"):
        face.make("orders")


def test_negative_pause_is_refused(face):
    """Seconds cannot be negative."""
    with pytest.raises(ConfigError, match="retry_load_after"):
        face.make(retry_load_after=-1.0)


def test_closed_cache_refuses_everything(face):
    """After closing, nothing is read or written, and closing again does nothing."""
    cache = face.make()
    face.close(cache)
    face.close(cache)

    for use in (
        lambda: face.read(cache, "k", Script(1)),
        lambda: face.peek(cache, "k"),
        lambda: face.put(cache, "k", 1),
        lambda: face.remove(cache, "k"),
        lambda: face.clear(cache),
    ):
        with pytest.raises(ShuttingDownError, match="'users' is closed"):
            use()
    assert cache.snapshot().closed


def test_cache_from_another_process_is_refused(face, monkeypatch):
    """After a fork the child's use is refused with a way out, and closing it there does nothing."""
    cache = face.make()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(ForkedError, match="make another in the child process"):
            face.peek(cache, "k")
        face.close(cache)

    assert face.peek(cache, "k") is None


def test_the_name_of_a_closed_cache_is_free(face):
    """The next one of that name is made though the first is still held, and is known until it is closed itself."""
    first = face.make()
    face.close(first)
    second = face.make()
    face.close(first)

    assert face.registry.components("cache") == [second]
