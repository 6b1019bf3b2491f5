"""How quickly writes are queued, each acknowledged after its own commit."""

import asyncio
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager

import huey.storage
import litequeue
from queues.by_hand import ENCODE, ByHand, body, entity
from queues.figures import Figure, in_turns, percentile, rates_note, ratio

from outlast.events import EventBus
from outlast.outbox import Outbox, SyncOutbox

AWAITING = ((1, 0.55, 600), (16, 0.35, 200), (128, 0.25, 100), (1024, 0.20, 20))
"""Producers, the least ratio to groups by hand, and how many writes each queues in a round."""


async def produce(box, producers, each, first=0, took=None):
    """Let tasks queue, each awaiting its own writes one after the other; return the rate."""

    async def one(begin):
        for number in range(begin, begin + each):
            if took is None:
                await box.put("device", entity(number), body(number))
                continue
            asked = time.perf_counter()
            await box.put("device", entity(number), body(number))
            took.append(time.perf_counter() - asked)

    began = time.perf_counter()
    await asyncio.gather(*(one(first + number * each) for number in range(producers)))
    return producers * each / (time.perf_counter() - began)


@contextmanager
def outbox(runner, path):
    """Have an outbox open on a loop."""
    box = runner.run(Outbox.open(path, bus=EventBus()))
    try:
        yield box
    finally:
        runner.run(box.aclose())


def awaiting(folder, scale):
    """Compare with groups by hand that are as large as there are producers."""
    for producers, bar, each in AWAITING:
        rates = beside_hand(folder, producers, max(1, int(each * scale)), max(3, int(9 * scale)))
        found = ratio(rates["ours"], rates["by_hand"])
        what = f"{producers} awaiting, against groups of {producers} by hand"
        yield Figure("enqueue", what, found, bar=bar, note=rates_note(rates))


def beside_hand(folder, producers, each, rounds):
    """Return the rates of so many producers, and of groups of that size by hand."""
    by_hand = ByHand(folder / f"hand-{producers}.db")
    with asyncio.Runner() as runner, outbox(runner, folder / f"ours-{producers}.db") as box:
        rates = in_turns(
            rounds,
            by_hand=lambda: by_hand.enqueue(producers, each),
            ours=lambda: runner.run(produce(box, producers, each)),
        )
    by_hand.close()
    return rates


class Huey:
    """huey's own storage, which flushes at every commit."""

    def __init__(self, path):
        self.storage = huey.storage.SqliteStorage("bench", str(path), fsync=True)

    def put(self, data):
        self.storage.enqueue(data)

    def level(self):
        return self.storage.conn.execute("PRAGMA synchronous").fetchone()[0]

    def close(self):
        self.storage.close()


class LiteQueue:
    """litequeue, set to flush at every commit, which it does not by itself."""

    def __init__(self, path):
        self.queue = litequeue.LiteQueue(str(path))
        self.queue.conn.execute("PRAGMA synchronous=FULL")

    def put(self, data):
        self.queue.put(data.decode())

    def level(self):
        return self.queue.conn.execute("PRAGMA synchronous").fetchone()[0]

    def close(self):
        self.queue.conn.close()


PEERS = {"huey": Huey, "litequeue": LiteQueue}


async def produce_by_thread(pool, put, producers, each):
    """Let tasks queue into a blocking library, as one does: through one thread of an executor."""
    loop = asyncio.get_running_loop()

    async def one(begin):
        for number in range(begin, begin + each):
            await loop.run_in_executor(pool, put, ENCODE(body(number)))

    began = time.perf_counter()
    await asyncio.gather(*(one(number * each) for number in range(producers)))
    return producers * each / (time.perf_counter() - began)


def peers(folder, scale):
    """Compare with libraries that block, driven by 128 tasks through one thread, and then a lone blocking caller."""
    rounds = max(3, int(7 * scale))
    with asyncio.Runner() as runner, ThreadPoolExecutor(1) as pool, outbox(runner, folder / "tasks.db") as box:
        made = {name: pool.submit(kind, folder / f"{name}-tasks.db").result() for name, kind in PEERS.items()}
        check(pool.submit(peer.level).result() for peer in made.values())
        contestants = {
            name: lambda peer=peer: runner.run(produce_by_thread(pool, peer.put, 128, max(1, int(10 * scale))))
            for name, peer in made.items()
        }
        rates = in_turns(rounds, ours=lambda: runner.run(produce(box, 128, max(1, int(100 * scale)))), **contestants)
        for peer in made.values():
            pool.submit(peer.close).result()
    for name in made:
        note = rates_note({"ours": rates["ours"], name: rates[name]})
        yield Figure("peers", f"128 awaiting, against {name}", ratio(rates["ours"], rates[name]), bar=8, note=note)
    yield from lone(folder, rounds, max(50, int(400 * scale)))


def lone(folder, rounds, count):
    """Compare a single thread that blocks on each write: here a library that does less may be faster."""
    made = {name: kind(folder / f"{name}-lone.db") for name, kind in PEERS.items()}
    by_hand = ByHand(folder / "hand-lone.db")
    with SyncOutbox.open(folder / "lone.db", bus=EventBus()) as box:
        contestants = {
            name: lambda peer=peer: blocking(lambda number: peer.put(ENCODE(body(number))), count)
            for name, peer in made.items()
        }
        rates = in_turns(
            rounds,
            ours=lambda: blocking(lambda number: box.put("device", entity(number), body(number)), count),
            by_hand=lambda: by_hand.enqueue(1, count),
            **contestants,
        )
    for peer in (*made.values(), by_hand):
        peer.close()
    for name in (*made, "by_hand"):
        note = rates_note({"ours": rates["ours"], name: rates[name]})
        yield Figure("peers", f"one thread that blocks, against {name}", ratio(rates["ours"], rates[name]), note=note)


def blocking(put, count):
    """Queue one write after the other and return the rate."""
    began = time.perf_counter()
    for number in range(count):
        put(number)
    return count / (time.perf_counter() - began)


def check(levels):
    """Refuse to compare what is not equally durable."""
    if any(level != 2 for level in levels):
        sys.exit(f"not all flush at every commit: {levels}")


@asynccontextmanager
async def hog(microseconds=100):
    """Keep the loop saturated: compute a little and yield, for ever."""
    over = False

    async def work():
        while not over:
            end = time.perf_counter() + microseconds / 1e6
            while time.perf_counter() < end:
                pass
            await asyncio.sleep(0)

    task = asyncio.create_task(work())
    yield
    over = True
    await task


class Blockages:
    """Note how long each callback keeps the loop for itself, as asyncio's debug mode does."""

    def __enter__(self):
        self.took, self._plain = [], asyncio.events.Handle._run  # noqa: SLF001 - there is no other place to look
        took, plain, clock = self.took, self._plain, time.perf_counter

        def run(handle):
            began = clock()
            plain(handle)
            took.append(clock() - began)

        asyncio.events.Handle._run = run  # noqa: SLF001
        return self

    def __exit__(self, *_):
        asyncio.events.Handle._run = self._plain  # noqa: SLF001


def busy(folder, scale):
    """Measure latency while another task saturates the loop, and how long the loop is ever kept."""
    for producers, each, bar in ((1, 400, None), (128, 60, 50), (1024, 20, None)):
        took = []
        with asyncio.Runner() as runner, outbox(runner, folder / f"hog-{producers}.db") as box:

            async def beside(box=box, producers=producers, each=each, took=took):
                async with hog():
                    return await produce(box, producers, max(1, int(each * scale)), took=took)

            rate = runner.run(beside())
        note = f"median {statistics.median(took) * 1e3:.1f} ms, {rate:,.0f}/s"
        what = f"{producers} awaiting beside a task that saturates the loop, 99th percentile"
        yield Figure("busy", what, percentile(took, 0.99) * 1e3, "ms", bar, least=False, note=note)


def blocked(folder, scale, name="", producers=(1, 128)):
    """Measure the longest time for which anything on the loop keeps it, in the middle one of several rounds."""
    for count in producers:
        each = max(2, int((1000 if count == 1 else 40) * scale / (5 if name else 1)))
        with asyncio.Runner() as runner, outbox(runner, folder / f"kept{name}-{count}.db") as box:
            rounds = [kept(runner, box, count, each) for _ in range(max(3, int(9 * scale)))]
        ours, alone, usual = (statistics.median(found) * 1e3 for found in zip(*rounds, strict=True))
        note = f"99.9 % below {usual:.2f} ms; the same tasks without an outbox: {alone:.2f} ms"
        what = f"{count} awaiting{name}, the longest time that a callback keeps the loop"
        yield Figure("blocked", what, ours, "ms", 2, least=False, note=note)


def kept(runner, box, count, each):
    """Return the longest callback with and without an outbox, and what nearly all of the former stay below."""
    with Blockages() as alone:
        runner.run(idle_turns(count, each))
    with Blockages() as seen:
        runner.run(produce(box, count, each))
    return max(seen.took), max(alone.took), percentile(seen.took, 0.999)


async def idle_turns(producers, each):
    """Do what the producers do, without an outbox."""

    async def one(begin):
        for number in range(begin, begin + each):
            ENCODE(body(number))
            await asyncio.sleep(0)

    await asyncio.gather(*(one(number * each) for number in range(producers)))
