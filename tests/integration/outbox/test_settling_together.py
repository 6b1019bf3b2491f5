"""What a batch has brought is recorded in one commit, and one op that cannot be recorded costs the others nothing."""

from __future__ import annotations

import pytest

from delivering import deliver, opened, put
from outlast.errors import LeaseLostError
from outlast.events import EventBus, OpDelivered, OpDied, OpSent
from outlast.outbox import Applied, Counts, Rejected
from outlast.sync_engine import CallableTransport


def batching(answers):
    """Return a transport whose batches get what a function says of all their ops."""

    async def batch(ops):
        return answers(ops)

    return CallableTransport(None, batch=batch)


async def test_an_op_that_was_taken_away_costs_the_others_nothing(place):
    """Its attempt belongs to somebody else by now; the receipts of those that travelled with it are written."""

    def answers(ops):
        place.execute("UPDATE $seal SET attempts = attempts + 1 WHERE seq = 3")
        return dict.fromkeys([op.seq for op in ops], Applied())

    async with opened(place) as box:
        await box.enqueue(*[put(f"n{number}") for number in range(6)])
        with pytest.raises(LeaseLostError, match="op 3 is no longer this process's to settle"):
            await deliver(box, batching(answers))

        assert await box.counts() == Counts(waiting=1, delivered=5)


async def test_plain_and_other_outcomes_of_a_batch_are_recorded_alike(place):
    """A version is handed on to the next write of its entity and a refusal is told of, whatever travels beside them."""

    def answers(ops):
        said = {"n1": Applied('"7"'), "n2": Rejected("422")}
        based.update({op.entity: op.if_match for op in ops})
        return {op.seq: said.get(op.entity, Applied()) for op in ops}

    based, bus, told = {}, EventBus(), []
    for kind in (OpSent, OpDelivered, OpDied):
        bus.subscribe(lambda event: told.append((type(event).__name__, event.seq)), kind)
    async with opened(place, bus=bus) as box:
        await box.enqueue(*[put(f"n{number}") for number in range(4)])
        await box.enqueue(put("n0", b"[]"), put("n1", b"[]"))
        await deliver(box, batching(answers))

        assert based == {"n0": None, "n1": '"7"', "n2": None, "n3": None}
        assert sorted(told) == [
            *[("OpDelivered", seq) for seq in (1, 2, 4, 5, 6)], ("OpDied", 3), *[("OpSent", n) for n in range(1, 7)]
        ]  # fmt: skip
        assert await box.counts() == Counts(delivered=5, dead=1)
