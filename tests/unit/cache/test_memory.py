import random

import pytest

from outlast.cache import Memory
from outlast.cache._entry import Entry
from outlast.cache._sieve import Sieve
from outlast.errors import ConfigError


def entry(value="v", size=0):
    """Return an entry of a size."""
    return Entry(value, known_at=0.0, size=size)


def keys(sieve, among):
    """Return which of the keys are kept."""
    return "".join(key for key in among if sieve.get(key) is not None)


def test_bound_by_count():
    """No more values are kept than allowed; without a hit the oldest goes first."""
    sieve = Sieve(Memory(max_items=3))

    for key in "abcd":
        sieve.set(key, entry())

    assert (keys(sieve, "abcd"), len(sieve), sieve.evictions) == ("bcd", 3, 1)


def test_used_values_stay():
    """A value that was read survives one round of the hand; the first unread one goes."""
    sieve = Sieve(Memory(max_items=3))
    for key in "abc":
        sieve.set(key, entry())
    sieve.get("a")

    sieve.set("d", entry())
    assert keys(sieve, "abcd") == "acd"


def test_scan_does_not_drive_out_what_is_used():
    """A run through many keys that are read once leaves the popular ones in place."""
    sieve = Sieve(Memory(max_items=10))
    for _ in range(2):
        for key in "abcde":
            sieve.get(key) or sieve.set(key, entry())

    for number in range(100):
        sieve.set(f"scan-{number}", entry())
        for key in "abcde":
            assert sieve.get(key) is not None


def test_all_used_evicts_nevertheless():
    """When everything was read the hand takes the marks away and evicts."""
    sieve = Sieve(Memory(max_items=2))
    for key in "ab":
        sieve.set(key, entry())
        sieve.get(key)

    sieve.set("c", entry())

    assert len(sieve) == 2


def test_new_value_is_never_the_one_that_goes():
    """Room is made among the old values, also when each of them was read."""
    sieve = Sieve(Memory(max_items=1))
    sieve.set("a", entry())
    sieve.get("a")

    sieve.set("b", entry())

    assert keys(sieve, "ab") == "b"


def test_replacing_changes_the_value_in_place():
    """Setting a key again replaces its value and its size."""
    sieve = Sieve(Memory(max_items=2, max_bytes=10))
    sieve.set("a", entry(1, size=4))
    sieve.set("a", entry(2, size=6))

    assert (sieve.get("a").value, sieve.bytes, len(sieve)) == (2, 6, 1)


def test_bound_by_bytes():
    """Values go until the encoded bytes fit."""
    sieve = Sieve(Memory(max_bytes=10))
    for key in "abc":
        sieve.set(key, entry(size=4))

    assert (keys(sieve, "abc"), sieve.bytes) == ("bc", 8)


def test_too_big_is_not_kept_and_no_error():
    """A value larger than all of memory is not kept, and neither is the one that it replaces."""
    sieve = Sieve(Memory(max_bytes=10))
    sieve.set("a", entry(size=4))

    sieve.set("a", entry(size=11))

    assert (sieve.get("a"), sieve.bytes, sieve.too_big, len(sieve)) == (None, 0, 1, 0)


def test_discard_of_what_is_not_there():
    """Dropping an unknown key does nothing."""
    sieve = Sieve(Memory())
    sieve.discard("a")

    assert len(sieve) == 0


@pytest.mark.parametrize("bounds", [{"max_items": 0}, {"max_bytes": 0}], ids=repr)
def test_bounds_without_room_are_refused(bounds):
    """A memory that could hold nothing is a mistake."""
    with pytest.raises(ConfigError, match="at least 1"):
        Memory(**bounds)


def test_links_hold_under_any_sequence():
    """Whatever is set, read and dropped, the list and the map agree and the bounds hold."""
    dice, sieve, model = random.Random(7), Sieve(Memory(max_items=8, max_bytes=40)), {}
    for step in range(5000):
        key = dice.choice("abcdefghijklmnop")
        match dice.randrange(10):
            case 0 | 1:
                sieve.discard(key)
                model.pop(key, None)
            case 2 if step % 97 == 0:
                sieve.clear()
                model.clear()
            case 3 | 4 | 5:
                found = sieve.get(key)
                assert found is None or found.value == model[key]
            case _:
                sieve.set(key, entry(step, size=dice.randrange(12)))
                model[key] = step
        kept = list(walk(sieve))
        assert [node.key for node in kept] == list(dict.fromkeys(node.key for node in kept))
        assert {node.key for node in kept} == set(sieve._nodes)
        assert sieve.bytes == sum(node.entry.size for node in kept) <= 40
        assert len(kept) <= 8
        assert sieve._hand is None or sieve._hand in kept


def walk(sieve):
    """Yield the nodes from the oldest to the newest."""
    node = sieve._oldest
    assert node is None or node.older is None
    while node is not None:
        assert node.newer is None or node.newer.older is node
        yield node
        node = node.newer
