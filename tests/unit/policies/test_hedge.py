"""How attempts race: who wins, who fails, how many there are, and where they are sent."""

import asyncio
import gc
import itertools
import threading

import pytest
from hedging import Stage, make

from outlast.errors import ConfigError
from outlast.events import HedgeStarted, HedgeWon
from outlast.policies import Backoff, Hedge, HedgeSnapshot, Pipeline, Retry, RetryBudget
from outlast.registry import Registry
from outlast.testing import ManualClock


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
    pick = [(called if where == "host" else given)[where] for given, called in stage.calls]
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
