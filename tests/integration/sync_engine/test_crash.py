from __future__ import annotations

import asyncio
import os
import signal
from collections import defaultdict
from contextlib import AsyncExitStack

import pytest

from outlast.lab.proxy import Healthy, Latency
from outlast.outbox import Counts, OpState

SIGKILLED = -signal.SIGKILL


async def queue(world, box, count):
    """Queue writes of three entities in turn."""
    for number in range(count):
        await box.put("notes", world.note(str(number % 3)), world.body(str(number)))


def identities(proxy):
    """Return the bodies, preconditions and addresses that were sent under each key."""
    found = defaultdict(set)
    for exchange in proxy.exchanges:
        found[exchange.idempotency_key].add((exchange.method, exchange.path, exchange.body_sha256, exchange.if_match))
    return found


def in_order(world, count):
    """Tell whether each entity saw its writes once and in order."""
    applied = [int(write) for write in world.writes()]
    lanes = [[number for number in applied if number % 3 == lane] for lane in range(3)]
    return lanes == [list(range(lane, count, 3)) for lane in range(3)]


@pytest.mark.parametrize("point", ["before-send", "before-commit"])
@pytest.mark.usefixtures("place")
async def test_a_process_that_kills_itself_at_a_named_point_loses_nothing(world, point):
    """After the claim and before a byte, or after the answer and before the commit: the next one repeats the same."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        await queue(world, box, 6)

        for _ in range(2):
            process = world.start("--url", world.url, "--die", point, "--concurrency", 1)
            assert await world.ended(process) == SIGKILLED
        during = await box.list()
        await world.deliver(box)

        assert {status.state for status in during} <= {OpState.SENT, OpState.READY}
        assert sum(status.attempts for status in during) == 2
        assert in_order(world, 6)
        assert await box.counts() == Counts(delivered=6)
        assert {len(sent) for sent in identities(proxy).values()} == {1}
        assert len(proxy.exchanges) == (8 if point == "before-commit" else 6)


async def test_a_process_killed_between_both_commits_repeats_the_same_request(world):
    """The server has applied and answered, the outbox does not know: the same key and bytes come again, one effect."""
    victim, killed = [], set()

    async def kill_at_first_sight(exchange):
        if victim and exchange.idempotency_key not in killed:
            killed.add(exchange.idempotency_key)
            victim[0].kill()

    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied(on_answer=kill_at_first_sight))
        box = await world.open(stack)
        await queue(world, box, 9)
        for _ in range(9):
            victim[:] = [world.start("--url", world.url, "--concurrency", 1)]
            if await world.ended(victim[0]) != SIGKILLED:
                break
        victim.clear()
        await world.deliver(box)

        assert len(killed) == 9
        assert in_order(world, 9)
        assert {len(sent) for sent in identities(proxy).values()} == {1}
        assert await box.counts() == Counts(delivered=9)


@pytest.mark.usefixtures("place")
async def test_without_keys_the_same_crash_is_settled_by_reading_back(world):
    """A server that knows no keys refuses the repetition of a create, and its content proves that it was ours."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        ticket = await box.create("notes", world.note(), world.body("ours"))
        process = world.start("--url", world.url, "--die", "before-commit", "--no-keys")
        assert await world.ended(process) == SIGKILLED
        process = world.start("--url", world.url, "--no-keys")
        assert await world.ended(process) == 0

        assert (await ticket.status()).state is OpState.DELIVERED
        assert world.writes() == ["ours"]
        assert [(exchange.method, exchange.upstream_status) for exchange in proxy.exchanges] == [
            ("PUT", 201),
            ("PUT", 412),
            ("GET", 200),
        ]


@pytest.mark.usefixtures("place")
async def test_a_killed_holder_is_replaced_at_once(world):
    """Its lock dies with it, so nobody waits for the time to live; until then a second one is refused."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        first = world.start("--url", world.url, "--forever", "--ttl", 3600)
        assert await world.says(first) == {"leased": True}
        refused = world.start("--url", world.url, "--ttl", 3600)
        assert await world.says(refused) == {"error": "LeaseHeldError"}
        first.kill()
        await world.ended(first)
        ticket = await box.put("notes", world.note(), world.body("x"))
        second = world.start("--url", world.url, "--forever", "--ttl", 3600)

        assert (await ticket.settled(timeout=50)).state is OpState.DELIVERED
        assert second.poll() is None


@pytest.mark.usefixtures("place")
async def test_a_frozen_holder_is_replaced_and_its_late_result_refused(world, until):
    """The heir delivers after the time to live; the frozen one wakes up, learns that it has lost, and ends."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        tickets = [await box.put("notes", world.note(str(number)), world.body(str(number))) for number in range(3)]
        # So long that it is not frozen in the middle of a commit, which would keep the file from everybody.
        proxy.set(Latency(1.0))
        frozen = world.start("--url", world.url, "--forever", "--ttl", 0.9)
        await until(lambda: len(proxy.exchanges) == 3)
        os.kill(frozen.pid, signal.SIGSTOP)
        proxy.set(Healthy())
        while True:
            heir = world.start("--url", world.url, "--ttl", 60)
            if await world.says(heir) == {"leased": True}:
                break
            await asyncio.sleep(0.05)
        assert await world.ended(heir) == 0
        delivered = [await ticket.status() for ticket in tickets]
        os.kill(frozen.pid, signal.SIGCONT)
        assert await world.ended(frozen) == 0
        said = frozen.stdout.read()

        assert '"error": "LeaseLostError"' in said
        assert '"delivered"' not in said
        assert [status.state for status in delivered] == [OpState.DELIVERED] * 3
        assert sorted(world.writes()) == ["0", "1", "2"]
        assert await box.counts() == Counts(delivered=3)
        assert {len(sent) for sent in identities(proxy).values()} == {1}


@pytest.mark.usefixtures("place")
async def test_racing_runners_share_the_work_without_doubling_it(world):
    """Of several that start at the same moment one delivers; the others are refused or come after it."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        await queue(world, box, 60)
        processes = [world.start("--url", world.url) for _ in range(4)]
        codes = [await world.ended(process) for process in processes]
        if (await box.counts()).open:
            await world.deliver(box)

        assert codes == [0] * 4
        assert in_order(world, 60)
        assert await box.counts() == Counts(delivered=60)


async def test_credentials_of_a_killed_process_are_in_no_file(world):
    """Not even a process that dies with a sealed op leaves its token behind."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        await queue(world, box, 3)
        assert await world.ended(world.start("--url", world.url, "--die", "before-commit")) == SIGKILLED

    stored = b"".join(path.read_bytes() for path in world.path.parent.iterdir() if path.is_file())
    assert world.prefix.encode() in stored
    assert b"very-secret-token" not in stored


@pytest.mark.usefixtures("place")
async def test_ctrl_c_lets_the_requests_on_the_wire_finish(world, until):
    """An interrupted process records what was answered, gives the lease back, and leaves the rest for later."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(world.proxied())
        box = await world.open(stack)
        for number in range(12):
            await box.put("notes", world.note(str(number)), world.body(str(number)))
        proxy.set(Latency(0.4))
        process = world.start("--url", world.url, "--forever", "--concurrency", 3)
        await until(lambda: len(proxy.exchanges) == 3)
        os.kill(process.pid, signal.SIGINT)
        await world.ended(process)
        after = await box.counts()
        proxy.set(Healthy())
        await world.deliver(box)  # would be refused if the lease were still held

        assert after == Counts(ready=9, delivered=3)
        assert len(proxy.exchanges) == 12
        assert sorted(map(int, world.writes())) == list(range(12))
