"""Threads and event loops at once on one bulkhead, with cancellations and time-outs: nothing may be lost."""

import asyncio
import gc
import random
import sys
import threading
from contextlib import suppress
from functools import partial

import pytest

from outlast.errors import BulkheadFullError
from outlast.policies import AdaptiveLimit, Bulkhead

SLOTS = 10


class Count:
    """How many run, and how many did at most."""

    def __init__(self):
        self.lock = threading.Lock()
        self.running = self.peak = self.ran = 0

    def __enter__(self):
        with self.lock:
            self.running += 1
            self.ran += 1
            self.peak = max(self.peak, self.running)

    def __exit__(self, *error):
        with self.lock:
            self.running -= 1


@pytest.fixture
def busy():
    """Let threads change as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Storm:
    """Callers in threads and on loops, and what became of them. Who runs stays until `crowd` have run at once."""

    def __init__(self, bulkhead, crowd=0):
        self.bulkhead, self.count, self.crowd = bulkhead, Count(), crowd
        self.problems, self.refused, self.cancelled = [], [], 0

    def body(self, text):
        """Run for a while in a thread."""
        with self.count:
            for _ in range(len(text)):
                threading.Event().wait(0)
            while self.count.peak < self.crowd:
                threading.Event().wait(0.001)

    async def abody(self, text):
        """Run for a while on a loop."""
        with self.count:
            for _ in range(len(text)):
                await asyncio.sleep(0)
            while self.count.peak < self.crowd:  # noqa: ASYNC110 - threads cannot set an asyncio.Event
                await asyncio.sleep(0)

    def in_thread(self, seed):
        """Call from a thread."""
        dice = random.Random(seed)
        try:
            for _ in range(150):
                self.bulkhead.call(self.body, "x" * dice.randrange(1, 4))
        except BaseException as error:
            self.problems.append(error)

    async def on_loop(self, seed):
        """Call from a loop, and cancel some of the calls."""
        dice, tasks = random.Random(seed), []
        for _ in range(300):
            tasks.append(asyncio.ensure_future(self.bulkhead.acall(self.abody, "x" * dice.randrange(1, 6))))
            if dice.random() < 0.4:
                self.cancelled += dice.choice(tasks[-20:]).cancel()
            if dice.random() < 0.2:
                await asyncio.sleep(0)
        done = await asyncio.gather(*tasks, return_exceptions=True)
        self.problems.extend(error for error in done if isinstance(error, Exception))

    def with_patience(self):
        """Call from a thread, and take refusals."""
        for _ in range(300):
            try:
                self.bulkhead.call(self.body, "xxx")
            except BulkheadFullError as error:
                self.refused.append(error)

    def change(self, over):
        """Change the settings until it is over."""
        dice = random.Random(1)
        while not over.is_set():
            self.bulkhead.reconfigure(max_concurrent=dice.randrange(1, 6), order=dice.choice(["fifo", "lifo"]))


def start(*targets):
    """Start a thread for each."""
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.parametrize("order", ["fifo", "lifo", "priority"])
def test_storm(busy, order):
    """Four threads and two loops share ten slots; of the async calls 40 % are cancelled: all slots come home."""
    bulkhead = Bulkhead(SLOTS, max_waiting=1000, order=order, priority=len)
    storm = Storm(bulkhead, crowd=SLOTS)
    threads = [partial(storm.in_thread, number) for number in range(4)]
    loops = [partial(lambda number: asyncio.run(storm.on_loop(number)), number) for number in range(2)]
    for thread in start(*threads, *loops):
        thread.join()

    assert storm.problems == []
    assert storm.count.peak == SLOTS
    assert storm.cancelled > 100
    assert len(bulkhead.gate.engine.free) == SLOTS
    assert (bulkhead.queue_depth, bulkhead.gate.engine.crowded, bulkhead.gate.engine._queues) == (0, 0, {})


def test_storm_of_timeouts_and_resizes(busy):
    """Waits that run out and a cap that changes all the while lose no slot either."""
    bulkhead, over = Bulkhead(4, max_waiting=2, max_wait=0.0005), threading.Event()
    storm, guards = Storm(bulkhead), [bulkhead.guard() for _ in range(4)]
    for guard in guards:
        guard.__enter__()
    callers = start(*[storm.with_patience] * 8)
    while not storm.refused:
        threading.Event().wait(0)
    (changer,) = start(partial(storm.change, over))
    for guard in guards:
        guard.__exit__(None, None, None)
    for thread in callers:
        thread.join()
    over.set()
    changer.join()

    assert storm.count.peak <= 5
    assert storm.count.ran + len(storm.refused) == 8 * 300
    snapshot = bulkhead.snapshot()
    assert (snapshot.running, snapshot.waiting, bulkhead.gate.engine.crowded) == (0, 0, 0)
    assert len(bulkhead.gate.engine.free) == snapshot.max_concurrent


def test_first_come_first_served(busy):
    """Threads and tasks that wait together run in exactly the order in which they began to wait."""
    bulkhead, ran = Bulkhead(1, max_waiting=1000), []
    holder = bulkhead.guard()
    holder.__enter__()
    loop = asyncio.new_event_loop()
    runner = threading.Thread(target=loop.run_forever)
    runner.start()

    async def work(number):
        ran.append(number)

    waits = []
    for number in range(40):
        if number % 2:
            thread = threading.Thread(target=bulkhead.call, args=(ran.append, number))
            thread.start()
            waits.append(thread.join)
        else:
            waits.append(asyncio.run_coroutine_threadsafe(bulkhead.acall(work, number), loop).result)
        while bulkhead.queue_depth <= number:
            threading.Event().wait(0)
    holder.__exit__(None, None, None)
    for wait in waits:
        wait()
    loop.call_soon_threadsafe(loop.stop)
    runner.join()
    loop.close()

    assert ran == list(range(40))


def test_a_waiter_whose_loop_was_closed():
    """A slot that nobody is there to take goes to the next one."""
    bulkhead = Bulkhead(1)
    holder = bulkhead.guard()
    holder.__enter__()

    async def work():
        return "ran"

    dead = asyncio.new_event_loop()
    task = dead.create_task(bulkhead.acall(work))
    dead.run_until_complete(asyncio.sleep(0))
    task._log_destroy_pending = False
    dead.close()
    holder.__exit__(None, None, None)

    assert bulkhead.snapshot().running == 0
    assert bulkhead.call(len, "fine") == 4
    del task
    gc.collect()


def test_storm_on_an_adaptive_limit(busy):
    """A limit that moves all the while under threads and loops neither loses a slot nor lets too many run."""
    limit = AdaptiveLimit(8, max_limit=16, window=0.001, min_samples=3, remeasure_every=0.01, max_waiting=1000)
    storm = Storm(limit)
    moves = []

    def failing(seed):
        dice = random.Random(seed)
        for _ in range(150):
            with suppress(ConnectionError), limit.guard(), storm.count:
                moves.append(limit.limit)
                if dice.random() < 0.3:
                    raise ConnectionError

    threads = [partial(storm.in_thread, 1), partial(failing, 2), partial(failing, 3)]
    loops = [partial(lambda number: asyncio.run(storm.on_loop(number)), number) for number in range(2)]
    for thread in start(*threads, *loops):
        thread.join()

    assert storm.problems == []
    assert storm.count.peak <= 16
    assert len(set(moves)) > 1
    snapshot = limit.snapshot()
    assert (snapshot.running, snapshot.waiting) == (0, 0)
    assert len(limit._gate.engine.free) == snapshot.limit
