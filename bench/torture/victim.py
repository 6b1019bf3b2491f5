"""What the processes do that are killed: they queue or deliver until they die, and keep ledgers of their own."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import time
from dataclasses import dataclass

from outlast.clock import SYSTEM_CLOCK
from outlast.engines.backoff import Backoff
from outlast.errors import LeaseHeldError, LeaseLostError, StorageError
from outlast.events import EventBus, LeaseTaken, OpConflicted, OpDelivered, OpDied, OpPostponed, OpSent
from outlast.outbox import DeliveryPolicy, LeaseConfig, OpState, Outbox, Verb, Write
from outlast.policies import CircuitBreaker
from outlast.sync_engine import HttpBatch, HttpTransport, Runner

POLICY = DeliveryPolicy(backoff=Backoff.fixed(0.03), max_retry_after=1.0, max_deaths=1_000_000)
LANES = 4
PLAN = (Verb.CREATE, Verb.PUT, Verb.PATCH, Verb.PUT, Verb.PATCH, Verb.DELETE)
YEAR = 31_557_600.0


@dataclass
class Job:
    """What a process is to do.

    Args:
        world: The name of the world, which is the first part of all its paths.
        place: Where its outbox is.
        ledger: The file for what was wanted and what was acknowledged.
        url: The server.
        keyed: Whether that server honours keys.
        name: The producer's own, never used twice.
        ttl: Of the lease.
        jumps: Whether its wall clock jumps.
        batches: Whether it sends several writes in one request.
        most: How many writes may be open before a producer waits.
    """

    world: str
    place: str
    ledger: str
    url: str
    keyed: bool = True
    name: str = ""
    ttl: float = 30.0
    jumps: bool = False
    batches: bool = False
    most: int = 60


class JumpingClock:
    """The machine's clock, but the wall clock is now and then somewhere else, or stands still."""

    now = staticmethod(SYSTEM_CLOCK.now)
    sleep = staticmethod(SYSTEM_CLOCK.sleep)
    asleep = staticmethod(SYSTEM_CLOCK.asleep)
    wait = staticmethod(SYSTEM_CLOCK.wait)
    _JUMPS = (0.0, 0.0, 3600.0, -3600.0, 10 * YEAR, -10 * YEAR, None)

    def __init__(self, seed):
        self._random = random.Random(seed)

    def wall(self):
        jump = self._random.choice(self._JUMPS)
        return 1_800_000_000.0 if jump is None else SYSTEM_CLOCK.wall() + jump


class Ledger:
    """Lines that are in the file, and synced, before anything else happens."""

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, *, sync=False, **line):
        os.write(self._file, json.dumps(line).encode() + b"\n")
        if sync:
            os.fdatasync(self._file)


def open_box(job, bus=None):
    clock = JumpingClock(f"{job.name}{os.getpid()}") if job.jumps else SYSTEM_CLOCK
    return Outbox.open(job.place, clock=clock, bus=bus or EventBus())


def run(role, job, watch):
    """Do what a role does until the end."""
    asyncio.run({"producer": produce, "runner": deliver, "finish": finish}[role](job, watch))


# producers


async def produce(job, watch):
    ledger = Ledger(job.ledger)
    async with await open_box(job) as box, asyncio.TaskGroup() as tasks:
        watch.board["ready"] = 1
        for lane in range(LANES):
            tasks.create_task(write_entity(job, watch, box, ledger, f"{job.name}-{lane}"))
        tasks.create_task(write_groups(job, watch, box, ledger))
        tasks.create_task(share(job, watch, box, ledger))
        tasks.create_task(decide(box, ledger))


def wanted(job, ledger, entity, verb, number, group=None):
    """Note that a write is wanted, and return it."""
    write = f"{job.name}.{entity}.{number}"
    lane = f"/{job.world}/notes/{entity}"
    body = {"w": write, f"field{number % 3}": number}
    body = None if verb is Verb.DELETE else body
    ledger.note(t="want", w=write, lane=lane, verb=verb.value, body=body, group=group)
    data = None if body is None else json.dumps(body).encode()
    return Write(verb=verb, kind="notes", entity=entity, body=data, target=f"{job.url}{lane}?w={write}")


async def queue(job, watch, box, ledger, *writes):
    """Queue writes in one commit and note that it was acknowledged."""
    tickets = await box.enqueue(*writes)
    for ticket, write in zip(tickets, writes, strict=True):
        ledger.note(sync=True, t="ack", w=write.target.partition("?w=")[2], seq=ticket.seq)
    watch.at("enqueue:acknowledged")
    while (await box.counts()).open > job.most:  # noqa: ASYNC110 - another process delivers, and tells nobody
        await asyncio.sleep(0.02)


async def write_entity(job, watch, box, ledger, entity):
    """Live one entity's life again and again, one write after the other."""
    for number in itertools.count():
        verb = PLAN[number % len(PLAN)]
        await queue(job, watch, box, ledger, wanted(job, ledger, entity, verb, number))
        await asyncio.sleep(random.uniform(0, 0.02))


async def write_groups(job, watch, box, ledger):
    """Queue three writes in one commit: all of them, or none."""
    for number in itertools.count():
        group = f"{job.name}-group-{number}"
        entities = [f"{job.name}-g{part}" for part in range(3)]
        writes = [wanted(job, ledger, entity, Verb.PUT, number, group) for entity in entities]
        await queue(job, watch, box, ledger, *writes)
        await asyncio.sleep(random.uniform(0.02, 0.08))


async def share(job, watch, box, ledger):
    """Write to an entity that all producers write to; a server that knows keys gets messages."""
    verb = Verb.POST if job.keyed else Verb.PUT
    for number in itertools.count():
        await queue(job, watch, box, ledger, wanted(job, ledger, f"shared{number % 2}", verb, number))
        await asyncio.sleep(random.uniform(0, 0.04))


async def decide(box, ledger):
    """Send again, now and then, what lies in the conflicts and the dead letters."""
    while True:
        await asyncio.sleep(random.uniform(0.1, 0.3))
        await replay_parked(box, ledger)


async def replay_parked(box, ledger):
    """Write over what is in conflict, and send unchanged what the server refused."""
    conflicts, dead = await box.list(OpState.CONFLICT), await box.list(OpState.DEAD)
    for status, options in [*((one, {"if_match": None}) for one in conflicts), *((one, {}) for one in dead)]:
        with contextlib.suppress(StorageError, ValueError):  # another one was quicker
            ledger.note(t="decide", seq=status.seq)
            await box.replay(status.seq, **options)
    return len(conflicts) + len(dead)


# runners


class Carrier(HttpTransport):
    """The HTTP transport, with a point inside the transaction that seals."""

    watch = None

    def seal(self, op):
        self.watch.at("claim:sealing")
        return super().seal(op)


def carrier(job, watch):
    import httpx2

    client = httpx2.AsyncClient(timeout=5.0, event_hooks={"request": [watch.prepare]}, verify=False, trust_env=False)
    headers = {"Outbox-Runner": str(os.getpid())}
    transport = Carrier(
        job.url, client=client, headers=headers, call_timeout=5.0,
        idempotency_header="Idempotency-Key" if job.keyed else None,
        batch=HttpBatch("/batch") if job.batches else None,
    )  # fmt: skip
    transport.watch = watch
    return transport


def make_runner(job, watch, box, bus):
    ledger = Ledger(job.ledger)

    def leased(event):
        watch.board["leased"] = event.fence
        ledger.note(t="lease", fence=event.fence, reason=event.reason, pid=os.getpid(), at=time.monotonic())

    def told(_event):
        watch.at("settle:told")
        watch.lands()

    async def decided(_op, _step):
        watch.at("settle:decided")

    bus.subscribe(leased, LeaseTaken)
    bus.subscribe(told, OpDelivered, OpPostponed, OpConflicted, OpDied)
    bus.subscribe(lambda _event: watch.at("sent:nothing-yet"), OpSent)
    return Runner(
        box, carrier(job, watch), policy=POLICY, lease=LeaseConfig(beat_every=job.ttl / 3.01, ttl=job.ttl),
        breaker=CircuitBreaker(failure_threshold=50, open_for=0.2), before_settle=decided, drain=0.1,
    )  # fmt: skip


async def deliver(job, watch):
    """Contend for the lease and deliver, for ever."""
    bus = EventBus()
    async with await open_box(job, bus) as box:
        runner = make_runner(job, watch, box, bus)
        watch.board["ready"] = 1
        while True:
            try:
                async with runner:
                    await runner.run_forever()
            except LeaseHeldError:
                await asyncio.sleep(0.03)
            except LeaseLostError:
                Ledger(job.ledger).note(t="lost", pid=os.getpid())
            watch.board["leased"] = 0


async def finish(job, watch):
    """Deliver and decide until nothing is left, with nobody killing but who sees that it gets no further."""
    bus = EventBus()
    async with await open_box(job, bus) as box:
        while True:
            try:
                async with make_runner(job, watch, box, bus) as runner:
                    await runner.run_until_idle()
                    while await replay_parked(box, Ledger(job.ledger)):
                        await runner.run_until_idle()
                return
            except LeaseHeldError as error:  # the last holder died before it got the lock that a sleeper had
                await asyncio.sleep(error.retry_after or 0.03)
