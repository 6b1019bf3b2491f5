"""A write that comes alone is committed by whoever asks for it, where nobody is kept by that for more than a moment."""

import asyncio
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from outlast.errors import ConfigError, ForkedError, InDoubtError, OutboxFullError, ShuttingDownError
from outlast.events import EventBus, OpEnqueued
from outlast.outbox import Outbox, OutboxLimits, SyncOutbox, Verb, Write
from outlast.storage import _sqlite
from stepping import Stepping


@pytest.fixture
def disk(monkeypatch):
    """A disk whose flushes seem to take as long as the test says; at first no time at all."""
    clock = Stepping()
    monkeypatch.setattr(_sqlite, "SYSTEM_CLOCK", clock)
    return clock


@pytest.fixture
def path(tmp_path):
    """Where the outbox is."""
    return tmp_path / "box.db"


class Who:
    """Note in which thread each commit was told."""

    def __init__(self, box):
        self.threads = []
        box.on_change(lambda: self.threads.append(threading.current_thread()))

    def was_here(self):
        """Tell of each commit since this was asked whether it was made in this thread."""
        here, self.threads = [one is threading.current_thread() for one in self.threads], []
        return here


async def known_as_quick(box):
    """Let the outbox see that its disk is quick."""
    for number in range(70):
        await box.put("note", f"first-{number}", {})


def put(name, **options):
    """Be a write."""
    return Write(verb=Verb.PUT, kind="note", entity=name, body=b"x", **options)


async def test_a_loop_that_would_rest_commits_itself(path, disk):
    """First the writer's thread shows that the disk is quick, then a lone write needs no other thread."""
    async with await Outbox.open(path) as box:
        who = Who(box)
        await known_as_quick(box)
        made_here = who.was_here()
        assert made_here[:60] == [False] * 60
        assert made_here[-2:] == [True] * 2

        tickets = await asyncio.gather(*(box.put("note", f"n{n}", {}) for n in range(8)))
        assert who.was_here() == [True]
        assert [ticket.seq for ticket in tickets] == list(range(71, 79))
        assert [op.entity for op in await box.pending("note", after=70)] == [f"n{n}" for n in range(8)]


async def test_a_slow_flush_sends_them_back_to_the_thread(path, disk):
    """One flush that took long is enough: the loop is not kept by the next."""
    async with await Outbox.open(path) as box:
        await known_as_quick(box)
        who = Who(box)
        disk.step = 0.005
        await box.put("note", "slow", {})
        disk.step = 0.0
        for number in range(60):
            await box.put("note", f"n{number}", {})

        assert who.was_here() == [True] + [False] * 60


@pytest.mark.parametrize(
    "writes",
    [[put(f"n{n}") for n in range(33)], [put("large", base=b"x" * 40_000), put("larger", base=b"x" * 40_000)]],
    ids=["many", "large"],
)
async def test_what_takes_longer_is_the_threads(path, disk, writes):
    """Many writes, or large ones, are not stored in the loop's thread; neither from one task nor from several."""
    async with await Outbox.open(path) as box:
        await known_as_quick(box)
        who = Who(box)
        await box.enqueue(*writes)
        await asyncio.gather(*(box.enqueue(write) for write in writes))

        assert who.was_here() == [False, False]


async def test_a_loop_that_has_something_to_do_is_not_kept(path, disk):
    """While another task of the loop could run, the writer's thread commits."""
    async with await Outbox.open(path) as box:
        await known_as_quick(box)
        who = Who(box)

        async def work():
            for _ in itertools.count():
                await asyncio.sleep(0)

        task = asyncio.create_task(work())
        for number in range(5):
            await box.put("note", f"n{number}", {})
        task.cancel()
        await asyncio.wait([task])

        assert who.was_here() == [False] * 5


class Elsewhere(asyncio.SelectorEventLoop):
    """A loop that keeps what is to be run in timers of its own, as those of window toolkits do."""

    def call_soon(self, callback, *args, context=None):
        """Have it run by a timer."""
        return self.call_later(0.0, callback, *args, context=context)


def test_a_loop_that_does_not_tell_what_it_has_to_do_is_not_kept(path, disk):
    """Where nobody can see whether the loop would rest, the writer's thread commits."""

    async def ask():
        async with await Outbox.open(path) as box:
            who = Who(box)
            await known_as_quick(box)
            assert who.was_here() == [False] * 70

    with asyncio.Runner(loop_factory=Elsewhere) as runner:
        runner.run(ask())


async def test_a_loop_that_may_not_does_not(path, disk):
    """Whoever wants no disk to keep the loop says so."""
    async with await Outbox.open(path, commit_on_loop=False) as box:
        who = Who(box)
        await known_as_quick(box)

        assert who.was_here() == [False] * 70


async def test_a_mistake_is_told_as_ever(path, disk):
    """What cannot be queued is refused with its reason, and those of the same turn are queued."""
    async with await Outbox.open(path) as box:
        await known_as_quick(box)
        good, bad = await asyncio.gather(
            box.enqueue(put("good")), box.enqueue(put("bad", after=10**6)), return_exceptions=True
        )

        assert good[0].seq == 71
        assert isinstance(bad, ConfigError)
        assert [op.entity for op in await box.pending("note", after=70)] == ["good"]


async def test_a_turn_in_which_nothing_is_asked_commits_nothing(path, disk):
    """A list that was seen to before its time leaves no empty commit behind."""
    async with await Outbox.open(path) as box:
        await known_as_quick(box)
        before, loop = box.core.database.commits, asyncio.get_running_loop()
        seen = loop.create_future()
        loop.call_soon(lambda: (box.core.flush(), loop.call_soon(seen.set_result, None)))
        await seen

        assert box.core.database.commits == before


async def test_a_listener_that_raises_is_no_reason_to_lose_an_answer(path, disk, caplog):
    """What is durable is told to whoever waits for it, whatever those do who only listen."""
    bus = EventBus()
    async with await Outbox.open(path, bus=bus) as box:
        await known_as_quick(box)
        bus.subscribe(lambda event: 1 / 0, OpEnqueued)
        box.on_change(lambda: 1 / 0)

        assert (await box.put("note", "n", {})).seq == 71
        assert "raised" in caplog.text


def test_a_loop_that_is_interrupted_and_runs_on_leaves_nobody_waiting(path, disk):
    """Whoever waits for what was being committed then is told that it may have taken place."""

    def interrupt():
        raise KeyboardInterrupt

    loop = asyncio.new_event_loop()
    box = loop.run_until_complete(Outbox.open(path))
    loop.run_until_complete(known_as_quick(box))
    asking = loop.create_task(box.put("note", "n", {}))
    stop = box.on_change(interrupt)
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(asking)
    stop()

    with pytest.raises(InDoubtError, match="may have taken place"):
        loop.run_until_complete(asyncio.wait_for(asking, 30))
    assert loop.run_until_complete(box.put("note", "m", {})).seq == 72
    loop.run_until_complete(box.aclose())
    loop.close()


def test_a_loop_that_closes_leaves_the_tasks_of_others_alone(path, disk):
    """What the task of one loop asks for is seen to by that loop, also when another closes the outbox meanwhile."""
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    box = first.run_until_complete(Outbox.open(path))
    first.run_until_complete(known_as_quick(box))

    async def ask():
        task = asyncio.create_task(box.put("note", "n", {}))
        await asyncio.sleep(0)
        with ThreadPoolExecutor(1) as threads:
            threads.submit(second.run_until_complete, box.aclose()).result()
        assert not task.done()
        return await task

    with pytest.raises(ShuttingDownError):
        first.run_until_complete(ask())
    first.close()
    second.close()


async def test_a_child_is_told_that_the_file_is_not_its_own(path, disk):
    """In a fork neither this loop nor a thread commits; who asks is told, and does not wait for ever."""
    async with await Outbox.open(path) as box:
        await known_as_quick(box)
        box.core.database._pid += 1
        with pytest.raises(ForkedError, match="open it again"):
            await asyncio.wait_for(box.put("note", "n", {}), 30)
        box.core.database._pid -= 1

        assert (await box.put("note", "n", {})).seq == 71


async def test_bounds_hold(path, disk):
    """A bound refuses exactly what is too much, whoever commits."""
    async with await Outbox.open(path, limits=OutboxLimits(max_ops=72)) as box:
        await known_as_quick(box)
        outcomes = await asyncio.gather(*(box.put("note", f"n{n}", {}) for n in range(4)), return_exceptions=True)

        assert [type(one).__name__ for one in outcomes] == ["Ticket", "Ticket", "OutboxFullError", "OutboxFullError"]
        assert (await box.counts()).ready == 72


async def test_who_has_gone_away_queues_nothing(path, disk):
    """A task that is cancelled before the commit takes back its own write and no other."""
    async with await Outbox.open(path) as box:
        await known_as_quick(box)
        tasks = [asyncio.create_task(box.put("note", f"n{n}", {})) for n in range(3)]
        asyncio.get_running_loop().call_soon(tasks[1].cancel)
        await asyncio.wait(tasks)

        assert tasks[1].cancelled()
        assert [op.entity for op in await box.pending("note", after=70)] == ["n0", "n2"]


def test_a_lone_thread_commits_itself(path):
    """Blocking code that comes alone needs no other thread, however slow the disk is."""
    with SyncOutbox.open(path) as box:
        who = Who(box)
        tickets = [box.put("note", f"n{n}", {}) for n in range(5)]

        assert who.was_here() == [True] * 5
        assert [ticket.seq for ticket in tickets] == [1, 2, 3, 4, 5]
        with pytest.raises(ConfigError, match="there is no write"):
            box.enqueue(put("bad", after=10**6))
        assert box.counts().ready == 5


def test_a_lone_thread_is_told_that_it_is_too_much(path):
    """A bound refuses what a thread that commits itself asks for, with the same error as ever."""
    with SyncOutbox.open(path, limits=OutboxLimits(max_ops=1)) as box:
        who = Who(box)
        box.put("note", "n", {})
        with pytest.raises(OutboxFullError):
            box.put("note", "m", {})

        assert who.was_here() == [True]
        assert box.counts().ready == 1


def test_threads_that_come_together_share_commits(path):
    """Threads that queue at the same time wait for the writer, which commits what they ask for together."""
    with SyncOutbox.open(path) as box:
        go, begun = threading.Event(), threading.Event()
        box.core.database.write(lambda db: begun.set() or go.wait(30))
        assert begun.wait(30)
        before = box.core.database.commits
        threads = [threading.Thread(target=box.put, args=("note", f"n{n}", {})) for n in range(20)]
        for thread in threads:
            thread.start()
        while len(box.core.database._writer._entries) < 20:
            pass
        go.set()
        for thread in threads:
            thread.join()

        assert box.core.database.commits - before == 2
        assert box.counts().ready == 20
