from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict

import pytest

from outlast.engines.backoff import Backoff
from outlast.errors import (
    AuthenticationError,
    ConfigError,
    LeaseHeldError,
    LeaseLostError,
    ShuttingDownError,
    StorageFullError,
)
from outlast.events import EventBus, LeaseLost, LeaseTaken, OpEvent, OriginPaused
from outlast.outbox import (
    Applied,
    AuthNeeded,
    Busy,
    Counts,
    DeliveryPolicy,
    Found,
    Gone,
    InDoubt,
    LeaseConfig,
    Missing,
    NotApplied,
    OpState,
    Outbox,
    ProcessingLease,
    Rejected,
    Report,
    SealedRequest,
    Stale,
    SyncOutbox,
    Terms,
    Verb,
    Write,
)
from outlast.outbox._records import Withdrawn
from outlast.policies import CircuitBreaker, HalfOpen
from outlast.sync_engine import CallableTransport, Runner
from outlast.testing import ManualClock, Recorder

SOON = DeliveryPolicy(backoff=Backoff.fixed(0.01))
LATE = DeliveryPolicy(backoff=Backoff.fixed(3600.0))


@contextlib.asynccontextmanager
async def opened(place, **options):
    """Open an outbox with a bus of its own."""
    options = {"bus": EventBus(), "durability": "process", **options}
    async with await Outbox.open(place, **options) as box:
        yield box


def put(entity, body=b"{}", **options):
    """Make a write of a note."""
    return Write(verb=Verb.PUT, kind="note", entity=entity, body=body, **options)


class Server:
    """Answer by a script for each entity, then with success; remember what came."""

    def __init__(self, **script):
        self.script = defaultdict(list, {entity: list(answers) for entity, answers in script.items()})
        self.seen = []

    async def __call__(self, op):
        self.seen.append((op.entity, op.seq))
        return self.script[op.entity].pop(0) if self.script[op.entity] else Applied()

    @property
    def entities(self):
        return [entity for entity, _ in self.seen]


def runner(box, server, **options):
    """Make a runner that carries ops to a function."""
    return Runner(box, server if hasattr(server, "seal") else CallableTransport(server), **{"policy": SOON, **options})


async def until(condition, seconds=5.0):
    """Wait for what happens elsewhere."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it comes from threads and processes too
            await asyncio.sleep(0.005)


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
        for entity, seq in server.seen:
            if seq not in lanes[entity][-1:]:
                lanes[entity].append(seq)
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


@pytest.mark.timeout(600)
async def test_decisions_made_while_ops_fly_do_no_harm(place):
    """What is settled while the file is read after a decision does not come back as waiting."""
    dead = [f"dead{number}" for number in range(40)]
    server = Server(**{entity: [Rejected("400")] for entity in dead})
    async with opened(place) as box:
        await box.enqueue(*[put(entity) for entity in dead])
        await box.enqueue(*[put(str(number)) for number in range(1000)])
        async with runner(box, server, concurrency=32) as run:
            running = asyncio.create_task(run.run_forever())
            for number in range(1, 41):
                await box.ticket(number).settled(timeout=50)
                await (box.replay(number) if number % 2 else box.discard(number))
            running.cancel()
            async with asyncio.timeout(100):
                await run.run_until_idle()

        counts = await box.counts()
        assert counts == Counts(delivered=1020)
        assert len(server.seen) == 1060


async def test_a_replay_does_not_disturb_the_op_that_flies(place):
    """Where lanes are not parked, a later op may fly when an earlier one comes back; both are delivered."""
    go = asyncio.Event()
    server = Server(a=[Rejected("400")])

    async def act(op):
        answer = await server(op)
        if op.seq == 2:
            await go.wait()
        return answer

    async with opened(place) as box:
        await box.enqueue(put("a"), put("a"), put("a"))
        async with runner(box, act, park_lanes=False) as run:
            running = asyncio.create_task(run.run_until_idle())
            await until(lambda: len(server.seen) == 2)
            await box.replay(1)
            await asyncio.sleep(0.05)
            go.set()
            async with asyncio.timeout(50):
                await running

        assert [seq for _, seq in server.seen] == [1, 2, 1, 3]
        assert await box.counts() == Counts(delivered=3)


async def test_a_poisoned_lane_holds_back_only_itself(place):
    """With parked lanes idle is reached, and a decision of another process lets the rest of the lane go."""
    server = Server(a=[Rejected("400")])
    async with opened(place) as box, opened(place) as other:
        await box.enqueue(put("a"), put("a"), put("b"))
        async with runner(box, server) as run:
            await run.run_until_idle()
            parked = await box.counts()
            await other.discard(1)
            forever = asyncio.create_task(run.run_forever())
            await box.ticket(2).settled(timeout=50)
            forever.cancel()

    assert parked == Counts(ready=1, dead=1, delivered=2 - 1)
    assert server.seen == [("a", 1), ("b", 3), ("a", 2)]


async def test_the_version_of_an_ack_goes_to_the_follower(place):
    """The next write of the entity is based on what this one made, and only that one."""
    seen = []

    async def act(op):
        seen.append((op.seq, op.if_match))
        return Applied(f'"{op.seq}"')

    async with opened(place) as box:
        await box.enqueue(put("a", if_match='"0"'), put("a", if_match='"0"'), put("a"), put("b", if_match='"0"'))
        async with runner(box, act, concurrency=1) as run:
            await run.run_until_idle()

    assert sorted(seen) == [(1, '"0"'), (2, '"1"'), (3, '"2"'), (4, '"0"')]


@pytest.mark.parametrize(
    ("second", "etag", "expected"),
    [
        pytest.param(Write(verb=Verb.PUT, kind="list", entity="a", body=b"", lane="x"), '"1"', None, id="another-kind"),
        pytest.param(put("b", lane="x"), '"1"', None, id="another-entity"),
        pytest.param(Write(verb=Verb.CREATE, kind="note", entity="a", body=b"", lane="x"), '"1"', None, id="a-create"),
        pytest.param(put("a", lane="x"), 'W/"1"', None, id="a-weak-version"),
        pytest.param(put("a", lane="x"), None, None, id="no-version"),
        pytest.param(put("a", lane="x"), '"1"', '"1"', id="its-own"),
    ],
)
async def test_only_a_true_follower_gets_the_version(place, second, etag, expected):
    """A version of something else, or one that If-Match never accepts, would make a conflict of it."""
    seen = []

    async def act(op):
        seen.append(op.if_match)
        return Applied(etag)

    async with opened(place) as box:
        await box.enqueue(put("a", lane="x"), second)
        async with runner(box, act) as run:
            await run.run_until_idle()

    assert seen == [None, expected]


async def test_a_follower_that_came_late_gets_the_version_too(place):
    """One that was queued while its predecessor flew, and that the loop has not seen yet, is found by the commit."""
    seen = []

    async def act(op):
        seen.append((op.seq, op.if_match))
        return Applied('"new"')

    async with opened(place) as box:
        await box.enqueue(put("a", if_match='"old"'))

        async def queue_another(op, step):
            if op.seq == 1:
                box.core.enqueue([put("b"), put("a", if_match='"old"')]).result(5)

        async with runner(box, act, before_settle=queue_another) as run:
            await run.run_until_idle()

    assert sorted(seen) == [(1, '"old"'), (2, None), (3, '"new"')]


@pytest.mark.parametrize(
    ("found", "state", "reason"),
    [
        pytest.param(Found(True, '"7"'), OpState.DELIVERED, "", id="our-own"),
        pytest.param(Found(False), OpState.CONFLICT, "412; the server holds other content", id="somebody-elses"),
        pytest.param(Missing(), OpState.CONFLICT, "412; the entity is gone on the server", id="gone"),
    ],
)
async def test_a_refused_precondition_is_settled_by_reading_back(place, found, state, reason):
    """Equal is delivered, different is a conflict, and neither is sent again."""
    server = Server(a=[Stale("412")])

    async def read_back(op):
        return found

    async with opened(place) as box:
        (ticket,) = await box.enqueue(put("a"))
        async with runner(box, CallableTransport(server, read_back=read_back)) as run:
            await run.run_until_idle()
        status = await ticket.status()

    assert (status.state, status.reason, len(server.seen)) == (state, reason, 1)


@pytest.mark.parametrize("broken", ["send", "read_back", "garbage"])
async def test_a_transport_that_breaks_its_promise_is_in_doubt(place, broken):
    """What it raises, or returns instead of an answer, ends neither the loop nor the op; it is tried again."""
    turns = []

    class Breaking(CallableTransport):
        async def send(self, op, request):
            turns.append(1)
            if len(turns) > 1:
                return Applied()
            if broken == "send":
                raise RuntimeError("bug")
            return None if broken == "garbage" else Stale("412")

        async def read_back(self, op, request):
            raise RuntimeError("bug")

    async with opened(place) as box:
        (ticket,) = await box.enqueue(put("a"))
        with Recorder(box.core.bus, OpEvent) as seen:
            async with runner(box, Breaking(None)) as run:
                async with asyncio.timeout(50):
                    await run.run_until_idle()

        assert (await ticket.status()).state is OpState.DELIVERED
        assert len(turns) == 2
        assert next(event.reason for event in seen.events if event.event_type == "OpPostponed")


@pytest.mark.parametrize("error", [ConfigError("no address for it"), KeyError("kind")], ids=["config", "bug"])
async def test_an_op_that_cannot_be_sealed_dies_alone(place, error):
    """The others of its group go out, and its own lane waits for a decision."""

    class Picky(CallableTransport):
        refuses = True

        def seal(self, op):
            if op.seq == 2 and self.refuses:
                raise error
            return super().seal(op)

    server = Server()
    picky = Picky(server)
    async with opened(place) as box:
        await box.enqueue(put("a"), put("bad"), put("bad"), put("b"))
        async with runner(box, picky) as run:
            await run.run_until_idle()
            (dead,) = await box.list(OpState.DEAD)
            parked = await box.counts()
            picky.refuses = False
            await box.replay(dead.seq)
            await run.run_until_idle()

        assert parked == Counts(ready=1, dead=1, delivered=2)
        assert (dead.entity, dead.attempts) == ("bad", 0)
        assert str(error) in dead.reason
        assert server.entities == ["a", "b", "bad", "bad"]
        assert await box.counts() == Counts(delivered=4)


async def test_the_callback_is_told_before_the_commit(place):
    """When it raises, nothing is recorded and the same runner can go on; the write is sent again under its key."""
    states, keys = [], []

    async def act(op):
        keys.append(op.key)
        return Applied()

    async with opened(place) as box:
        (ticket,) = await box.enqueue(put("a"))

        async def note(op, step):
            states.append((await ticket.status()).state)
            if len(states) == 1:
                raise RuntimeError("not yet")

        async with runner(box, act, before_settle=note) as run:
            with pytest.raises(RuntimeError, match="not yet"):
                await run.run_until_idle()
            async with asyncio.timeout(50):
                await run.run_until_idle()

        assert states == [OpState.SENT, OpState.SENT]
        assert keys == [ticket.key] * 2
        assert (await ticket.status()).state is OpState.DELIVERED


async def test_refused_credentials_stop_everything_and_lose_nothing(place):
    """One round is sent, no more; with new credentials the same runner delivers it all."""
    good, asked = asyncio.Event(), []

    async def act(op):
        asked.append(op.seq)
        return Applied() if good.is_set() else AuthNeeded("401")

    async with opened(place) as box:
        await box.enqueue(*[put(str(number)) for number in range(40)])
        async with runner(box, act, concurrency=4) as run:
            with pytest.raises(AuthenticationError, match="refuses the credentials"):
                await run.run_until_idle()
            sent, counts = len(asked), await box.counts()
            good.set()
            async with asyncio.timeout(50):
                await run.run_until_idle()

        assert sent <= 4
        assert (counts.open, counts.dead, counts.conflict) == (40, 0, 0)
        assert await box.counts() == Counts(delivered=40)


async def test_a_quota_pauses_the_whole_origin(place):
    """Nothing is sent for as long as the server asks, not even what is not concerned; then all of it is."""
    at = {}

    async def act(op):
        at.setdefault(op.entity, []).append(time.monotonic())
        return Busy("429", 0.4, whole_origin=True) if len(at) == 1 and len(at[op.entity]) == 1 else Applied()

    async with opened(place) as box:
        await box.enqueue(put("a"), *[put(str(number)) for number in range(5)])
        with Recorder(box.core.bus, OriginPaused) as seen:
            async with runner(box, act, concurrency=1) as run:
                await run.run_until_idle()

    first, *others = sorted(moment for moments in at.values() for moment in moments)
    assert min(others) - first >= 0.39
    assert [(event.origin, event.wait, event.reason) for event in seen.events] == [("callable", 0.4, "429")]


async def test_what_the_server_asks_to_wait_is_a_floor(place):
    """Retry-After is not undercut by a short backoff, nor by a recovery of the circuit."""
    at = []

    async def act(op):
        if op.entity == "slow":
            at.append(time.monotonic())
            return Busy("503", 0.5) if len(at) == 1 else Applied()
        return (
            InDoubt("cut")
            if at and len(at) == 1 and op.entity == "x" and not tripped.append(1) and len(tripped) < 2
            else Applied()
        )

    tripped = []
    breaker = CircuitBreaker(failure_threshold=1, open_for=0.05, recovery=HalfOpen(max_calls=1, success_threshold=1))
    async with opened(place) as box:
        await box.enqueue(put("slow"), put("x"))
        async with runner(box, act, concurrency=1, breaker=breaker) as run:
            await run.run_until_idle()

    assert at[1] - at[0] >= 0.49


async def test_an_open_circuit_spends_no_attempts_and_a_recovery_hurries(place):
    """During an outage few requests are made; the first success lets all that wait go at once."""
    down = True

    async def act(op):
        return NotApplied("refused") if down else Applied()

    breaker = CircuitBreaker(failure_threshold=5, open_for=0.1, recovery=HalfOpen(max_calls=1, success_threshold=1))
    async with opened(place) as box:
        await box.enqueue(*[put(str(number)) for number in range(30)])
        async with runner(box, act, policy=LATE, breaker=breaker, concurrency=5) as run:
            running = asyncio.create_task(run.run_until_idle())
            await asyncio.sleep(0.6)
            attempts = [status.attempts for status in await box.list()]
            down = False
            async with asyncio.timeout(3):
                await running

        assert max(attempts) == 1
        assert sum(attempts) <= 5 + 7
        assert await box.counts() == Counts(delivered=30)


async def test_a_probe_that_is_cut_leaves_the_gate_usable(place):
    """A runner that ends while its probe is on the wire gives the probe's place back to the shared circuit."""
    breaker = CircuitBreaker(
        failure_threshold=1,
        open_for=0.01,
        recovery=HalfOpen(max_calls=1, success_threshold=1, probe_expires_after=3600.0),
    )
    hanging = asyncio.Event()

    async def hang(op):
        hanging.set()
        await asyncio.sleep(3600)

    async with opened(place) as box:
        await box.enqueue(put("a"))
        breaker.record_failure()
        async with runner(box, hang, breaker=breaker, drain=0.0) as run:
            running = asyncio.create_task(run.run_forever())
            async with asyncio.timeout(50):
                await hanging.wait()
            running.cancel()
        async with runner(box, Server(), breaker=breaker) as run, asyncio.timeout(50):
            await run.run_until_idle()

        assert await box.counts() == Counts(delivered=1)


async def test_leaving_lets_requests_finish(place):
    """What is on the wire when the run is cancelled is waited for and recorded; nothing new is sent."""
    started, tasks = asyncio.Event(), asyncio.all_tasks()

    async def act(op):
        started.set()
        await asyncio.sleep(0.1)
        return Applied()

    async with opened(place) as box:
        await box.enqueue(*[put(str(number)) for number in range(9)])
        async with runner(box, act, concurrency=3) as run:
            running = asyncio.create_task(run.run_forever())
            await started.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

        assert await box.counts() == Counts(ready=6, delivered=3)
        assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize("impatient", [False, True], ids=["drain-is-over", "cancelled-again"])
async def test_leaving_cuts_what_takes_too_long(place, impatient):
    """After the drain no task is left, also when the drain itself is cut, and the lease is free."""
    started, tasks = asyncio.Event(), asyncio.all_tasks()

    async def act(op):
        started.set()
        await asyncio.sleep(3600)

    async with opened(place) as box:
        await box.enqueue(put("a"))

        async def program():
            async with runner(box, act, drain=3600.0 if impatient else 0.05) as run:
                await run.run_forever()

        task = asyncio.create_task(program())
        await started.wait()
        task.cancel()
        await asyncio.sleep(0.02)
        if impatient:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)
        async with runner(box, Server()) as run:
            await run.run_until_idle()

        assert asyncio.all_tasks() == tasks
        assert await box.counts() == Counts(delivered=1)


async def test_a_full_disk_stops_the_run_clearly_and_loses_nothing(place):
    """The outcome that could not be recorded is found out again once there is room, by the same runner."""
    keys, empty = [], [1]

    async def act(op):
        keys.append(op.key)
        if empty:
            empty.clear()
            await asyncio.to_thread(place.fill, box, "receipt")
        return Applied('"1"')

    async with opened(place) as box:
        # Receipts fill whole pages, so that the next one needs a new page.
        await box.enqueue(*[put(f"{number}" + "x" * 900) for number in range(40)])
        async with runner(box, act, concurrency=1) as run:
            with pytest.raises(StorageFullError, match="free some and run again"):
                await run.run_until_idle()
            await asyncio.to_thread(place.free, box, "receipt")
            async with asyncio.timeout(50):
                await run.run_until_idle()

        assert await box.counts() == Counts(delivered=40)
        assert len(set(keys)) == 40


async def test_a_clock_set_back_does_not_stretch_a_stored_wait(place):
    """A wait that was planned for 50 ms is at most that after a restart, although the wall clock says a year."""
    clock = ManualClock(wall=1.8e9)
    async with opened(place, clock=clock) as box:
        await box.enqueue(put("a"))
        async with runner(box, Server(a=[InDoubt("cut")]), policy=DeliveryPolicy(backoff=Backoff.fixed(0.05))) as run:
            running = asyncio.create_task(run.run_forever())
            await until(lambda: run.stats.postponed == 1)
            running.cancel()
    clock = ManualClock(wall=1.7e9)
    async with opened(place, clock=clock) as box, runner(box, Server()) as run:
        assert run._loop._lanes.next_due() - clock.now() == pytest.approx(0.05)
        clock.advance(0.06)
        async with asyncio.timeout(2):
            await run.run_until_idle()

        assert await box.counts() == Counts(delivered=1)


async def test_a_stored_wait_outlives_a_restart(place):
    """What was to wait an hour is not sent at once because the process was started again."""
    async with opened(place) as box:
        await box.enqueue(put("a"), put("a"), put("b"))
        async with runner(box, Server(a=[InDoubt("cut")]), policy=LATE) as run:
            running = asyncio.create_task(run.run_forever())
            await box.ticket(3).settled(timeout=50)
            await until(lambda: run.stats.postponed == 1)
            running.cancel()
    server = Server()
    async with opened(place) as box, runner(box, server) as run:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.4):
                await run.run_until_idle()

        assert server.seen == []
        assert run._loop._lanes.next_due() - box.core.clock.now() > 3000
        assert [status.state for status in await box.list(OpState.WAITING)] == [OpState.WAITING]


async def test_work_of_other_processes_is_seen(place):
    """What another handle queues is delivered without anybody telling this one."""
    server = Server()
    async with opened(place) as box, opened(place) as producer, runner(box, server) as run:
        running = asyncio.create_task(run.run_forever())
        ticket = await producer.put("note", "a", {})
        status = await ticket.settled(timeout=50)
        running.cancel()

    assert (status.state, server.entities) == (OpState.DELIVERED, ["a"])


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


async def test_a_second_runner_is_refused(place):
    """It is told when to ask again, and may take over when the first has left, also in this process."""
    async with opened(place) as box, opened(place) as other:
        async with runner(box, Server()):
            with pytest.raises(LeaseHeldError, match="another process delivers") as refused:
                async with runner(other, Server()):
                    pass
        async with runner(other, Server()) as run:
            await run.run_until_idle()

    assert 0 < refused.value.retry_after <= 30.0


async def test_a_runner_may_be_entered_again(place):
    """Each block is a new term that reads the file anew."""
    async with opened(place) as box:
        run = runner(box, Server())
        for number in range(3):
            await box.put("note", str(number), {})
            async with run:
                await run.run_until_idle()

        assert await box.counts() == Counts(delivered=3)


async def test_a_cancelled_start_leaves_no_lease_behind(place):
    """The thread that takes the lease cannot be cancelled, so what it took is given back."""
    async with opened(place) as box, opened(place) as other:
        for turns in range(8):
            task = asyncio.create_task(runner(box, Server()).__aenter__())
            for _ in range(turns):
                await asyncio.sleep(0.001 if turns > 3 else 0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                async with runner(other, Server()):
                    pass
            else:
                return


async def test_a_start_that_cannot_read_leaves_no_lease_behind(place, monkeypatch):
    """An error between taking the lease and the block gives it back."""
    async with opened(place) as box:
        broken = runner(box, Server())
        monkeypatch.setattr(broken._loop, "load", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await broken.__aenter__()

        async with runner(box, Server()) as run:
            await run.run_until_idle()


def test_a_lease_that_cannot_be_written_leaves_no_lock_behind(place):
    """After a failed start another handle of the same process can deliver."""
    with SyncOutbox.open(place) as box:
        broken = ProcessingLease(box.core.database)
    with pytest.raises(ShuttingDownError):
        broken.acquire()

    with SyncOutbox.open(place) as box:
        lease = ProcessingLease(box.core.database)
        assert lease.acquire() == 1
        lease.release()
        lease.release()


def test_a_lease_of_a_closed_outbox_frees_its_lock(place):
    """Closing in the wrong order is the caller's mistake, and yet the next one can take over at once."""
    box = SyncOutbox.open(place)
    lease = ProcessingLease(box.core.database)
    lease.acquire()
    box.close()
    with pytest.raises(ShuttingDownError):
        lease.release()

    with SyncOutbox.open(place) as box:
        again = ProcessingLease(box.core.database)
        assert (again.acquire(), again.reason) == (2, "the holder's process has ended")
        again.release()


async def test_whoever_took_over_from_a_frozen_holder_is_safe(place):
    """When the frozen one ends, its lock is free; a third contender must not take that for the new holder's death."""
    clock = ManualClock(auto_advance=False)
    lost = []
    with SyncOutbox.open(place, clock=clock) as box, SyncOutbox.open(place) as other, SyncOutbox.open(place) as third:
        config = LeaseConfig(beat_every=3600.0, ttl=10_800.0)
        frozen = ProcessingLease(box.core.database, config, clock=clock, on_lost=lambda: lost.append(1))
        frozen.acquire()
        place.execute("UPDATE $lease SET beat = beat - 10800")
        heir = ProcessingLease(other.core.database, config, clock=clock)
        heir.acquire()
        with pytest.raises(LeaseLostError):
            frozen.heartbeat()
        frozen_held = frozen.held
        frozen.release()
        contender = ProcessingLease(third.core.database, config, clock=clock)
        with pytest.raises(LeaseHeldError):
            contender.acquire()
        heir.heartbeat()
        with pytest.raises(LeaseHeldError):
            contender.acquire()

        assert (heir.fence, heir.reason, heir.held, frozen_held) == (2, "no beat for 10800 s", True, False)
        heir.release()


async def test_a_holder_that_was_replaced_stops_and_says_so(place):
    """The event names the term that was lost; the runner ends, and the op is delivered once by the heir."""
    hang = asyncio.Event()

    async def slow(op):
        await hang.wait()
        return Applied()

    async with opened(place) as box, opened(place) as other:
        await box.enqueue(put("a"))
        with Recorder(box.core.bus, LeaseLost) as seen:
            async with runner(box, slow, lease=LeaseConfig(beat_every=0.05, ttl=3600.0)) as run:
                running = asyncio.create_task(run.run_forever())
                await until(lambda: run.stats.sent == 1)
                takeover = "UPDATE lease SET holder = 'other', fence = fence + 1"
                await asyncio.wrap_future(other.core.database.write(lambda db: db.execute(takeover)))
                with pytest.raises(LeaseLostError):
                    async with asyncio.timeout(50):
                        await running
                hang.set()

        assert [event.fence for event in seen.events] == [1]
        assert (await box.counts()).waiting == 1


async def test_a_process_that_was_frozen_after_its_claim_sends_nothing(place):
    """It finds out that its beat is too old before a byte leaves."""
    clock = ManualClock(auto_advance=False)
    server = Server()
    async with opened(place, clock=clock) as box:
        await box.enqueue(put("a"))
        async with runner(box, server) as run:
            box.core.bus.subscribe(lambda event: clock.advance(25.0) if event.event_type == "OpSent" else None)
            with pytest.raises(LeaseLostError, match="has stopped sending"):
                async with asyncio.timeout(50):
                    await run.run_until_idle()

    assert server.seen == []


async def test_a_settlement_of_an_old_term_is_refused(place):
    """The fence and the number of the attempt guard what is recorded."""
    from outlast.engines.op import Deliver

    async with opened(place) as box:
        core = box.core
        await box.enqueue(put("a"))
        lease = ProcessingLease(core.database)
        fence = await asyncio.to_thread(lease.acquire)
        transport = CallableTransport(None)
        (first,) = await asyncio.wrap_future(core.claim(fence, [1], Terms(seal=transport.seal)))
        (second,) = await asyncio.wrap_future(core.claim(fence, [1], Terms(seal=transport.seal)))
        for claimed, term in [(first, fence), (second, fence + 1), (second, 0)]:
            with pytest.raises(LeaseLostError):
                await asyncio.wrap_future(core.settle(term, claimed, Report(step=Deliver())))
        waiting = await box.counts()
        await asyncio.wrap_future(core.settle(fence, second, Report(step=Deliver())))
        gone = await asyncio.wrap_future(core.claim(fence, [1], Terms(seal=transport.seal)))
        await asyncio.to_thread(lease.release)

        assert gone == [Withdrawn(seq=1)]

        assert (waiting, await box.counts()) == (Counts(waiting=1), Counts(delivered=1))


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


async def test_delivery_does_not_slow_down_with_the_queue(place):
    """A queue ten times as long takes about ten times as long, not a hundred times."""

    async def rate(number):
        async with opened(place.another(str(number))) as box:
            await box.enqueue(*[put(str(entity)) for entity in range(number)])
            async with runner(box, Server(), concurrency=32) as run:
                begin = time.perf_counter()
                await run.run_until_idle()
                return number / (time.perf_counter() - begin)

    small, large = await rate(500), await rate(5000)

    assert large > small / 4


def while_reading(monkeypatch, box, *, before=None, after=None):
    """Do something in the moment before, or after, the loop reads what a decision has changed; once."""
    read, result, turns = box.core.changes, box.core.result, []

    async def slowly(arguments):
        if before is not None and not turns and box.core.decisions().result(5) != arguments[1]:
            turns.append(1)
            await before()
        found = await result(read(*arguments))
        if after is not None and not turns and found.parked is not None:
            turns.append(1)
            await after()
        return found

    async def either(future):
        return await (future if asyncio.isfuture(future) else result(future))

    monkeypatch.setattr(box.core, "changes", lambda *arguments: asyncio.ensure_future(slowly(arguments)))
    monkeypatch.setattr(box.core, "result", either)
    return turns


async def test_what_lands_while_the_file_is_read_does_not_come_back(place, monkeypatch):
    """A decision makes the loop read all places; one that is settled in just that moment is not taken for new."""
    go = asyncio.Event()
    server = Server(dead=[Rejected("400")])

    async def act(op):
        answer = await server(op)
        if op.entity == "a":
            await go.wait()
        return answer

    async with opened(place) as box:
        await box.enqueue(put("dead"), put("a"))
        async with runner(box, act) as run:
            running = asyncio.create_task(run.run_until_idle())
            await box.ticket(1).settled(timeout=50)
            await until(lambda: len(server.seen) == 2)

            async def let_it_land():
                go.set()
                await until(lambda: run.stats.delivered == 1)

            turns = while_reading(monkeypatch, box, after=let_it_land)
            await box.discard(1)
            async with asyncio.timeout(50):
                await running

        assert turns == [1]
        assert await box.counts() == Counts(delivered=1)


@pytest.mark.parametrize("decision", ["replay", "discard"])
async def test_a_decision_about_what_was_parked_just_now_is_not_overlooked(place, monkeypatch, decision):
    """An op that dies and is decided upon while the file is read comes back, or lets its lane go."""
    go = asyncio.Event()
    server = Server(first=[Rejected("400")], a=[Rejected("400")])

    async def act(op):
        answer = await server(op)
        if op.entity == "a":
            await go.wait()
        return answer

    async with opened(place) as box:
        await box.enqueue(put("first"), put("a"), put("a"))
        async with runner(box, act) as run:
            running = asyncio.create_task(run.run_until_idle())
            await box.ticket(1).settled(timeout=50)
            await until(lambda: len(server.seen) == 2)

            async def die_and_decide():
                go.set()
                await box.ticket(2).settled(timeout=50)
                await (box.replay(2) if decision == "replay" else box.discard(2))

            turns = while_reading(monkeypatch, box, before=die_and_decide)
            await box.discard(1)
            async with asyncio.timeout(50):
                await running

        assert turns == [1]
        assert await box.counts() == Counts(delivered=2 if decision == "replay" else 1)


async def test_a_claim_that_fails_leaves_everything_as_it_was(place):
    """A disk that is full before anything is sent stops the run; with room the same runner goes on."""

    class Large(CallableTransport):
        def seal(self, op):
            return SealedRequest(method="put", url="x" * 3000, body=op.body)

    server = Server()
    async with opened(place) as box:
        await box.enqueue(*[put(str(number)) for number in range(8)])
        async with runner(box, Large(server)) as run:
            await asyncio.to_thread(place.fill, box, "seal")
            with pytest.raises(StorageFullError):
                await run.run_until_idle()
            await asyncio.to_thread(place.free, box, "seal")
            async with asyncio.timeout(50):
                await run.run_until_idle()

        assert len(server.seen) == 8
        assert await box.counts() == Counts(delivered=8)
