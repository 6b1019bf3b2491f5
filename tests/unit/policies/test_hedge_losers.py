"""What becomes of the attempts that lose: tasks are cancelled and awaited, threads are counted."""

import asyncio
import itertools
import threading

import pytest

from outlast.policies import Hedge, Timeout
from outlast.policies._hedge_run import HedgeRun
from outlast.testing import ManualClock


async def test_losers_have_ended_before_the_call_returns():
    """Losers are cancelled, and their clean-up is waited for."""
    ended, number = [], itertools.count()
    clock = asyncio.get_running_loop().clock

    @Hedge(delay=1.0, max_hedges=2, idempotent=True, clock=clock)
    async def ask():
        mine = next(number)
        try:
            await asyncio.sleep(1000 if mine < 2 else 0)
        finally:
            await asyncio.sleep(0.5)
            ended.append(mine)
        return mine

    assert await ask() == 2
    assert sorted(ended) == [0, 1, 2]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert clock.now() == 1000 + 2 + 0.5 + 0.5


@pytest.mark.parametrize("at", [0.0, 0.5, 1.5, 2.5], ids=lambda at: f"after-{at}-s")
async def test_cancelling_the_caller_reaps_all(at):
    """A cancelled caller leaves no attempt running, also when it is cancelled again while they end."""
    started, ended = [], []

    @Hedge(delay=1.0, max_hedges=2, idempotent=True, clock=asyncio.get_running_loop().clock)
    async def ask():
        started.append(1)
        try:
            await asyncio.sleep(1000)
        finally:
            try:
                await asyncio.sleep(10)
            finally:
                ended.append(1)

    task = asyncio.create_task(ask())
    await asyncio.sleep(at)
    task.cancel()
    await asyncio.sleep(0.25)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert len(started) == len(ended)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_limit_around_cuts_all():
    """A timeout around the hedge cancels every attempt and raises its own error."""
    clock = asyncio.get_running_loop().clock
    hedge = Hedge(delay=1.0, idempotent=True, clock=clock)
    limited = Timeout(3.0, clock=clock).wrap_async(hedge.wrap_async(lambda: asyncio.sleep(60)))

    with pytest.raises(TimeoutError):
        await limited()

    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert clock.now() == 1003


async def test_cancel_storm():
    """Any number of calls, cancelled at any moment, leave no task and count right."""
    loop = asyncio.get_running_loop()
    hedge = Hedge(delay=0.25, max_hedges=2, idempotent=True, clock=loop.clock)
    running = []

    async def ask(number):
        running.append(1)
        try:
            await asyncio.sleep((number * 7 % 10) / 10)
            if number % 5 == 0:
                raise OSError
            return number
        finally:
            running.pop()

    tasks = [asyncio.create_task(hedge.acall(ask, number)) for number in range(200)]
    for number, task in enumerate(tasks):
        if number % 3 == 0:
            loop.call_later((number % 11) / 10, task.cancel)
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert running == []
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert hedge.snapshot().calls == 200
    assert {type(result) for result in results} <= {int, OSError, asyncio.CancelledError}


def test_thread_storm():
    """Many callers at once: everybody gets an own answer, and no loser is forgotten."""
    hedge = Hedge(delay=0.0, idempotent=True, max_abandoned=1000)
    gate, answers = threading.Event(), []

    def ask(number):
        if number % 4 == 0 and threading.current_thread().name.endswith("hedge") and next(turns[number]) == 0:
            gate.wait(10)
        return number

    turns = [itertools.count() for _ in range(80)]
    callers = [threading.Thread(target=lambda n=n: answers.append(hedge.call(ask, n))) for n in range(80)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(10)
    assert sorted(answers) == list(range(80))

    gate.set()
    for thread in threading.enumerate():
        if thread.name == "outlast-hedge":
            thread.join(10)
    shot = hedge.snapshot()
    assert (shot.calls, shot.abandoned) == (80, 0)
    assert hedge.idle()


def test_too_many_losers_stop_hedging():
    """While as many losers as allowed run on, calls run once, in the caller's own thread."""
    gate, caller = threading.Event(), threading.current_thread()
    hedge, seen = Hedge(delay=0.0, idempotent=True, max_abandoned=1), []

    def ask():
        seen.append(threading.current_thread())
        if len(seen) == 1:
            gate.wait(10)
        return "fine"

    assert hedge.call(ask) == "fine"
    assert (hedge.snapshot().abandoned, hedge.idle()) == (1, False)
    assert hedge.call(ask) == "fine"
    assert seen[2:] == [caller]

    gate.set()
    seen[0].join(10)
    assert hedge.snapshot().abandoned == 0


def test_no_room_for_a_hedge():
    """A hedge that is due while there is no room is left out and counted; no other will be due."""
    hedge = Hedge(delay=0.0, idempotent=True, clock=ManualClock())
    run = HedgeRun(hedge._parts, (), {})

    assert (run.wait(), run.hedge(room=False), run.wait()) == (0.0, None, None)
    run.end()
    assert (hedge.snapshot().hedges, hedge.snapshot().refused) == (0, 1)


def test_no_thread_for_a_hedge(monkeypatch):
    """When the system gives no further thread, the attempt that runs decides; without any, the call fails."""
    hedge, start, threads = Hedge(delay=0.0, idempotent=True), threading.Thread.start, []
    go = threading.Event()

    def few(thread):
        threads.append(thread)
        if len(threads) > 1:
            go.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", few)

    assert hedge.call(lambda: go.wait(10)) is True
    with pytest.raises(RuntimeError, match="new thread"):
        hedge.call(lambda: "fine")
    assert hedge.idle()
