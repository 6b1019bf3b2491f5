"""Which results open a circuit, by the rules and the judgements that the user gave."""

import asyncio
import contextlib

import pytest
from circuits import CLOSED, OPEN, SLOW, decorated, make, outcome

from outlast import errors
from outlast.events import CallFailed
from outlast.policies import CircuitBreaker, ConsecutiveFailures, FailureRate, FailuresWithin, HalfOpen, LeakyFailures


def test_own_rules(face):
    """`failure_if` and `ignore` come before the default rules, and None falls back to them."""
    rule = {KeyError: True, OSError: False, RuntimeError: None}
    breaker = make(face, failure_threshold=1, failure_if=lambda e: rule.get(type(e)), ignore=ZeroDivisionError)
    for error in (OSError(), ZeroDivisionError()):
        fn, _ = face.scripted(error)
        with pytest.raises(type(error)):
            face.call(breaker, fn)
    assert (breaker.state, breaker.snapshot().calls) == (CLOSED, 1)

    fn, _ = face.scripted(RuntimeError())
    with pytest.raises(RuntimeError):
        face.call(breaker, fn)
    assert breaker.state is OPEN


@pytest.mark.parametrize("probing", [False, True], ids=["closed", "half-open"])
def test_raising_rule_is_seen_and_counts_for_nothing(face, probing):
    """An error in the user's own rule comes out, with the call's error as its context, and holds no slot."""
    breaker = make(face, failure_threshold=1, recovery=HalfOpen(max_calls=1), failure_if=lambda _: 1 / 0)
    if probing:
        breaker.record_failure()
        face.clock.advance(30)
    fn, _ = face.scripted(ConnectionError("down"))

    with pytest.raises(ZeroDivisionError) as caught:
        face.call(breaker, fn)

    assert isinstance(caught.value.__context__, ConnectionError)
    face.succeed(breaker)


@pytest.mark.parametrize(
    ("trip", "history", "state"),
    [
        pytest.param(FailuresWithin(3, 60.0), "FSSFSF", OPEN, id="within"),
        pytest.param(FailuresWithin(3, 2.0), "FSSFSF", CLOSED, id="not-within"),
        pytest.param(LeakyFailures(3), "FFSFF", OPEN, id="leaky"),
        pytest.param(LeakyFailures(3), "FSFSFSF", CLOSED, id="leaky-paid-back"),
        pytest.param(FailureRate(0.5, over_calls=6), "SSSFFF", OPEN, id="rate-of-calls"),
        pytest.param(FailureRate(0.5, over_seconds=30.0, min_calls=6), "SSSFFF", OPEN, id="rate-over-time"),
        pytest.param(FailureRate(0.5, over_seconds=30.0, min_calls=6), "SSSSFFF", CLOSED, id="rate-too-low"),
        pytest.param(
            FailureRate(0.5, over_seconds=10.0, min_calls=6), "FFFSSSSSSSSSSF", CLOSED, id="rate-without-the-old"
        ),
        pytest.param(SLOW, "SSLL", OPEN, id="slow"),
        pytest.param(SLOW, "SSSL", CLOSED, id="not-slow-enough"),
        pytest.param(ConsecutiveFailures(9) | SLOW, "FSSLL", OPEN, id="combined"),
    ],
)
@pytest.mark.parametrize("how", ["call", "guard", "decorated"])
def test_trip_rules(face, trip, history, state, how):
    """Each rule opens the circuit in every way of calling; a call a second, S F L(ate)."""
    breaker = make(face, trip=trip)
    run = {"call": called, "guard": guarded, "decorated": decorated}[how](face, breaker)
    for letter in history:
        face.clock.advance(1.0)
        run(letter)

    assert breaker.state is state
    assert breaker.snapshot().calls == len(history)


def called(face, breaker):
    """Run a call through `call` and `acall`."""

    def run(letter):
        with contextlib.suppress(ConnectionError):
            face.call(breaker, outcome(face, letter))

    return run


def guarded(face, breaker):
    """Run a call inside a guard."""

    def run(letter):
        def body(_):
            if letter == "L":
                face.clock.advance(1.5)
            if letter == "F":
                raise ConnectionError

        with contextlib.suppress(ConnectionError):
            face.block(breaker.guard(), body)

    return run


def test_success_lands_in_its_grain(face):
    """Many successes before a silence do not hide an outage after it."""
    breaker = make(face, trip=FailureRate(0.5, over_seconds=10.0, min_calls=4))
    face.succeed(breaker, 50)
    face.clock.advance(60)
    face.fail(breaker, 4)

    assert breaker.state is OPEN


def test_streams_are_not_slow(face):
    """How long a stream runs says nothing; that it breaks off does."""
    breaker = make(face, trip=SLOW | ConsecutiveFailures(2))
    wrapped = breaker(face.generator(1, 2))
    for _ in range(3):
        assert face.take(wrapped) == [1, 2]
        face.clock.advance(5)
    assert breaker.state is CLOSED

    broken = breaker(face.generator(1, ConnectionError()))
    for _ in range(2):
        with pytest.raises(ConnectionError):
            face.take(broken)
    assert breaker.state is OPEN


def test_recorded_calls_may_be_slow():
    """The manual face tells how long a call took."""
    breaker = CircuitBreaker(trip=SLOW)
    breaker.record_success(took=2.0)
    breaker.record_failure(took=2.0)

    assert breaker.state is OPEN


def test_failed_results(face):
    """A result that the rule calls failed is a failure, and is returned all the same."""
    breaker = make(face, failure_threshold=2, failed_result=lambda result: result == "busy")
    busy, _ = face.scripted("busy")
    assert face.call(breaker, busy) == "busy"
    face.succeed(breaker)
    assert [face.call(breaker, busy), face.call(breaker, busy)] == ["busy", "busy"]

    assert breaker.state is OPEN
    assert breaker.snapshot().recent_failures[-1][1] == "a failed result of type str"
    assert face.seen.last(CallFailed).error == "a failed result of type str"
    assert breaker.snapshot().calls == 4


def test_failed_result_of_a_probe(face):
    """A probe's result is looked at, too."""
    breaker = make(face, failure_threshold=1, failed_result=lambda result: result == "busy")
    breaker.record_failure()
    face.clock.advance(30)
    face.call(breaker, face.scripted("busy")[0])

    assert breaker.snapshot().opened == 2


def test_failed_results_of_awaitables():
    """What a plain function gives to be awaited is judged when it is there: coroutines and futures alike."""
    breaker = CircuitBreaker(failure_threshold=2, failed_result=lambda result: result == "busy")

    async def answer(text):
        return text

    async def main():
        assert await breaker.call(lambda: answer("busy")) == "busy"
        future = asyncio.get_running_loop().create_future()
        assert breaker.call(lambda: future) is future
        future.set_result("busy")
        await asyncio.sleep(0)

    asyncio.run(main())

    assert breaker.state is OPEN


@pytest.mark.parametrize("probing", [False, True], ids=["closed", "half-open"])
def test_raising_result_rule_is_seen_and_counts_for_nothing(face, probing):
    """An error in the user's own rule comes out and holds no slot."""
    breaker = make(face, failure_threshold=1, recovery=HalfOpen(max_calls=1), failed_result=lambda _: 1 / 0)
    if probing:
        breaker.record_failure()
        face.clock.advance(30)
    with pytest.raises(ZeroDivisionError):
        face.call(breaker, face.scripted("fine")[0])
    breaker.reconfigure(failed_result=None)

    face.succeed(breaker)
    assert breaker.snapshot().calls == probing + 1


def test_weights(face):
    """What a failure weighs is up to the user; nothing is no failure."""
    weights = {TimeoutError: 1.0, ConnectionError: 0.5, OSError: 0.0}
    breaker = make(face, failure_threshold=2, weight=lambda error: weights[type(error)])
    face.fail(breaker, 3, OSError)
    assert breaker.snapshot().failures == 0
    face.fail(breaker, 2)
    assert breaker.state is CLOSED
    face.fail(breaker, 1, TimeoutError)

    assert breaker.state is OPEN


def test_weights_by_hand():
    """Who reports by hand says the weight."""
    breaker = CircuitBreaker(failure_threshold=1)
    breaker.record_failure(weight=0.25)
    breaker.acquire().failure(weight=0.25)
    assert breaker.state is CLOSED
    breaker.record_failure(weight=0.5)

    assert breaker.state is OPEN


def test_verdict_can_be_asked():
    """What an exception would count as can be asked beforehand."""
    breaker = CircuitBreaker(ignore=KeyError, weight=lambda error: 0.0 if isinstance(error, OSError) else 1.0)
    ends = (RuntimeError(), KeyError(), OSError(), errors.BadRequestError(), KeyboardInterrupt())

    assert [breaker.verdict(error).value for error in ends] == ["failure", "ignored", "ignored", "success", "ignored"]
