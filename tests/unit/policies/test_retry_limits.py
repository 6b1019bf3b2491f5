"""Limits of time around a retry and inside it: no attempt or wait begins that does not fit."""

import asyncio

import pytest
from retries import make, notes

from outlast.engines.worst import Worst
from outlast.errors import CircuitOpenError, ConfigError, DeadlineExceededError, ThrottledError
from outlast.policies import CircuitBreaker, Retry, Timeout, deadline
from outlast.testing import ManualClock


def test_max_elapsed_counts_from_the_start(face):
    """No attempt starts after `max_elapsed`, the first attempt's own time included."""
    slow = face.slow(5.0, None)

    def fail():
        raise ConnectionError

    async def slow_fail():
        await slow()
        fail()

    fn = slow_fail if face.colour == "async" else lambda: (slow(), fail())

    with pytest.raises(ConnectionError) as caught:
        face.call(make(face, max_elapsed=11.5), fn)

    assert "2 attempts" in notes(caught.value)[0]
    assert "max_elapsed=11.5 s" in notes(caught.value)[0]


def test_wait_must_fit_the_deadline(face):
    """A wait that the deadline leaves no room for is not begun."""
    fn, script = face.scripted(ConnectionError())
    retry = make(face, attempts=9)

    with pytest.raises(ConnectionError) as caught:
        face.within(2.5, retry, fn)

    assert (script.calls, face.clock.now()) == (2, 1001.0)
    assert "the wait of 2 s does not fit in the 1.5 s that are left" in notes(caught.value)[0]


@pytest.mark.parametrize(
    ("seconds", "after", "calls"),
    [
        pytest.param(None, 1.0, 1, id="no-deadline"),
        pytest.param(20.0, 5.0, 3, id="fits"),
        pytest.param(20.0, 25.0, 1, id="does-not-fit"),
        pytest.param(20.0, None, 3, id="unknown-wait-uses-the-backoff"),
    ],
)
def test_own_rejections(face, seconds, after, calls):
    """A call that another policy refused is repeated only where a deadline leaves room for it."""
    fn, script = face.scripted(ThrottledError(retry_after=after))
    retry = make(face)

    with pytest.raises(ThrottledError):
        face.within(seconds, retry, fn)

    assert script.calls == calls


def test_rejections_within_max_elapsed(face):
    """`max_elapsed` is a limit too: within it rejections are waited for."""
    fn, script = face.scripted(CircuitOpenError(retry_after=5.0), "fine")

    assert face.call(make(face, max_elapsed=10.0), fn) == "fine"
    assert script.calls == 2


def test_open_circuit_ends_the_retrying(face):
    """Around a breaker that opens, the retry gives up at the first refusal instead of waiting for minutes."""
    breaker = CircuitBreaker(failure_threshold=2, **face.around)
    fn, script = face.scripted(ConnectionError())

    with pytest.raises(CircuitOpenError) as caught:
        face.call(make(face, attempts=9), breaker(fn))

    assert script.calls == 2
    assert "neither a deadline nor max_elapsed" in notes(caught.value)[0]


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


def test_worst_case():
    """The worst case counts the limit of each attempt."""
    retry = Retry(3, backoff=1.0, max_retry_after=0.0, attempt_timeout=2.0)

    assert retry.worst(Worst()) == Worst(8.0, 3)
    assert Timeout(2.0).worst(Worst(5.0, 4)) == Worst(2.0, 4)
    assert Timeout(2.0).worst(Worst(1.0, 4)) == Worst(1.0, 4)
    assert deadline(2.0).worst(Worst()) == Worst(2.0, 1)
    assert Timeout(2.0, mode="cooperative").worst(Worst(5.0, 1)) == Worst(5.0, 1)
