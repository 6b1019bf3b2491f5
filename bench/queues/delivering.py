"""How quickly writes are claimed, carried and settled, with a receipt each, through the runner."""

import asyncio
import random
import shutil
import statistics
import time

from queues.by_hand import ENCODE, ByHand, body, entity
from queues.figures import Figure, rates_note, ratio
from queues.floor import Floor

from outlast.engines.lease import LeaseConfig
from outlast.events import EventBus
from outlast.outbox import Applied, BatchLimits, Outbox, SyncOutbox, Verb, Write
from outlast.sync_engine import CallableTransport, Runner

GROUP = 500


def fill(path, count, lane=None):
    """Make an outbox in which so many writes wait, in lanes of their own unless `lane` says which."""
    with SyncOutbox.open(path, bus=EventBus(), durability="process") as box:
        for first in range(0, count, 1000):
            box.enqueue(*(
                Write(
                    verb=Verb.PUT, kind="device", entity=entity(n) if lane else str(n), body=ENCODE(body(n)),
                    lane=lane(n) if lane else None,
                )
                for n in range(first, min(count, first + 1000))
            ))  # fmt: skip


class Taken:
    """Carry ops to nowhere and know how many were carried when.

    Args:
        enough: After how many ops the event is set.
    """

    def __init__(self, enough):
        self.enough, self.count, self.over = enough, 0, asyncio.Event()
        self.began = self.ended = 0.0
        self.measured = 0

    def note(self, count):
        now = time.perf_counter()
        if not self.count:
            self.began = now
        else:
            self.measured += count
        self.count, self.ended = self.count + count, now
        if self.count >= self.enough:
            self.over.set()

    async def batch(self, ops):
        self.note(len(ops))
        return {op.seq: Applied() for op in ops}

    async def single(self, op):
        self.note(1)
        return Applied()

    def rate(self):
        return self.measured / (self.ended - self.began)


async def deliver(box, enough, *, batches):
    """Deliver so many of the waiting ops and return the rate."""
    taken = Taken(enough)
    batch = {"batch": taken.batch, "batch_limits": BatchLimits(max_count=GROUP)} if batches else {}
    transport = CallableTransport(taken.single, **batch)
    async with Runner(box, transport, concurrency=1 if batches else GROUP, lease=LeaseConfig()) as runner:
        running = asyncio.create_task(runner.run_forever())
        await taken.over.wait()
        running.cancel()
        await asyncio.wait([running])
    return taken.rate()


def claim_and_settle(folder, scale):
    """Compare with claiming and settling by hand in groups of 500."""
    enough, rounds, waiting = int(10_000 * scale), max(2, int(5 * scale)), int(100_000 * min(1, scale * 2))
    chance = random.Random(5)
    scattered = {n: f"l{chance.randrange(10_000)}" for n in range(waiting)}
    fill(folder / "dense.db", waiting)
    fill(folder / "scattered.db", waiting, scattered.__getitem__)
    fill(folder / "floor.db", enough * rounds)
    shutil.copyfile(folder / "scattered.db", folder / "floor-scattered.db")
    by_hand, floor = ByHand(folder / "hand.db"), Floor(folder / "floor.db")
    apart_floor = Floor(folder / "floor-scattered.db", scattered=True)
    by_hand.enqueue(1000, waiting // 1000)
    rates = {name: [] for name in ("by_hand", "floor", "apart", "dense", "scattered", "one by one")}
    with asyncio.Runner() as runner:
        dense = runner.run(Outbox.open(folder / "dense.db", bus=EventBus()))
        apart = runner.run(Outbox.open(folder / "scattered.db", bus=EventBus()))
        for _ in range(rounds):
            rates["by_hand"].append(by_hand.settle(GROUP, max(4, enough // GROUP)))
            rates["floor"].append(floor.settle(GROUP, enough // GROUP))
            rates["apart"].append(apart_floor.settle(GROUP, enough // GROUP))
            rates["dense"].append(runner.run(deliver(dense, enough, batches=True)))
            rates["scattered"].append(runner.run(deliver(apart, enough, batches=True)))
            rates["one by one"].append(runner.run(deliver(dense, enough // 2, batches=False)))
        for box in (dense, apart):
            runner.run(box.aclose())
    for one in (by_hand, floor, apart_floor):
        one.close()
    rows = (
        ("dense", "batches of 500, dense heads, against dense groups of 500 by hand", 0.6),
        ("scattered", "the same, scattered heads", 0.25),
        ("one by one", "500 at once one by one, dense heads", None),
        ("floor", "dense, the same rows, records and hashes without a loop, threads, lanes or a lease", None),
        ("apart", "scattered, the same without a loop, threads, lanes or a lease", None),
    )
    for name, what, bar in rows:
        note = rates_note({"ours": rates[name], "by_hand": rates["by_hand"]})
        yield Figure("deliver", what, ratio(rates[name], rates["by_hand"]), bar=bar, note=note)


def much_waiting(folder, scale):
    """Compare the rate with a million waiting to that with a hundred thousand; both over 100,000 lanes at most."""
    small, large = int(100_000 * scale), int(1_000_000 * scale)
    lanes, enough, rounds = small, int(10_000 * scale), max(2, int(9 * scale))
    rates = {"100,000 waiting": [], "1,000,000 waiting": []}
    with asyncio.Runner() as runner:
        boxes = {}
        for name, count in zip(rates, (small, large), strict=True):
            fill(folder / f"waiting-{count}.db", count, lambda n: f"l{n % lanes}")
            boxes[name] = runner.run(Outbox.open(folder / f"waiting-{count}.db", bus=EventBus()))
        for _ in range(rounds):
            for name, box in boxes.items():
                rates[name].append(runner.run(deliver(box, enough, batches=True)))
        for box in boxes.values():
            runner.run(box.aclose())
    few, many = rates.values()
    what = "rate with 1,000,000 waiting against 100,000 waiting"
    yield Figure("waiting", what, ratio(many, few), bar=0.85, note=rates_note(rates))


def opening(folder, scale):
    """Open an outbox that was left without being closed, and recover until the first op could be claimed."""
    for count, bar in ((int(100_000 * scale), 0.3), (int(1_000_000 * scale), 2.5)):
        for lanes, wanted in ((count // 10, bar), (count, None)):
            left = leave(folder / f"left-{count}-{lanes}.db", count, lanes)
            took = [open_once(left, folder / "opened.db") for _ in range(3 if count > 200_000 else 5)]
            what = f"open and recover {count:,} ops in {lanes:,} lanes"
            note = f"{min(took):.2f} to {max(took):.2f} s"
            yield Figure("open", what, statistics.median(took), "s", wanted, least=False, note=note)


def leave(path, count, lanes):
    """Make files as a killed process leaves them: the last commits are in the log only."""
    fill(path, count, lambda n: f"l{n % lanes}")
    with SyncOutbox.open(path, bus=EventBus()) as box:
        for number in range(200):
            box.put("device", entity(number), body(number), lane=f"l{number}")
        left = path.with_name("left-" + path.name)
        copy(path, left)
    return left


def copy(source, target):
    """Copy a database with its log."""
    shutil.copyfile(source, target)
    shutil.copyfile(f"{source}-wal", f"{target}-wal")
    target.with_name(target.name + "-shm").unlink(missing_ok=True)


def open_once(left, target):
    """Return the seconds from opening to readiness; the file is in the page cache."""
    copy(left, target)

    async def opened():
        began = time.perf_counter()
        box = await Outbox.open(target, bus=EventBus())
        async with Runner(box, CallableTransport(None)):
            took = time.perf_counter() - began
        await box.aclose()
        return took

    return asyncio.run(opened())
