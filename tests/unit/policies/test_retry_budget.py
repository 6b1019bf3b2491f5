"""What a retry does beside trying again: budget, results, limits of attempts, other retries, new settings."""

import asyncio
import threading

import pytest

from outlast.engines import RetryConfig
from outlast.engines.worst import Worst
from outlast.errors import ConfigError, DeadlineExceededError
from outlast.events import PolicyReconfigured, RetryGaveUp, RetryScheduled
from outlast.policies import Backoff, Jitter, Retry, RetryBudget, Timeout, deadline, is_retried_above, retried_above
from outlast.testing import FixedRandom, ManualClock, run_virtual


def make(face, **options):
    """Make a retry of 3 attempts that waits 1 and 2 s."""
    return Retry(**{"random": FixedRandom(0.5), **face.around, **options})


def notes(error):
    """Return the notes of an exception."""
    return getattr(error, "__notes__", [])


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


@pytest.mark.parametrize("times", [1, 2, 3])
def test_again_if(face, times):
    """A result that the rule does not want is asked for again; the last one is returned as it is."""
    fn, script = face.scripted(*["pending"] * times, "ready")
    result = face.call(make(face, again_if=lambda answer: answer == "pending"), fn)

    assert (result, script.calls) == ("ready" if times < 3 else "pending", min(times + 1, 3))
    assert [event.error for event in face.seen.of(RetryScheduled)] == ["result"] * min(times, 2)
    assert len(face.seen.of(RetryGaveUp)) == (times == 3)


def test_results_and_failures_count_together(face):
    """Failures and unwanted results are attempts of the same call."""
    fn, script = face.scripted("pending", ConnectionError(), "pending", "ready")

    assert face.call(make(face, again_if="pending".__eq__), fn) == "pending"
    assert script.calls == 3


def test_items_are_not_results(face):
    """`again_if` is not asked about the items of a stream."""
    retry = make(face, again_if=lambda answer: True)

    assert face.take(retry(face.generator(1, 2))) == [1, 2]


def test_awaitable_result_is_asked_about_when_it_is_there():
    """A function that returns a coroutine is judged by what that gives, and pays in once."""
    clock, calls = ManualClock(), []

    async def work():
        calls.append(1)
        return len(calls)

    retry = Retry(again_if=lambda number: number < 2, clock=clock)

    def begin():
        return work()

    assert run_virtual(retry.call(begin), clock=clock) == 2
    assert retry.budget.snapshot().calls == 1


def test_attempt_timeout(face):
    """Each attempt has its own limit, and one that takes too long is tried again if that does no harm."""
    limit = Timeout(2.0, mode="cooperative", **face.around)
    retry = make(face, attempt_timeout=limit, on=TimeoutError)
    fn = face.slow(5.0)
    with pytest.raises(DeadlineExceededError) as caught:
        face.call(retry, fn)

    # A sync call that ended late took place; only what was cut may be tried again.
    took = 5.0 if face.colour == "sync" else 2 + 1 + 2 + 2 + 2
    assert face.clock.now() == 1000.0 + took
    assert ("3 attempts" in notes(caught.value)[0]) == (face.colour == "async")


def test_attempt_timeout_as_a_number(face):
    """A number of seconds will do for async functions; sync ones need a mode, and are told so."""
    retry = make(face, attempt_timeout=2.0)
    fn, _ = face.scripted("fine")
    if face.colour == "sync":
        with pytest.raises(ConfigError, match="mode='cooperative'"):
            retry(fn)
    else:
        assert face.call(retry, fn) == "fine"


async def test_attempt_timeout_in_the_loop_form():
    """In the loop form each round has the limit, and a round that was cut is followed by another."""
    clock, rounds = asyncio.get_running_loop().clock, []
    retry = Retry(attempt_timeout=2.0, backoff=1.0, clock=clock)
    async for attempt in retry.attempts():
        async with attempt:
            rounds.append(clock.now())
            if len(rounds) < 3:
                await asyncio.sleep(60)

    assert rounds == [1000.0, 1003.0, 1006.0]

    async def loop():
        async for attempt in Retry(1, attempt_timeout=2.0, clock=clock).attempts():
            async with attempt:
                await asyncio.sleep(60)

    with pytest.raises(DeadlineExceededError):
        await loop()


def test_attempt_timeout_in_the_sync_loop_form():
    """A sync round that ended late took place, so the loop ends with the error."""
    clock, rounds = ManualClock(), []
    retry = Retry(attempt_timeout=Timeout(2.0, mode="cooperative", clock=clock), clock=clock)

    def loop():
        for attempt in retry.attempts():
            with attempt:
                rounds.append(1)
                clock.sleep(5)

    with pytest.raises(DeadlineExceededError):
        loop()
    assert rounds == [1]


def nested(face, inner=None, outer=None):
    """Put a retry around a retry around what always fails; return both and the script."""
    fn, script = face.scripted(ConnectionError("down"))
    inside = make(face, backoff=0.0, **(inner or {}))(fn)
    outside = make(face, backoff=0.0, **(outer or {}))
    with pytest.raises(ConnectionError) as caught:
        face.call(outside, inside)
    return script.calls, caught.value


def test_nested_retries_do_not_multiply(face):
    """What a retry further in gave up is left alone further out: three calls, not nine."""
    calls, error = nested(face, {"name": "inner"}, {"name": "outer"})

    assert calls == 3
    assert [note.split(":")[0] for note in notes(error)] == ["outlast inner", "outlast outer"]
    assert "a retry further in gave it up already" in notes(error)[1]


def test_they_multiply_when_told_to(face):
    """`stand_down=False` on the outer one tries again what the inner one gave up."""
    assert nested(face, outer={"stand_down": False})[0] == 9


def test_one_attempt_inside_marks_nothing(face):
    """An inner retry that never tries again leaves the retrying to the outer one."""
    assert nested(face, inner={"attempts": 1})[0] == 3


def test_what_the_inner_one_does_not_want_is_left_to_the_outer(face):
    """Each of two retries with errors of their own tries its own again."""
    assert nested(face, inner={"on": KeyError})[0] == 3


def test_depth_does_not_multiply(face):
    """Five retries in one another make as many calls as one."""
    fn, script = face.scripted(ConnectionError("down"))
    for _ in range(5):
        fn = make(face, backoff=0.0)(fn)
    with pytest.raises(ConnectionError):
        face.run(fn)

    assert script.calls == 3


@pytest.mark.parametrize("how", ["cause", "group"])
def test_mark_is_seen_through(face, how):
    """The outer retry finds the mark in the cause of an exception and in a group."""
    fn, script = face.scripted(ConnectionError("down"))
    inside = make(face, backoff=0.0)(fn)

    def wrap(error):
        if how == "cause":
            raise TimeoutError("mine") from error
        raise ExceptionGroup("g", [error]) from None

    def body():
        try:
            return inside()
        except ConnectionError as error:
            wrap(error)

    async def abody():
        try:
            return await inside()
        except ConnectionError as error:
            wrap(error)

    outer = make(face, backoff=0.0, on=lambda error: True)
    with pytest.raises(Exception, match=r"mine|g"):
        face.call(outer, abody if face.colour == "async" else body)

    assert script.calls == 3


def test_old_marks_do_not_count(face):
    """An exception object that is raised again in a later call is tried again as at first."""
    error = ConnectionError("constant")
    fn, script = face.scripted(error)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            face.call(make(face, backoff=0.0), fn)

    assert script.calls == 6


class SlottedError(Exception):
    """An exception that takes no attributes."""

    def __setattr__(self, name, value):
        """Refuse."""
        if name.startswith("__outlast"):
            raise AttributeError(name)
        super().__setattr__(name, value)


def test_exception_without_room_for_a_mark(face):
    """An exception that cannot be marked is raised as it is; the outer retry then tries it again."""
    fn, script = face.scripted(SlottedError())
    inside = make(face, on=SlottedError, backoff=0.0)(fn)
    with pytest.raises(SlottedError):
        face.call(make(face, on=SlottedError, backoff=0.0), inside)

    assert script.calls == 9


@pytest.mark.parametrize(("stand_down", "calls"), [(True, 1), (False, 3)])
def test_retried_above(face, stand_down, calls):
    """Where the caller has said that it retries, one attempt is made, unless told otherwise."""
    fn, script = face.scripted(ConnectionError("down"))
    retry = make(face, stand_down=stand_down)
    with retried_above():
        said = is_retried_above()
        with pytest.raises(ConnectionError):
            face.call(retry, fn)

    assert script.calls == calls
    assert (said, is_retried_above()) == (True, False)


def test_decorrelated_waits_follow_each_other(face):
    """Each decorrelated wait is drawn from the one before it."""
    fn, _ = face.scripted(ConnectionError("down"))
    with pytest.raises(ConnectionError):
        face.call(make(face, attempts=4, backoff=Backoff.decorrelated(1.0), random=FixedRandom(0.9)), fn)

    waits = [event.wait for event in face.seen.of(RetryScheduled)]
    assert waits == pytest.approx([2.8, 1 + 0.9 * 7.4, 1 + 0.9 * (3 * 7.66 - 1)])


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [
        pytest.param(0.5, [0.5, 0.5], id="seconds"),
        pytest.param(2, [2.0, 2.0], id="whole-seconds"),
        pytest.param([1, 4], [1.0, 4.0], id="list"),
        pytest.param(range(2, 9), [2.0, 3.0], id="iterable"),
        pytest.param(Backoff(base=3.0, jitter=Jitter.NONE), [3.0, 6.0], id="backoff"),
    ],
)
def test_backoff_in_short(face, backoff, waits):
    """Seconds, a list of seconds and any iterable stand for a backoff, the same in every call."""
    fn, _ = face.scripted(ConnectionError("down"))
    retry = make(face, backoff=backoff)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            face.call(retry, fn)

    assert [event.wait for event in face.seen.of(RetryScheduled)] == waits * 2


def test_presets(face):
    """The presets are those of the documentation, and take the options of every retry."""
    assert Retry.defaults().snapshot() == RetryConfig(3, Backoff(1.0, 2.0, 30.0))
    assert Retry.aggressive().snapshot() == RetryConfig(5, Backoff(0.5, 2.0, 30.0))
    assert Retry.none(name="off").snapshot().attempts == 1
    assert Retry.none(name="off").name == "off"


def test_reconfigure(face):
    """Settings change for the next call of functions that are decorated already; the budget keeps its balance."""
    fn, script = face.scripted(ConnectionError("down"))
    retry = make(face, backoff=0.0)
    decorated = retry(fn)
    with pytest.raises(ConnectionError):
        face.run(decorated)
    taken = retry.budget.snapshot().taken
    retry.reconfigure(attempts=5, backoff=[3.0])
    with pytest.raises(ConnectionError):
        face.run(decorated)

    assert face.seen.last(PolicyReconfigured).settings == ("attempts", "backoff")
    assert script.calls == 3 + 5
    assert retry.snapshot().backoff == Backoff.of([3.0])
    assert retry.budget.snapshot().taken == taken + 4


def test_reconfigure_with_max_elapsed(face):
    """A limit of time that comes later counts from the first failure."""
    fn, script = face.scripted(ConnectionError("down"))
    retry = make(face, attempts=9, backoff=2.0)
    decorated = retry(fn)
    retry.reconfigure(max_elapsed=5.0)
    with pytest.raises(ConnectionError):
        face.run(decorated)

    assert script.calls == 3


@pytest.mark.parametrize("settings", [{"attempts": 0}, {"backoff": -1.0}, {"max_elapsed": 0}, {"nmae": "x"}], ids=repr)
def test_reconfigure_refuses_nonsense(settings):
    """A change that makes no sense is refused and changes nothing."""
    retry = Retry()
    before = retry.snapshot()
    with pytest.raises(ConfigError):
        retry.reconfigure(**settings)

    assert retry.snapshot() == before


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


def test_worst_case():
    """The worst case counts the limit of each attempt."""
    retry = Retry(3, backoff=1.0, max_retry_after=0.0, attempt_timeout=2.0)

    assert retry.worst(Worst()) == Worst(8.0, 3)
    assert Timeout(2.0).worst(Worst(5.0, 4)) == Worst(2.0, 4)
    assert Timeout(2.0).worst(Worst(1.0, 4)) == Worst(1.0, 4)
    assert deadline(2.0).worst(Worst()) == Worst(2.0, 1)
    assert Timeout(2.0, mode="cooperative").worst(Worst(5.0, 1)) == Worst(5.0, 1)


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


async def test_cancelled_waits_leave_nothing():
    """A storm of calls that are cancelled while they wait ends at once, and no task or timer is left."""
    loop = asyncio.get_running_loop()
    retry = Retry(backoff=3600.0, clock=loop.clock)

    async def fail():
        raise ConnectionError

    calls = [asyncio.create_task(retry.acall(fail)) for _ in range(80)]
    await asyncio.sleep(0.1)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    assert all(call.cancelled() for call in calls)
    assert len(asyncio.all_tasks()) == 1
    assert [handle for handle in loop._scheduled if not handle.cancelled()] == []
