"""Refused credentials are refreshed once for all that share them."""

import asyncio

import pytest

from delivering import Server, deliver, opened, put, runner
from outlast.engines.backoff import Backoff
from outlast.errors import AuthenticationError
from outlast.outbox import Applied, AuthNeeded, Counts, DeliveryPolicy, Found, InDoubt, Unreadable
from outlast.sync_engine import CallableTransport


class Account:
    """Know one token at a time; refreshing takes a while."""

    def __init__(self, renewals=100):
        self.good, self.token = 1, 0
        self.renewals = renewals
        self.refreshing = False
        self.refreshed, self.meanwhile = 0, 0

    async def act(self, op):
        """Take an op that comes with the right token."""
        self.meanwhile += self.refreshing
        token = self.token
        await asyncio.sleep(0.005)
        return Applied() if token == self.good else AuthNeeded("401 token expired")

    async def refresh(self):
        """Get a token."""
        if self.refreshed == self.renewals:
            raise ConnectionError("the login server is away")
        self.refreshing = True
        await asyncio.sleep(0.05)
        self.refreshed += 1
        self.token, self.refreshing = self.good, False


async def test_many_refusals_are_one_refresh(place):
    """Eight ops are refused at once: one refresh, nothing sent meanwhile, and all delivered with nothing charged."""
    account = Account()
    async with opened(place) as box:
        await box.enqueue(*[put(str(number)) for number in range(20)])
        await deliver(box, CallableTransport(account.act, refresh=account.refresh), concurrency=8)

        assert (account.refreshed, account.meanwhile, await box.counts()) == (1, 0, Counts(delivered=20))


async def test_a_token_that_has_run_out_while_nothing_was_sent(place):
    """What is too old to be sent again is only read back, with the old token for ever; a later expiry is one more."""
    account = Account()

    async def act(op):
        return InDoubt("the connection broke") if op.entity == "old" else await account.act(op)

    async def read_back(op):
        return Found(True) if account.token == account.good else Unreadable("401 token expired", unauthorized=True)

    async with opened(place) as box:
        await box.enqueue(put("old"))
        transport = CallableTransport(act, read_back=read_back, refresh=account.refresh)
        policy = DeliveryPolicy(backoff=Backoff.fixed(0.01), key_ttl=0.001)
        async with runner(box, transport, policy=policy) as run, asyncio.timeout(60):
            await run.run_until_idle()
            account.good = 2
            await box.enqueue(put("new"))
            await run.run_until_idle()

        assert (account.refreshed, await box.counts()) == (2, Counts(delivered=2))


async def test_credentials_that_run_out_again_are_refreshed_again(place):
    """Each expiry is a refresh of its own, once the last one had been taken."""
    account, taken = Account(), []

    async def act(op):
        if len(taken) == 5:
            account.good = 2
        answer = await account.act(op)
        taken.extend([op] if isinstance(answer, Applied) else [])
        return answer

    async with opened(place) as box:
        await box.enqueue(*[put(str(number)) for number in range(10)])
        await deliver(box, CallableTransport(act, refresh=account.refresh), concurrency=1)

        assert (account.refreshed, await box.counts()) == (2, Counts(delivered=10))


async def test_new_credentials_that_are_refused_too_stop_the_delivery(place):
    """There is no endless dance of refusing and refreshing."""
    account = Account()

    async def act(op):
        return AuthNeeded("401")

    async with opened(place) as box:
        await box.enqueue(put("a"), put("b"))
        with pytest.raises(AuthenticationError, match="refuses the credentials"):
            await deliver(box, CallableTransport(act, refresh=account.refresh))

        assert (account.refreshed, (await box.counts()).open) == (1, 2)


async def test_a_refresh_that_fails_stops_the_delivery_and_loses_nothing(place):
    """The error says why, and a later run tries again."""
    account = Account(renewals=0)
    async with opened(place) as box:
        await box.enqueue(*[put(str(number)) for number in range(9)])
        async with runner(box, CallableTransport(account.act, refresh=account.refresh)) as run:
            with pytest.raises(AuthenticationError, match="the login server is away") as caught:
                async with asyncio.timeout(60):
                    await run.run_until_idle()
            account.renewals = 1
            async with asyncio.timeout(60):
                await run.run_until_idle()

        assert isinstance(caught.value.__cause__, ConnectionError)
        assert await box.counts() == Counts(delivered=9)


async def test_a_late_refusal_of_old_credentials_does_not_stop_the_run_with_new_ones(place):
    """What an earlier run has sent may be refused during the next; that says nothing about what the next one sends."""
    token, late, started = "old", asyncio.Event(), asyncio.Event()

    async def act(op):
        sent_with = token
        if op.entity == "b" and sent_with == "old":
            started.set()
            await late.wait()
        elif op.entity == "a" and sent_with == "old":
            await started.wait()
        elif op.entity == "a":
            late.set()
        return AuthNeeded("401") if sent_with == "old" else Applied()

    async with opened(place) as box:
        await box.enqueue(put("a"), put("b"))
        async with runner(box, CallableTransport(act)) as run, asyncio.timeout(60):
            with pytest.raises(AuthenticationError):
                await run.run_until_idle()
            token = "new"
            await run.run_until_idle()

        assert await box.counts() == Counts(delivered=2)


async def test_who_has_other_credentials_goes_on(place):
    """While one account is refreshed, the ops of another are delivered; those that share it wait."""
    account, others = Account(), Server()
    released = asyncio.Event()

    async def refresh():
        await released.wait()
        await account.refresh()

    shared = CallableTransport(account.act, refresh=refresh, name="one")
    twin = CallableTransport(account.act, refresh=refresh, name="two")
    async with opened(place) as box:
        await box.enqueue(put("a"), put("b", kind="twin"))
        async with runner(box, {"note": shared, "twin": twin, "else": CallableTransport(others, name="x")}) as run:
            running = asyncio.create_task(run.run_until_idle())
            await box.enqueue(*[put(str(number), kind="else") for number in range(5)])
            for seq in range(3, 8):
                await box.ticket(seq).settled(timeout=60)
            released.set()
            await asyncio.wait_for(running, 60)

        assert (account.refreshed, len(others.seen), await box.counts()) == (1, 5, Counts(delivered=7))


async def test_leaving_ends_a_refresh_that_hangs(place):
    """No task is left behind."""
    tasks, begun = asyncio.all_tasks(), asyncio.Event()

    async def refresh():
        begun.set()
        await asyncio.sleep(3600)

    async with opened(place) as box:
        await box.enqueue(put("a"))
        async with runner(box, CallableTransport(Server(a=[AuthNeeded("401")]), refresh=refresh)) as run:
            running = asyncio.create_task(run.run_forever())
            await begun.wait()
            running.cancel()
            await asyncio.wait([running])

        assert asyncio.all_tasks() == tasks
        assert (await box.counts()).waiting == 1
