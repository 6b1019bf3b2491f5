"""Found by the torture: a dead letter that was sent before without an answer got a new key, and took effect twice."""

import pytest

from outlast.engines.backoff import Backoff
from outlast.outbox import Applied, Counts, DeliveryPolicy, InDoubt, Outbox, Rejected
from outlast.sync_engine import CallableTransport, Runner

POLICY = DeliveryPolicy(backoff=Backoff.fixed(0.001))


class Server:
    """Apply each key once; lose the first answer, and refuse what comes next, as a proxy does that is being moved."""

    def __init__(self, refusals):
        self.refusals = refusals
        self.requests, self.effects = [], {}

    async def __call__(self, op):
        self.requests.append(op.key)
        if len(self.requests) == 1:
            self.effects[op.key] = op.body
            return InDoubt("the answer was lost")
        if len(self.requests) <= 1 + self.refusals:
            return Rejected("307")
        self.effects.setdefault(op.key, op.body)
        return Applied()


@pytest.mark.parametrize("refusals", [1, 3])
async def test_an_unchanged_replay_keeps_its_key(place, refusals):
    """However often it died in between, the same request goes under the same key, and takes effect once."""
    server = Server(refusals)
    async with await Outbox.open(place) as box:
        ticket = await box.put("note", "n1", {"v": 1}, if_match='"1"')
        async with Runner(box, CallableTransport(server), policy=POLICY) as runner:
            await runner.run_until_idle()
            for _ in range(refusals):
                await box.replay(ticket.seq)
                await runner.run_until_idle()
        found = await box.counts()

    assert server.effects == {ticket.key: b'{"v":1}'}
    assert found == Counts(delivered=1)


@pytest.mark.parametrize("change", [{"body": {"v": 2}}, {"if_match": None}, {"if_match": '"2"'}])
async def test_a_changed_replay_gets_a_new_key(place, change):
    """One key stands for one request, so another request needs another key."""
    server = Server(refusals=1)
    async with await Outbox.open(place) as box:
        ticket = await box.put("note", "n1", {"v": 1}, if_match='"1"')
        async with Runner(box, CallableTransport(server), policy=POLICY) as runner:
            await runner.run_until_idle()
            await box.replay(ticket.seq, **change)
            await runner.run_until_idle()

    assert server.requests == [ticket.key] * 2 + [ticket.key[:-1] + "1"]
