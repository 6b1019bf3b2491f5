import asyncio
import contextvars
import gc
import itertools
import math
import threading

import pytest

from outlast.engines.hedge import HedgeConfig, HedgeEngine
from outlast.engines.worst import Worst
from outlast.errors import ConfigError, DuplicateNameError
from outlast.events import HedgeStarted, HedgeWon
from outlast.policies import Backoff, Hedge, HedgeSnapshot, Pipeline, Retry, RetryBudget, Timeout, remaining
from outlast.policies._hedge_run import HedgeRun
from outlast.registry import Registry
from outlast.testing import ManualClock, run_virtual


class Stage:
    """Attempts that wait for each other, told by a plan for each; in the colour of the face."""

    def __init__(self, face, *plans):
        self.plans, self.numbers = plans, itertools.count()
        self.calls, self.ended = [], []
        self.before = set(threading.enumerate())
        self.events = {}
        self.is_async = face.colour == "async"
        self.fn = self.play_async if self.is_async else self.play

    def event(self, name):
        """Return the signal of that name."""
        return self.events.setdefault(name, asyncio.Event() if self.is_async else threading.Event())

    def begin(self, args, kwargs):
        """Write down an attempt and return its plan."""
        number = next(self.numbers)
        self.calls.append((args, kwargs))
        return number, self.plans[number]

    def play(self, *args, **kwargs):
        """Run the next plan in a thread."""
        number, plan = self.begin(args, kwargs)
        try:
            for step in plan[:-1]:
                self.event(step[1:]).set() if step[0] == "!" else self.event(step).wait(10)
            return give(plan[-1])
        finally:
            self.ended.append(number)

    async def play_async(self, *args, **kwargs):
        """Run the next plan in a task."""
        number, plan = self.begin(args, kwargs)
        try:
            for step in plan[:-1]:
                self.event(step[1:]).set() if step[0] == "!" else await self.event(step).wait()
            return give(plan[-1])
        finally:
            self.ended.append(number)

    def release(self):
        """Let the threads that were left behind end, and wait for them."""
        for event in self.events.values():
            event.set()
        for thread in set(threading.enumerate()) - self.before:
            thread.join(10)


def give(outcome):
    """Return a plan's outcome, or raise it."""
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


class Purse:
    """A budget with so many hedges in it."""

    def __init__(self, left):
        self.left, self.asked, self.when_empty = left, 0, None

    def take(self):
        """Take one."""
        self.asked += 1
        self.left -= 1
        if self.left < 0:
            self.when_empty()
        return self.left >= 0


def make(face, **options):
    """Make a hedge that starts its hedges at once."""
    return Hedge(**{"delay": 0.0, "idempotent": True, **face.around, **options})


def test_quick_call_is_not_hedged(face):
    """A call that answers within the delay runs once."""
    stage = Stage(face, ["fine"])
    hedge = make(face, delay=5.0)

    assert face.call(hedge, stage.fn, 1, b=2) == "fine"
    assert stage.calls == [((1,), {"b": 2})]
    assert hedge.snapshot() == HedgeSnapshot(5.0, calls=1, hedges=0, wins=0, refused=0, samples=1, abandoned=0)
    assert face.seen.events == []


def test_hedge_wins(face):
    """The answer of a hedge is taken when the first attempt hangs; events say so."""
    stage = Stage(face, ["never", "late"], ["fine"])
    hedge = make(face, name="load", registry=face.registry)

    assert face.call(hedge, stage.fn, 1) == "fine"
    assert stage.calls == [((1,), {}), ((1,), {})]
    assert [(event.source, event.number) for event in face.seen.of(HedgeStarted)] == [("load", 1)]
    assert [(event.source, event.number) for event in face.seen.of(HedgeWon)] == [("load", 1)]
    stage.release()
    shot = hedge.snapshot()
    assert (shot.hedges, shot.wins, shot.abandoned) == (1, 1, 0)


def test_first_may_still_win(face):
    """The first attempt wins if it answers before the hedge does."""
    stage = Stage(face, ["hedged", "fine"], ["!hedged", "never", "late"])
    hedge = make(face)

    assert face.call(hedge, stage.fn) == "fine"
    assert (hedge.snapshot().hedges, hedge.snapshot().wins) == (1, 0)
    assert face.seen.of(HedgeWon) == []
    stage.release()


@pytest.mark.parametrize("failing", [0, 1], ids=["the-first-fails", "the-hedge-fails"])
def test_a_failure_waits_for_the_others(face, failing):
    """While another attempt runs, a failure decides nothing."""
    plans = [["hedged", "failed", "fine"], ["!hedged", "failed", "fine"]]
    plans[failing][-2:] = ["!failed", OSError("down")]
    stage = Stage(face, *plans)

    assert face.call(make(face), stage.fn) == "fine"


def test_all_fail(face):
    """When all have failed, the first error is raised, with a note about the others."""
    first = OSError("first")
    stage = Stage(face, ["hedged", "!failed", first], ["!hedged", "failed", KeyError("second")])

    with pytest.raises(OSError, match="first") as caught:
        face.call(make(face), stage.fn)

    assert caught.value is first
    assert first.__notes__ == ["outlast hedge: all 2 attempts failed; later ones: KeyError: 'second'"]


def test_failure_before_a_hedge_is_due(face):
    """A hedge is no retry: a call that fails early has failed, as it was, and teaches nothing."""
    fn, script = face.scripted(OSError("down"))
    hedge = make(face, delay=60.0)

    with pytest.raises(OSError, match="down") as caught:
        face.call(hedge, fn)

    assert script.calls == 1
    assert not hasattr(caught.value, "__notes__")
    assert hedge.snapshot().samples == 0


def test_several_hedges(face):
    """Up to `max_hedges` are started, one delay after the other."""
    stage = Stage(face, ["never", 0], ["never", 1], ["fine"])

    assert face.call(make(face, max_hedges=2), stage.fn) == "fine"
    assert [event.number for event in face.seen.of(HedgeStarted)] == [1, 2]
    stage.release()


def test_spent_budget_stops_only_new_hedges(face):
    """A budget with nothing left neither hangs nor kills the call; it is asked once for each call."""
    purse = Purse(1)
    hedge = make(face, budget=purse, max_hedges=3)
    stage = Stage(face, ["hedged", "asked", "fine"], ["!hedged", "never", "late"])
    purse.when_empty = stage.event("asked").set

    assert face.call(hedge, stage.fn) == "fine"
    assert (purse.asked, len(stage.calls)) == (2, 2)
    assert (hedge.snapshot().hedges, hedge.snapshot().refused) == (1, 1)
    stage.release()


async def test_one_budget_over_retries_and_hedges():
    """A budget that the retry outside has spent starts no hedge, and the call goes on."""
    loop, numbers = asyncio.get_running_loop(), itertools.count()
    budget = RetryBudget(ratio=0.0, per_second=0.0, reserve=2, clock=loop.clock)
    hedge = Hedge(delay=1.0, idempotent=True, budget=budget, clock=loop.clock)
    stack = Pipeline(
        "load", Retry(budget=budget, backoff=Backoff.fixed(0), clock=loop.clock), hedge, registry=Registry()
    )

    async def ask():
        number = next(numbers)
        await asyncio.sleep(10)
        if number < 2:
            raise ConnectionError(number)
        return number

    assert await stack.acall(ask) == 2
    shot = hedge.snapshot()
    assert (shot.calls, shot.hedges, shot.refused) == (2, 1, 1)
    assert budget.snapshot().taken == 2


@pytest.mark.parametrize("kind", ["sequence", "function"])
@pytest.mark.parametrize("where", [0, 1, "host"])
def test_other_targets(face, kind, where):
    """Each hedge is sent to another target, the first attempt to the one of the call."""
    stage = Stage(face, ["never", 0], ["never", 1], ["never", 2], ["fine"])
    names = ["b", "c"]
    targets = names if kind == "sequence" else lambda number: names[(number - 1) % 2]
    hedge = make(face, max_hedges=3, targets=targets, target_argument=where)
    args, kwargs = (("a", "a"), {"host": "a"})

    assert face.call(hedge, stage.fn, *args, **kwargs) == "fine"
    pick = [(called | {"host": called["host"]} if where == "host" else given)[where] for given, called in stage.calls]
    # Threads begin in any order once they are started.
    assert (pick[0], sorted(pick)) == ("a", ["a", "b", "b", "c"])
    assert len({(given, tuple(called.items())) for given, called in stage.calls}) == 3
    stage.release()


@pytest.mark.parametrize(("where", "words"), [(1, "positional argument 1"), ("host", "'host'")])
def test_a_target_argument_that_is_missing(face, where, words):
    """A call without the argument that names the target is refused, not only once it is slow."""
    fn, script = face.scripted("fine")

    with pytest.raises(ConfigError, match=words):
        face.call(make(face, targets=["b"], target_argument=where), fn, "a")

    assert script.calls == 0


def test_a_target_that_raises_fails_its_hedge_only(face):
    """When no target can be had for a hedge, the first attempt goes on."""

    def target(number):
        stage.event("asked").set()
        raise LookupError(number)

    stage = Stage(face, ["asked", "fine"])

    assert face.call(make(face, targets=target), stage.fn, "a") == "fine"


def test_fatal_errors_end_the_call(face):
    """What is no Exception is not waited out."""
    error = asyncio.CancelledError() if face.colour == "async" else KeyboardInterrupt()
    stage = Stage(face, ["hedged", error], ["!hedged", "never", "late"])

    with pytest.raises(type(error)):
        face.call(make(face), stage.fn)
    stage.release()


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


def test_threads_have_the_context():
    """Every thread has its own copy of the caller's context, its deadline included."""
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")
    hedge = Hedge(delay=60.0, idempotent=True)
    limited = Timeout(5.0, mode="cooperative").wrap_sync(
        hedge.wrap_sync(lambda: (variable.get(), remaining() is not None))
    )

    assert limited() == ("set", True)


def returning(fn):
    """Return what a coroutine function gives, without saying so."""
    return fn()


async def test_sync_function_on_a_loop_is_not_hedged():
    """A sync call on an event loop runs in its thread; if what it returns can be awaited, that is hedged."""
    hedge = Hedge(delay=1.0, idempotent=True, clock=asyncio.get_running_loop().clock)
    numbers = itertools.count()

    async def ask():
        number = next(numbers)
        await asyncio.sleep(10 if number == 0 else 0)
        return number

    assert hedge.call(threading.current_thread) is threading.main_thread()
    assert await hedge.call(returning, ask) == 1


def test_sync_function_that_returns_a_coroutine():
    """Off the loop a lambda that returns a coroutine works too."""

    async def ask():
        return "fine"

    hedge = Hedge(delay=60.0, idempotent=True)
    assert run_virtual(hedge.call(returning, ask)) == "fine"


def test_streams_and_blocks_are_refused(face):
    """Neither a stream nor a block can be raced."""
    with pytest.raises(ConfigError, match="stream"):
        make(face)(face.generator(1))
    with pytest.raises(ConfigError, match="run its call again"):
        make(face).guard()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"idempotent": False}, "idempotent=True"),
        ({"idempotent": 1}, "idempotent=True"),
        ({"delay": 1.0, "quantile": 0.9}, "not both"),
        ({"delay": -1.0}, "delay"),
        ({"delay": math.nan}, "delay"),
        ({"quantile": 1.0}, "quantile"),
        ({"quantile": 0.0}, "quantile"),
        ({"floor": 2.0, "ceiling": 1.0}, "floor"),
        ({"floor": -1.0}, "floor"),
        ({"min_samples": 0}, "min_samples"),
        ({"memory": True}, "memory"),
        ({"max_hedges": 0}, "max_hedges"),
        ({"max_abandoned": 0}, "max_abandoned"),
        ({"targets": []}, "targets"),
    ],
)
def test_wrong_settings(options, words):
    """What makes no sense is refused when it is made, with the name of the setting."""
    with pytest.raises(ConfigError, match=words):
        Hedge(**{"idempotent": True, **options})


def test_reconfigure(face):
    """Settings change for later calls, what was learnt stays; a wrong one changes nothing."""
    hedge = make(face, delay=60.0)
    face.succeed(hedge, 3)

    hedge.reconfigure(delay=None, min_samples=3, floor=0.0, max_hedges=2)
    assert hedge.snapshot().delay < 1.0
    assert hedge.snapshot().samples == 3
    assert hedge.settings()["max_hedges"] == 2
    for wrong in ({"max_hedges": 0}, {"delays": 1.0}):
        with pytest.raises(ConfigError):
            hedge.reconfigure(**wrong)
    hedge.reconfigure(quantile=None)
    assert hedge.describe().endswith("after the p95 of recent calls")
    hedge.reconfigure(memory=7)
    assert hedge.snapshot().samples == 0


def test_names(face):
    """A hedge with a name is registered; without one it is called after itself."""
    hedge = make(face, name="load", registry=face.registry)

    assert face.registry.get("hedge", "load") is hedge
    assert (hedge.name, make(face).name) == ("load", "hedge")
    with pytest.raises(DuplicateNameError):
        make(face, name="load", registry=face.registry)


def test_what_it_tells(face):
    """One line says what it does, repr the whole state, and worst bounds a call."""
    fixed, live = make(face, delay=0.5, max_hedges=2), make(face, delay=None, quantile=0.99)

    assert fixed.describe() == "hedge 'hedge': up to 2 more after 0.5 s"
    assert live.describe() == "hedge 'hedge': up to 1 more after the p99 of recent calls"
    assert "max_hedges=2" in repr(fixed)
    assert "calls=0" in repr(fixed)
    assert fixed.worst(Worst(2.0, 1)) == Worst(3.0, 3)
    assert live.worst(Worst(2.0, 4)) == Worst(4.0, 8)
    assert fixed.worst(Worst(math.inf, 1)) == Worst(math.inf, 3)


def test_nothing_is_kept_of_a_failure():
    """A call that failed leaves no cycle behind that holds its error."""
    hedge = Hedge(delay=60.0, idempotent=True, clock=ManualClock())

    class MineError(Exception):
        pass

    def down():
        raise MineError

    def call():
        with pytest.raises(MineError):
            hedge.call(down)

    gc.collect()
    gc.disable()
    try:
        call()
        for thread in threading.enumerate():
            if thread.name == "outlast-hedge":
                thread.join(10)
    finally:
        gc.enable()
    assert not any(isinstance(thing, MineError) for thing in gc.get_objects())


def test_delay_follows_the_quantile():
    """The delay is the ceiling until enough is known, then the quantile between floor and ceiling."""
    engine = HedgeEngine(HedgeConfig(min_samples=10, floor=0.05, ceiling=2.0))

    def learn(seconds, times=1):
        for _ in range(times):
            race = engine.begin(0.0)
            race.won(0)
            engine.end(race, seconds)

    learn(0.1, 9)
    assert engine.delay() == 2.0
    learn(0.1)
    assert 0.1 < engine.delay() <= 0.1 * 17 / 16
    learn(0.001, 2000)
    assert engine.delay() == 0.05
    learn(50.0, 2000)
    assert engine.delay() == 2.0
