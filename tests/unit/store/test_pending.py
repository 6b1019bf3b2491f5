from __future__ import annotations

import pytest

from outlast.outbox import Op, PendingDiff, Verb
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


def found(*ops, absent=()):
    """Tell what the file holds that is otherwise than was known."""
    return PendingDiff([*ops], {op.seq: (op.verb.value, op.body) for op in ops}, [*absent])


def seqs(pending, key="a"):
    """Return the places of a key's writes in their order."""
    _, known = pending.look()
    return [seq for seq, (name, _) in known.items() if name == key]


def test_the_last_write_of_a_key_is_what_readers_see():
    """Writes stand in the order of their places, whichever is heard of first."""
    pending = PendingWrites()
    pending.look()
    pending.adopt(found(op(7), op(5)))
    pending.add("b", write(9))

    assert (seqs(pending), pending.newest("a").seq, len(pending)) == ([5, 7], 7, 3)
    assert pending.newest("c") is None


def test_what_was_folded_into_an_earlier_write_is_what_readers_see():
    """The later ones were taken up too; should one of them be somebody else's, the next look finds it again."""
    pending = PendingWrites()
    pending.look()
    pending.adopt(found(op(5, body=b"1"), op(6, body=b"2")))
    pending.add("a", write(5, body=b"3"))

    assert (pending.newest("a").body, len(pending)) == (b"3", 1)
    contents, _ = pending.look()
    assert contents == {}


def test_what_is_queued_while_the_file_is_read_is_newer_than_the_answer():
    """The answer may be from before a fold; the next look is told of that op again, and takes it over."""
    pending = PendingWrites()
    pending.add("a", write(5, body=b"1"))
    pending.look()
    pending.add("a", write(5, body=b"2"))
    pending.adopt(found(op(5, body=b"1")))
    assert (pending.newest("a").body, pending.unseen) == (b"2", True)

    contents, _ = pending.look()
    assert (contents, pending.unseen) == ({}, False)
    pending.adopt(found(op(5, body=b"3")))
    assert pending.newest("a").body == b"3"


def test_what_is_known_as_it_is_stays_confirmed():
    """That the server has confirmed a write is not forgotten because the file is read."""
    pending = PendingWrites()
    pending.add("a", write(5))
    pending.look()
    pending.applied("a", 5, '"3"')
    pending.adopt(found(op(5)))

    assert pending.newest("a").applied


def test_what_the_file_no_longer_holds_is_told_anew_when_it_comes_back():
    """A write that is replayed is another one to the next look, though it does the same."""
    pending = PendingWrites()
    pending.look()
    pending.adopt(found(op(5)))
    assert pending.look()[0] == {5: ("put", b"{}")}
    pending.adopt(found(absent=[5]))

    assert pending.look()[0] == {}


def test_a_write_is_there_once():
    """What was adopted from the file before its own save returned is not added again."""
    pending = PendingWrites()
    pending.look()
    pending.adopt(found(op(5)))
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
    pending.adopt(found(op(5), op(6, "b")))

    assert (seqs(pending, "a"), seqs(pending, "b")) == ([5], [6])


def test_what_is_settled_while_the_file_is_read_does_not_come_back():
    """An old list of the file's ops does not revive what was settled since the look began."""
    pending = PendingWrites()
    pending.add("a", write(5))
    pending.look()
    pending.remove("a", 5)
    pending.adopt(found(op(5)))
    assert seqs(pending) == []

    pending.adopt(found(op(5)))

    assert seqs(pending) == [5]  # a later look finds it again: it was replayed


@pytest.mark.parametrize("verb", [Verb.PATCH, Verb.POST])
def test_what_does_not_say_all_of_the_entity_is_not_read(verb):
    """A patch and a message are not taken for the entity."""
    pending = PendingWrites()
    pending.look()
    pending.adopt(found(op(5, verb=verb)))

    assert len(pending) == 0


class Place(int):
    """Be a place that counts how often any of them was compared."""

    compared = 0

    def __eq__(self, other):
        """Compare."""
        Place.compared += 1
        return int(self) == other

    __hash__ = int.__hash__


def test_many_writes_of_one_key_are_not_compared_with_each_other():
    """A look at what a slider has queued while the server was away keeps the event loop no longer than it must."""
    ops = [op(Place(seq)) for seq in range(1, 501)]
    pending = PendingWrites()
    pending.look()
    pending.adopt(found(*ops))
    for each in ops:
        pending.applied("a", each.seq, '"1"')
        pending.remove("a", each.seq)

    assert len(pending) == 0
    assert Place.compared <= 20 * len(ops)
