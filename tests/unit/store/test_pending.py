from __future__ import annotations

import pytest

from outlast.outbox import Op, Verb
from outlast.store._pending import PendingWrite, PendingWrites


def op(seq, entity="a", verb=Verb.PUT, body=b"{}"):
    """Make an op as the outbox lists it."""
    return Op(
        seq=seq, generation=0, key=f"s:{seq}:0", lane=1, verb=verb, kind="notes", entity=entity, target=None, body=body,
        content_type="application/json", if_match=None, created_at=0.0,
    )  # fmt: skip


def write(seq, verb=Verb.PUT, body=b"{}"):
    """Make a queued write."""
    return PendingWrite(seq, verb, body)


def seqs(pending, key="a"):
    """Return the places of a key's writes in their order."""
    return [write.seq for name, write in pending.look() if name == key]


def test_the_last_write_of_a_key_is_what_readers_see():
    """Writes stand in the order of their places, whichever is heard of first."""
    pending = PendingWrites()
    pending.add("a", write(7))
    pending.add("a", write(5))
    pending.add("b", write(9))

    assert (seqs(pending), pending.newest("a").seq, len(pending)) == ([5, 7], 7, 3)
    assert pending.newest("c") is None


def test_a_write_is_there_once():
    """What was adopted from the file before its own save returned is not added again."""
    pending = PendingWrites()
    pending.look()
    pending.adopt([op(5)])
    pending.add("a", write(5))

    assert seqs(pending) == [5]


def test_settled_writes_are_forgotten():
    """What is settled is no longer read; what was never there is no mistake."""
    pending = PendingWrites()
    pending.add("a", write(5))
    pending.add("a", write(6))
    pending.remove("a", 5)
    assert seqs(pending) == [6]

    pending.remove("a", 6)
    pending.remove("b", 99)

    assert (pending.newest("a"), len(pending)) == (None, 0)


def test_what_was_confirmed_knows_its_version():
    """A confirmed write that the outbox still holds has the version that the server gave to it."""
    pending = PendingWrites()
    pending.add("a", write(5))
    pending.applied("a", 5, '"3"')
    pending.applied("b", 6, '"9"')

    assert (pending.newest("a").applied, pending.newest("a").etag) == (True, '"3"')


def test_earlier_places_are_adopted_too():
    """A write of another program is seen though a later one of our own was seen before it."""
    pending = PendingWrites()
    pending.add("b", write(6))
    pending.look()
    pending.adopt([op(5), op(6, "b")])

    assert (seqs(pending, "a"), seqs(pending, "b")) == ([5], [6])


def test_what_is_settled_while_the_file_is_read_does_not_come_back():
    """An old list of the file's ops does not revive what was settled since the look began."""
    pending = PendingWrites()
    pending.add("a", write(5))
    pending.look()
    pending.remove("a", 5)
    pending.adopt([op(5)])
    assert seqs(pending) == []

    pending.adopt([op(5)])

    assert seqs(pending) == [5]  # a later look finds it again: it was replayed


@pytest.mark.parametrize("verb", [Verb.PATCH, Verb.POST])
def test_what_does_not_say_all_of_the_entity_is_not_read(verb):
    """A patch and a message are not taken for the entity."""
    pending = PendingWrites()
    pending.look()
    pending.adopt([op(5, verb=verb)])

    assert len(pending) == 0
