"""Writes that belong together: queued in one commit, delivered in their order."""

import pytest

from outlast.errors import ConfigError
from outlast.outbox import OpState


def fill(face, box, *bodies, fail=False, **options):
    """Queue a transaction in the colour of the box and return its tickets."""
    if hasattr(box, "aclose"):

        async def collect():
            async with box.transaction() as tx:
                return _fill(tx, bodies, options, fail)

        return face.do(collect())
    with box.transaction() as tx:
        return _fill(tx, bodies, options, fail)


def _fill(tx, bodies, options, fail):
    tickets = [tx.put("notes", entity, {"n": number}, **options) for number, entity in enumerate(bodies)]
    if fail:
        raise KeyError("the caller's own")
    return tickets


def test_they_come_after_each_other(face, box):
    """Each write of a transaction waits for the one in front of it, across lanes, and all know their group."""
    face.do(box.put("notes", "x", {}))
    tickets = fill(face, box, "a", "b", "c")

    ops = box.core.pending("notes").result(30)[1:]
    assert [(op.seq, op.after, op.group) for op in ops] == [(2, None, 2), (3, 2, 2), (4, 3, 2)]
    assert [ticket.seq for ticket in tickets] == [2, 3, 4]
    assert face.do(tickets[2].status()).state is OpState.READY


def test_nothing_is_queued_when_the_block_raises(face, box):
    """The caller's error comes through, and no write of the block is there."""
    with pytest.raises(KeyError):
        fill(face, box, "a", "b", fail=True)

    assert face.do(box.counts()).total == 0


def test_they_come_after_a_write_outside(face, box):
    """What one of them comes after, the whole transaction does."""
    outside = face.do(box.put("notes", "x", {}))
    fill(face, box, "a", "b", after=outside)

    assert [op.after for op in box.core.pending("notes").result(30)] == [None, 1, 2]


def test_tickets_wait_for_the_commit(face, box):
    """Inside the block a ticket says that its write has no place yet, and it may be named as what comes before."""
    entered = []

    async def collect():
        async with box.transaction() as tx:
            first = tx.create("notes", "a", {})
            tx.patch("notes", "a", {"n": 1}, after=first)
            entered.append(first)
            with pytest.raises(LookupError, match="before its transaction"):
                await first.status()

    if hasattr(box, "aclose"):
        face.do(collect())
    else:
        with box.transaction() as tx:
            first = tx.create("notes", "a", {})
            tx.patch("notes", "a", {"n": 1}, after=first)
            entered.append(first)
            with pytest.raises(LookupError, match="before its transaction"):
                first.status()

    assert face.do(entered[0].status()).state is OpState.READY


def test_several_outside_are_refused(face, box):
    """A transaction comes after one write outside, not after several; nothing is queued."""
    first, second = (face.do(box.put("notes", entity, {})) for entity in "xy")

    def collect(tx):
        tx.put("notes", "a", {}, after=first)
        tx.put("notes", "b", {}, after=second)

    async def awaited():
        async with box.transaction() as tx:
            collect(tx)

    def blocking():
        with box.transaction() as tx:
            collect(tx)

    with pytest.raises(ConfigError, match="one other write, not several"):
        face.do(awaited() if hasattr(box, "aclose") else blocking())
    assert face.do(box.counts()).total == 2


def test_what_is_not_there_cannot_come_first(face, box):
    """A place that was never given is refused, and nothing is queued."""
    with pytest.raises(ConfigError, match="no write 9 yet"):
        face.do(box.put("notes", "a", {}, after=9))

    assert face.do(box.counts()).total == 0


def test_one_that_was_known_before_does_not_cut_them_apart(face, box):
    """A write in the middle that was queued under its name before comes first, and the rest go in their order."""
    known = face.do(box.put("notes", "k", {}, once="k"))

    def collect(tx):
        tx.put("notes", "a", {})
        tx.put("notes", "k", {}, once="k")
        tx.put("notes", "b", {})

    async def awaited():
        async with box.transaction() as tx:
            collect(tx)

    def blocking():
        with box.transaction() as tx:
            collect(tx)

    face.do(awaited() if hasattr(box, "aclose") else blocking())

    assert known.seq == 1
    assert [(op.entity, op.after) for op in box.core.pending("notes").result(30)] == [("k", None), ("a", 1), ("b", 2)]
