"""A known sync engine reconciled a 409 by sending again at once, without counting: an endless loop."""

import asyncio

import pytest

from outlast.engines.backoff import Backoff
from outlast.outbox import DeliveryPolicy, Found, Missing, OpState, Outbox, Stale, Unreadable
from outlast.sync_engine import CallableTransport, Runner


@pytest.mark.parametrize(
    ("verb", "found", "most"),
    [
        pytest.param("put", Found(False), 1, id="other-content"),
        pytest.param("create", Found(False), 1, id="create-of-what-exists"),
        pytest.param("put", Missing(), 1, id="put-of-what-is-gone"),
        pytest.param("create", Missing(), 6, id="create-refused-though-nothing-is-there"),
        pytest.param("put", Unreadable("405", permanent=True), 1, id="never-readable"),
        pytest.param("put", None, 1, id="no-way-to-read-back"),
        pytest.param("post", Found(True), 1, id="a-message"),
    ],
)
async def test_a_server_that_always_says_409_gets_few_requests(place, verb, found, most):
    """After at most six of them the write lies in the conflict inbox, and a person is asked."""
    requests = 0

    async def server(op):
        nonlocal requests
        requests += 1
        return Stale("409")

    async def read_back(op):
        return found

    async with await Outbox.open(place) as box:
        ticket = await getattr(box, verb)("note", "n1", {})
        transport = CallableTransport(server, read_back=None if found is None else read_back)
        policy = DeliveryPolicy(backoff=Backoff.fixed(0.01))
        async with Runner(box, transport, policy=policy) as runner, asyncio.timeout(50):
            await runner.run_until_idle()

        assert (await ticket.status()).state is OpState.CONFLICT
        assert requests == most
