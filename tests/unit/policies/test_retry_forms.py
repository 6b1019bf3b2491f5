"""Retrying by a loop, of streams, of coroutines that a plain function returns, and for the sake of a result."""

import inspect

import pytest
from retries import make

from outlast.errors import ConfigError
from outlast.events import RetryGaveUp, RetryScheduled
from outlast.policies import Backoff, Retry
from outlast.testing import ManualClock, run_virtual


def test_loop_form(face):
    """The body in the loop runs again until it succeeds; numbers count from 1."""
    outcomes = iter([ConnectionError(), ConnectionError(), "fine"])
    numbers = []

    def body(attempt):
        numbers.append(attempt.number)
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert face.loop(make(face).attempts(), body) == "fine"
    assert (numbers, face.clock.now()) == ([1, 2, 3], 1003.0)


@pytest.mark.parametrize("error", [ConnectionError, ValueError, KeyboardInterrupt])
def test_loop_form_raises_the_last(face, error):
    """The loop form raises what the decorator would raise."""
    last = error("x")

    def body(attempt):
        raise last

    with pytest.raises(error) as caught:
        face.loop(make(face).attempts(), body)

    assert caught.value is last


def test_loop_form_without_wait(face):
    """A backoff of nothing waits nothing."""
    outcomes = iter([ConnectionError(), "fine"])

    def body(attempt):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome

    face.loop(make(face, backoff=Backoff.fixed(0)).attempts(), body)

    assert face.clock.sleeps == []


def test_loop_without_with_is_refused():
    """A body outside of `with attempt:` would run for ever; the second round says so."""
    with pytest.raises(ConfigError, match="inside `with attempt:`"):
        for _ in Retry().attempts():
            pass


def test_only_the_opening_of_a_stream_is_repeated(face):
    """Before the first item a failure is repeated; after it, nothing is delivered twice."""
    opened = []

    def items():
        opened.append(1)
        if len(opened) < 3:
            raise ConnectionError("no opening")
        yield "a"
        raise ConnectionError("broke off")

    async def aitems():
        for item in items():
            yield item

    stream = make(face)(aitems if face.colour == "async" else items)
    read = []

    with pytest.raises(ConnectionError, match="broke off"):
        read += face.take(stream)

    assert len(opened) == 3


def test_sync_function_that_returns_a_coroutine():
    """A lambda that returns a coroutine is retried as what it is: each attempt calls it again."""
    clock, calls = ManualClock(), []

    async def work():
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError
        return "fine"

    def begin():
        return work()

    result = Retry(clock=clock).call(begin)
    assert inspect.iscoroutine(result)

    assert run_virtual(result, clock=clock) == "fine"
    assert len(calls) == 3


def test_other_results_pass():
    """A result of an unusual type that is no awaitable comes back as it is."""
    thing = object()

    assert Retry().call(lambda: thing) is thing


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
