"""A request is frozen by the commit that claims its op for the first time, and is not made anew."""

from __future__ import annotations

import asyncio

import pytest

from delivering import LATE, deliver, die_with_claims, opened, put, runner
from outlast.outbox import Applied, Counts, InDoubt, SealedRequest
from outlast.sync_engine import CallableTransport


class Version(CallableTransport):
    """Be one version of a program, which makes requests in a way of its own."""

    def __init__(self, label, answer, sent):
        super().__init__(None)
        self.label, self.answer, self.sent = label, answer, sent

    def seal(self, op):
        """Make the request of this version."""
        body = op.body and self.label.encode() + op.body
        return SealedRequest(method=self.label, url=f"/{self.label}", headers=(("Via", self.label),), body=body)

    async def send(self, op, request):
        """Note what is sent."""
        self.sent.append((op.key, request.method, request.url, tuple(request.headers), request.body))
        return self.answer


@pytest.mark.parametrize("killed", [False, True], ids=["without-answer", "killed"])
async def test_a_repetition_is_the_request_that_was_frozen(place, killed):
    """After a restart with other addresses, headers and bodies the old ones go again under the old key."""
    sent = []
    async with opened(place) as box:
        await box.enqueue(put("a"))
        async with runner(box, Version("old", InDoubt("cut"), sent), policy=LATE) as run, asyncio.timeout(60):
            running = asyncio.create_task(run.run_forever())
            while not (await box.counts()).waiting or not sent:  # noqa: ASYNC110 - it comes from a thread
                await asyncio.sleep(0.005)
            running.cancel()
    if killed:
        die_with_claims(place)
    else:
        place.execute("UPDATE $seal SET due = 0, delay = 0")
    async with opened(place) as box:
        await box.enqueue(put("b"))
        await deliver(box, Version("new", Applied(), sent))

        assert await box.counts() == Counts(delivered=2)
    (first, again, other) = sorted(sent, key=lambda one: one[0])
    assert first == again
    assert first[1:] == ("old", "/old", (("Via", "old"),), b"old{}")
    assert other[1:] == ("new", "/new", (("Via", "new"),), b"new{}")
