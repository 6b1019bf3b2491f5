"""A known sync engine wrote row and order apart and sorted by wall clock: crashes and clock changes broke it."""

import pytest

from outlast.errors import StorageError
from outlast.outbox import Applied, Outbox, Verb, Write
from outlast.sync_engine import CallableTransport, Runner
from outlast.testing import ManualClock


async def test_order_does_not_come_from_the_clock(place):
    """A clock that jumps back between two writes does not swap them, nor does a restart."""
    clock, seen = ManualClock(), []

    async def server(op):
        seen.append(op.body)
        return Applied()

    for number in range(4):
        async with await Outbox.open(place, clock=clock) as box:
            await box.put("note", "n1", number)
            clock.jump_wall(-86_400.0)
    async with await Outbox.open(place) as box, Runner(box, CallableTransport(server)) as runner:
        await runner.run_until_idle()

    assert seen == [b"0", b"1", b"2", b"3"]


async def test_a_queueing_that_fails_halfway_leaves_nothing(place):
    """Row, place and name of every write of a call are there, or none of them is."""
    async with await Outbox.open(place) as box:
        place.refuse("c")
        writes = [Write(verb=Verb.PUT, kind="note", entity=entity, body=b"", once=entity) for entity in "abc"]

        with pytest.raises(StorageError):
            await box.enqueue(*writes)

        left = box.core.database.read(lambda db: db.execute("SELECT count(*) FROM op, once").get).result()
        await box.enqueue(writes[0])
        assert (left, (await box.counts()).total) == (0, 1)
