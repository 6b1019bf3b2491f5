"""Ops of one lane, and of one transaction, are never in one batch, so that no server can change their order."""

from __future__ import annotations

import pytest

from delivering import deliver, opened, put
from outlast.outbox import Applied, Busy, Coalescing, Counts
from outlast.sync_engine import CallableTransport


class Batches:
    """Answer batches from the last op to the first, some of them with trouble, and remember all."""

    def __init__(self, *trouble):
        self.trouble = list(trouble)
        self.seen = []

    async def batch(self, ops):
        """Take a batch."""
        self.seen.append([(op.entity, op.body) for op in ops])
        return {op.seq: self.answer(op) for op in reversed(ops)}

    def answer(self, op):
        """Refuse an entity's first op once."""
        if op.entity in self.trouble:
            self.trouble.remove(op.entity)
            return Busy("503")
        return Applied()

    async def one(self, op):
        """Take an op that travels alone."""
        return (await self.batch([op]))[op.seq]

    @property
    def transport(self):
        """Make a transport of it."""
        return CallableTransport(self.one, batch=self.batch)

    def of(self, entity):
        """Return the bodies that came for an entity, in order."""
        return [body for batch in self.seen for one, body in batch if one == entity]


@pytest.mark.parametrize(
    "options", [{}, {"coalescing": Coalescing(["other"])}], ids=["plain", "with-an-index-of-lanes"]
)
async def test_a_batch_holds_one_op_of_each_lane(place, options):
    """Five writes of each of four entities go in batches of four, each entity's in order, also after trouble."""
    server = Batches("n1", "n3")
    async with opened(place, **options) as box:
        await box.enqueue(*[put(f"n{entity}", b"%d" % number) for number in range(5) for entity in range(4)])
        await deliver(box, server.transport)

        assert all(len({entity for entity, _ in batch}) == len(batch) for batch in server.seen)
        assert max(map(len, server.seen)) == 4
        assert server.of("n0") == [b"0", b"1", b"2", b"3", b"4"]
        assert server.of("n1") == [b"0", b"0", b"1", b"2", b"3", b"4"]
        assert await box.counts() == Counts(delivered=20)


async def test_a_batch_holds_one_write_of_a_transaction(place):
    """What comes after another write waits for its delivery, whatever else there is room for."""
    server = Batches("list")
    async with opened(place) as box:
        async with box.transaction() as together:
            together.put("note", "list", b"0")
            together.put("note", "item", b"0")
        await box.enqueue(put("other", b"0"))
        await deliver(box, server.transport)

        assert [entity for batch in server.seen for entity, _ in batch if entity != "other"] == ["list", "list", "item"]
        assert not any({"list", "item"} <= {entity for entity, _ in batch} for batch in server.seen)
        assert await box.counts() == Counts(delivered=3)
