"""A known sync engine changed ops and kept their key: servers repeat the old answer, or answer 422."""

from outlast.engines.backoff import Backoff
from outlast.outbox import Applied, DeliveryPolicy, InDoubt, Outbox, Rejected
from outlast.sync_engine import CallableTransport, Runner


async def test_a_key_stands_for_one_body_for_ever(place):
    """Attempts in doubt repeat key and body; a decision that changes the body makes a new key."""
    answers = [InDoubt("cut"), InDoubt("cut"), Rejected("400"), InDoubt("cut"), Applied()]
    sent = []

    async def server(op):
        sent.append((op.key, op.body))
        return answers.pop(0)

    async with await Outbox.open(place) as box:
        ticket = await box.put("note", "n1", {"v": 1})
        policy = DeliveryPolicy(backoff=Backoff.fixed(0.01))
        async with Runner(box, CallableTransport(server), policy=policy) as runner:
            await runner.run_until_idle()
            await box.replay(ticket.seq, {"v": 2})
            await runner.run_until_idle()

    assert [body for _, body in sent] == [b'{"v":1}'] * 3 + [b'{"v":2}'] * 2
    assert [key for key, _ in sent] == [ticket.key] * 3 + [ticket.key[:-1] + "1"] * 2
