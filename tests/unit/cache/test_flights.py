import pytest

from cache_faces import Script
from outlast.cache import Source
from outlast.errors import ConfigError, DeadlineExceededError, ShuttingDownError


def aged(face, **numbers):
    """Return a cache whose value of "k" is stale."""
    cache = face.make(**numbers)
    face.read(cache, "k", Script("old"))
    face.clock.advance(100.0)
    return cache


def test_one_load_however_many_ask(face):
    """Readers of one key share one load."""
    cache, gate = face.make(), face.gate()

    readers = [face.start(cache.read, "k", gate.load) for _ in range(5)]
    gate.wait_entered()
    gate.end("v")

    assert [reader.result().value for reader in readers] == ["v"] * 5
    assert (gate.calls, cache.snapshot().loads) == (1, 1)


def test_one_failure_reaches_all_who_waited(face):
    """Readers of one load get its error, the very same."""
    cache, gate, error = face.make(), face.gate(), ConnectionError("refused")
    readers = [face.start(cache.read, "k", gate.load) for _ in range(3)]
    gate.wait_entered()

    gate.end(error)

    for reader in readers:
        with pytest.raises(ConnectionError) as caught:
            reader.result()
        assert caught.value is error


def test_keys_load_beside_each_other(face):
    """A load of one key does not hold up another."""
    cache, gate = face.make(), face.gate()
    slow = face.start(cache.read, "a", gate.load)
    gate.wait_entered()

    assert face.read(cache, "b", Script("b")).value == "b"
    gate.end("a")
    assert slow.result().value == "a"


def test_slow_load_is_left_behind_when_a_stale_value_is_at_hand(face):
    """After the soft limit the stale value is answered; the load goes on, is the load, and is stored."""
    cache, gate = aged(face, soft_timeout=0.01), face.gate()

    first = face.read_gate(cache, "k", gate)
    second = face.read_gate(cache, "k", gate)
    gate.end("new")
    face.idle(cache)

    assert (first.value, first.stale, first.why) == ("old", True, "loading took longer than 0.01 s")
    assert second.why == first.why
    assert gate.calls == 1
    assert (face.peek(cache, "k").value, face.peek(cache, "k").stale) == ("new", False)


def test_without_a_soft_limit_a_reader_waits(face):
    """No soft limit means to wait for the load, stale value or not."""
    cache, gate = aged(face, soft_timeout=None), face.gate()

    reader = face.start(cache.read, "k", gate.load)
    gate.wait_entered()
    gate.end("new")

    assert reader.result().value == "new"


def test_load_limit_counts_as_failure(face):
    """A load that runs into its limit fails; with nothing stored the reader gets the time-out."""
    cache, gate = face.make(load_timeout=0.02), face.gate()

    with pytest.raises(DeadlineExceededError, match=r"loading 'k' took longer than 0\.02 s"):
        face.read_gate(cache, "k", gate)

    assert cache.snapshot().load_failures == 1
    assert face.read(cache, "k", Script("v")).value == "v"
    gate.end("late")


def test_load_limit_lets_a_stale_value_stand_in(face):
    """A load that runs into its limit is a failure like any other."""
    cache, gate = aged(face, load_timeout=0.02, soft_timeout=None), face.gate()

    result = face.read_gate(cache, "k", gate)

    assert (result.value, result.why) == ("old", "loading failed: DeadlineExceededError")
    gate.end("late")
    assert face.peek(cache, "k").value == "old"


def test_hung_refresh_is_replaced(face):
    """A refresh that nobody waits for and that never ends does not keep a key from being refreshed."""
    cache = aged(face, stale_while_revalidate=100.0, load_timeout=5.0)
    hung, load = face.gate(), Script("new")
    face.read_gate(cache, "k", hung)
    hung.wait_entered()

    face.pass_time(cache, 6.0)
    face.read(cache, "k", load)
    face.pass_time(cache, 2.0)
    face.read(cache, "k", load)
    face.idle(cache)

    assert face.peek(cache, "k").value == "new"
    hung.end("late")
    assert face.peek(cache, "k").value == "new"


def test_removed_value_is_not_stored_by_a_load_that_began_before(face):
    """A load under way goes to those who waited, and is not stored once the key was removed."""
    cache, gate = face.make(), face.gate()
    reader = face.start(cache.read, "k", gate.load)
    gate.wait_entered()

    face.remove(cache, "k")
    gate.end("gone")

    assert reader.result().value == "gone"
    assert face.peek(cache, "k") is None


def test_reader_after_a_removal_starts_its_own_load(face):
    """Who asks after the removal is not answered by a load from before it."""
    cache, gate = face.make(), face.gate()
    before = face.start(cache.read, "k", gate.load)
    gate.wait_entered()
    face.remove(cache, "k")

    after = face.read(cache, "k", Script("new"))
    gate.end("gone")

    assert (after.value, before.result().value) == ("new", "gone")
    assert face.peek(cache, "k").value == "new"


def test_stale_value_that_was_removed_does_not_stand_in(face):
    """A reader that waits with a stale value at hand may not answer it once it was removed."""
    cache, gate = aged(face, soft_timeout=None), face.gate()
    reader = face.start(cache.read, "k", gate.load)
    gate.wait_entered()

    face.remove(cache, "k")
    gate.end(ConnectionError("refused"))

    with pytest.raises(ConnectionError):
        reader.result()


def test_soft_limit_does_not_answer_what_was_removed(face):
    """Past the soft limit a removed value is not answered either; the reader waits for the load."""
    cache, gate = aged(face, soft_timeout=0.05), face.gate()
    reader = face.start(cache.read, "k", gate.load)
    gate.wait_entered()
    face.remove(cache, "k")

    face.pass_time(cache, 0.1)
    gate.end("new")

    assert reader.result().source is Source.LOADED


def test_put_wins_over_a_load_that_began_before(face):
    """What was put is newer than what a load under way may have read."""
    cache, gate = face.make(), face.gate()
    reader = face.start(cache.read, "k", gate.load)
    gate.wait_entered()

    face.put(cache, "k", "mine")
    gate.end("theirs")

    assert reader.result().value == "theirs"
    assert face.peek(cache, "k").value == "mine"


def test_put_during_a_failing_load_answers_its_readers(face):
    """Readers of a load that fails get what was put in the meantime, fresh."""
    cache, gate = face.make(), face.gate()
    reader = face.start(cache.read, "k", gate.load)
    gate.wait_entered()

    face.put(cache, "k", "mine")
    gate.end(ConnectionError("refused"))
    result = reader.result()

    assert (result.value, result.stale, result.why) == ("mine", False, "")


def test_clear_is_a_removal_of_everything(face):
    """After clearing, neither values nor loads under way remain."""
    cache, gate = face.make(), face.gate()
    face.put(cache, "a", 1)
    reader = face.start(cache.read, "k", gate.load)
    gate.wait_entered()

    face.clear(cache)
    gate.end("gone")

    assert reader.result().value == "gone"
    assert (face.peek(cache, "a"), face.peek(cache, "k"), cache.snapshot().items) == (None, None, 0)


def test_loader_that_asks_for_its_own_key_is_told(face):
    """A loader that would wait for itself gets an error rather than a deadlock."""
    cache = face.make()

    with pytest.raises(ConfigError, match="asked cache 'users' for 'k' itself"):
        face.run(cache.read, "k", face.nested(cache, "k", "k"))


def test_loader_that_asks_for_itself_in_a_circle_is_told(face):
    """The same holds when the circle leads through another key."""
    cache = face.make()

    with pytest.raises(ConfigError, match="for 'a' itself"):
        face.run(cache.read, "a", face.nested(cache, "b", "a"))


def test_loader_may_read_other_keys(face):
    """A loader may use the cache for other keys."""
    cache = face.make()

    result = face.run(cache.read, "a", face.nested(cache, "b", "c"))

    assert result.value == "value of c"
    assert {key: face.peek(cache, key).value for key in "abc"} == dict.fromkeys("abc", "value of c")


def test_loader_of_the_other_colour_is_refused(face):
    """A plain function where a coroutine function belongs, or the other way round, is a mistake that is named."""
    cache = face.make()

    with pytest.raises(ConfigError, match=r"a loader of (Sync)?Cache is a"):
        face.run(cache.read, "k", face.wrong_loader)


def test_close_ends_loads_under_way(face):
    """Closing does not wait for loads, stores nothing of them, and tells their readers."""
    cache, gate = face.make(load_timeout=1.0), face.gate()
    reader = face.start(cache.read, "k", gate.load)
    gate.wait_entered()

    face.close_while(cache, gate)

    with pytest.raises(ShuttingDownError, match="closed while it loaded 'k'"):
        reader.result()
