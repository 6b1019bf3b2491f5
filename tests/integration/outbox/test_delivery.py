"""What waits goes out: in the order of its lane, as many at once as allowed, soon, and with its story told."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections import defaultdict

from delivering import Server, opened, put, runner, until
from outlast.events import LeaseTaken, OpEvent, OriginPaused
from outlast.outbox import Applied, Busy, Counts, Gone, InDoubt, NotApplied, OpState, Rejected
from outlast.outbox._loop import DeliveryLoop
from outlast.policies import CircuitBreaker
from outlast.testing import Recorder


async def test_many_callers_share_a_commit(place):
    """A thousand writes at the same time take a few commits, and each caller learns its own place."""
    async with opened(place) as box:
        tickets = await asyncio.gather(*(box.put("note", str(number), {}) for number in range(1000)))

        assert [ticket.seq for ticket in tickets] == list(range(1, 1001))
        assert box.core.database.commits < 100


async def test_a_cancelled_caller_queues_whole_or_nothing(place):
    """Cancelling at any moment leaves all writes of the call or none."""
    async with opened(place) as box:
        for turn in range(40):
            task = asyncio.create_task(box.enqueue(*[put(f"{turn}-{part}") for part in range(5)]))
            for _ in range(turn % 8):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await box.core.result(box.core.database.write(lambda db: None))  # what was on its way is there now

        found = defaultdict(int)
        for op in await box.pending("note"):
            found[op.entity.partition("-")[0]] += 1
        assert set(found.values()) <= {5}
        assert (await box.counts()).ready == sum(found.values())


async def test_events_tell_the_story_of_an_op(place):
    """Queued, sent, postponed, sent again, delivered; and the ways in which it can end otherwise."""
    server = Server(a=[InDoubt("cut"), Busy("429", 0.02, whole_origin=True)], b=[Gone("404")], c=[Rejected("400")])
    async with opened(place) as box:
        with Recorder(box.core.bus, OpEvent, LeaseTaken, OriginPaused) as seen:
            for entity in "abc":
                await box.enqueue(put(entity))
                async with runner(box, server) as run:
                    await run.run_until_idle()

    story = [event.event_type.removeprefix("Op") for event in seen.events if event.event_type != "LeaseTaken"]
    assert story == [
        *["Enqueued", "Sent", "Postponed", "Sent", "Postponed", "OriginPaused".removeprefix("Op"), "Sent", "Delivered"],
        *["Enqueued", "Sent", "Conflicted"],
        *["Enqueued", "Sent", "Died"],
    ]
    assert [event.fence for event in seen.of(LeaseTaken)] == [1, 2, 3]


async def test_lanes_keep_their_order_under_concurrency_and_failures(place):
    """Whatever fails, and however many go at once, each entity sees its writes in the order of queueing."""
    entities = [f"e{number}" for number in range(12)]
    script = {
        entity: [InDoubt("cut"), NotApplied("no"), Busy("503")] * (number % 3) for number, entity in enumerate(entities)
    }
    server = Server(**script)
    async with opened(place) as box:
        for _ in range(10):
            await box.enqueue(*[put(entity) for entity in entities])
        async with runner(box, server, concurrency=6, breaker=CircuitBreaker(failure_threshold=10_000)) as run:
            await run.run_until_idle()

        lanes = defaultdict(list)
        for op in server.seen:
            if op.seq not in lanes[op.entity][-1:]:
                lanes[op.entity].append(op.seq)
        assert all(seqs == sorted(set(seqs)) and len(seqs) == 10 for seqs in lanes.values())
        assert await box.counts() == Counts(delivered=120)


async def test_no_more_requests_fly_than_allowed(place):
    """Concurrency is a limit, and it is used."""
    flying, most = 0, 0

    async def act(op):
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0.005)
        flying -= 1
        return Applied()

    async with opened(place) as box:
        await box.enqueue(*[put(str(number)) for number in range(30)])
        async with runner(box, act, concurrency=4) as run:
            await run.run_until_idle()

    assert most == 4


async def test_work_of_other_processes_is_seen(place):
    """What another handle queues is delivered without anybody telling this one."""
    server = Server()
    async with opened(place) as box, opened(place) as producer, runner(box, server) as run:
        running = asyncio.create_task(run.run_forever())
        ticket = await producer.put("note", "a", {})
        status = await ticket.settled(timeout=50)
        running.cancel()

    assert (status.state, server.entities) == (OpState.DELIVERED, ["a"])


async def test_a_loop_without_work_looks_half_as_often(place, monkeypatch):
    """It does so until there is something to send again, which it still finds by itself."""
    looks, look_in = [], DeliveryLoop._look_in
    monkeypatch.setattr("outlast.outbox._loop._POLL_EVERY", 0.01)
    monkeypatch.setattr("outlast.outbox._loop._QUIET_AFTER", 3)
    monkeypatch.setattr(DeliveryLoop, "_look_in", lambda loop: looks.append(look_in(loop)) or looks[-1])
    async with opened(place) as box, opened(place) as producer, runner(box, Server()) as run:
        running = asyncio.create_task(run.run_forever())
        await until(lambda: 0.02 in looks)
        first, quiet = looks[: looks.index(0.02)], len(looks)
        ticket = await producer.put("note", "a", {})
        await ticket.settled(timeout=50)
        await until(lambda: 0.01 in looks[quiet:])
        running.cancel()

    assert first == [0.01] * len(first)
    assert len(first) >= 3


async def test_own_writes_wake_the_loop_at_once(place, monkeypatch):
    """A write that is queued while the loop sleeps does not wait for its next look at the file."""
    monkeypatch.setattr("outlast.outbox._loop._POLL_EVERY", 3600.0)
    async with opened(place) as box, runner(box, Server()) as run:
        running = asyncio.create_task(run.run_forever())
        for number in range(5):
            await asyncio.sleep(0.02)
            await box.put("note", str(number), {})
            await until(lambda number=number: run.stats.delivered == number + 1)
        running.cancel()


async def test_a_busy_file_is_waited_for(place):
    """Another process that holds the write lock for a while delays this one and no more."""
    async with opened(place) as box, opened(place) as other:
        hold = asyncio.wrap_future(place.lock(other, 0.3))
        await asyncio.sleep(0.05)
        ticket = await box.put("note", "a", {})
        async with runner(box, Server()) as run:
            await run.run_until_idle()
        await hold

        assert (await ticket.status()).state is OpState.DELIVERED


class Steps(Server):
    """A server that knows how much work lies between one arrival and a later one.

    Work is what the threads call, and in scores what SQLite's machine does; PostgreSQL works elsewhere.
    """

    def __init__(self):
        super().__init__()
        self.count, self.at, self.over = 0, [], asyncio.Event()

    async def __call__(self, op):
        """Note how much was done until now."""
        self.at.append(self.count)
        if len(self.at) > 700:
            self.over.set()
        return Applied()

    def called(self, _frame, _event, _argument):
        """Be a profiler."""
        self.count += 1

    def went_on(self):
        """Be SQLite's progress handler."""
        self.count += 1
        return False

    def watch(self, db):
        """Be a job that counts what its connection does from now on."""
        if hasattr(db, "set_progress_handler"):
            db.set_progress_handler(self.went_on, 20)

    def __enter__(self):
        self.before = sys.getprofile()
        threading.setprofile(self.called)
        sys.setprofile(self.called)
        return self

    def __exit__(self, *_):
        sys.setprofile(self.before)
        threading.setprofile(self.before)


async def test_delivery_does_not_slow_down_with_the_queue(place):
    """However much waits behind it, what goes takes the same work."""

    async def work(number):
        with Steps() as server:
            async with opened(place.another(str(number))) as box:
                for first in range(0, number, 1000):
                    await box.enqueue(*[put(str(entity)) for entity in range(first, first + 1000)])
                for run in (box.core.database.write, box.core.database.read):
                    await asyncio.wrap_future(run(server.watch))
                async with runner(box, server, concurrency=32) as run:
                    running = asyncio.create_task(run.run_forever())
                    await server.over.wait()
                    running.cancel()
        return server.at[700] - server.at[100]

    few, many = await work(1000), await work(8000)

    assert many < 1.15 * few
