"""What retries may add to the load, alone and together."""

import asyncio
import threading

import pytest
from retries import make, notes

from outlast.errors import ConfigError
from outlast.events import RetryGaveUp
from outlast.policies import Retry, RetryBudget
from outlast.testing import ManualClock


def small(face, reserve=2, **options):
    """Make a budget of which only calls pay."""
    return RetryBudget(**{"per_second": 0.0, "reserve": reserve, "clock": face.clock, **options})


def test_spent_budget_ends_the_retrying(face):
    """When the budget is spent the failure is raised at once, and says so."""
    budget = small(face)
    fn, script = face.scripted(ConnectionError("down"))
    retry = make(face, budget=budget)
    for _ in range(2):
        with pytest.raises(ConnectionError) as caught:
            face.call(retry, fn)

    assert script.calls == 3 + 1
    assert "the retry budget is spent" in notes(caught.value)[0]
    assert face.seen.last(RetryGaveUp).reason == "the retry budget is spent"
    assert budget.snapshot().refused == 1


def test_calls_that_succeed_pay_in(face):
    """Each call pays for a fifth of a retry, retries do not."""
    budget = small(face)
    retry = make(face, budget=budget)
    face.fail(retry, 1)
    face.succeed(retry, 9)

    assert budget.snapshot().calls == 10
    assert budget.snapshot().balance == pytest.approx(1.8)


def test_budget_is_on_by_default(face):
    """Without a word about it each retry has a budget of its own: a hundred at first, then ten a second."""
    retry, other = make(face, backoff=0.0), make(face)
    face.fail(retry, 80)

    assert retry.budget.snapshot().taken > 100
    assert retry.budget.snapshot().refused > 0
    assert retry.budget is not other.budget
    face.clock.advance(1.0)
    assert retry.budget.snapshot().balance >= 10.0


def test_budget_can_be_switched_off(face):
    """Without a budget every call may use all its attempts."""
    fn, script = face.scripted(ConnectionError("down"))
    retry = make(face, budget=False, backoff=0.0)
    for _ in range(200):
        with pytest.raises(ConnectionError):
            face.call(retry, fn)

    assert (script.calls, retry.budget) == (600, None)


def test_shared_budget(face):
    """Several retries of one client share what they may add; a budget that the user gave stays."""
    shared, given = small(face), small(face)
    first, second, third = make(face), make(face), make(face, budget=given)
    first.share_budget(shared)
    second.share_budget(shared, pays_in=False)
    third.share_budget(shared)
    face.fail(first, 1)
    face.fail(second, 1)
    face.fail(third, 1)

    assert (first.budget, second.budget, third.budget) == (shared, shared, given)
    assert (shared.snapshot().taken, shared.snapshot().refused, shared.snapshot().calls) == (2, 1, 1)


async def test_budget_is_taken_before_the_wait():
    """What waits for its next attempt has taken its retry already, so a storm cannot hide in the waits."""
    clock, started = asyncio.get_running_loop().clock, []
    budget = RetryBudget(per_second=0.0, ratio=0.0, reserve=5, clock=clock)
    retry = Retry(backoff=60.0, budget=budget, clock=clock)

    async def fail():
        started.append(clock.now())
        raise ConnectionError

    calls = [asyncio.create_task(retry.acall(fail)) for _ in range(50)]
    await asyncio.sleep(1)
    assert (len(started), budget.snapshot().balance, sum(call.done() for call in calls)) == (50, 0.0, 45)

    await asyncio.gather(*calls, return_exceptions=True)
    assert len(started) == 55


def test_outage_is_not_multiplied(face):
    """While everything fails, a busy client adds a fifth to its load and no more, after its reserve."""
    fn, script = face.scripted(ConnectionError("down"))
    retry = make(face, backoff=0.0, budget=RetryBudget(per_second=0.0, clock=face.clock))
    for _ in range(2000):
        with pytest.raises(ConnectionError):
            face.call(retry, fn)

    assert script.calls <= 2000 * 1.2 + 100


def test_budget_can_be_reconfigured(face):
    """The settings of a budget change in use; a change that makes no sense is refused."""
    budget = small(face)
    budget.take()
    budget.reconfigure(ratio=1.0, reserve=10)
    budget.meter.calls += 4

    assert (budget.config.reserve, budget.snapshot().balance) == (10, 5.0)
    with pytest.raises(ConfigError, match=r"budget\.ratio"):
        budget.reconfigure(ratio=-1)
    assert "ratio=1.0" in repr(budget)


def test_threads_take_no_more_than_there_is():
    """However many threads fail at once, the budget allows exactly what it holds, and counts each call."""
    clock = ManualClock()
    budget = RetryBudget(per_second=0.0, ratio=0.0, reserve=50, clock=clock)
    retry = Retry(backoff=0.0, budget=budget, clock=clock)
    attempts, together = [], threading.Barrier(8)

    def fail():
        attempts.append(1)
        raise ConnectionError

    def work():
        together.wait()
        for _ in range(50):
            with pytest.raises(ConnectionError):
                retry.call(fail)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    snapshot = budget.snapshot()
    assert (len(attempts), snapshot.taken, snapshot.calls) == (400 + 50, 50, 400)
