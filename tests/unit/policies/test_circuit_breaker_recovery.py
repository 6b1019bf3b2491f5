"""How a circuit closes again, and when it opens anew instead."""

import contextlib

import pytest
from circuits import CLOSED, HALF_OPEN, OPEN, SLOW, make, refused

from outlast.errors import CircuitOpenError
from outlast.policies import Backoff, CircuitBreaker, GradedRecovery, HalfOpen, ResetAfterCooldown
from outlast.testing import FixedRandom, ManualClock


def test_probes_close_it(face):
    """After the open time two successful probes close it."""
    breaker = make(face)
    face.fail(breaker, 3)
    face.clock.advance(30)

    face.succeed(breaker)
    assert breaker.state is HALF_OPEN
    face.succeed(breaker)
    assert breaker.state is CLOSED


def test_failed_probe_opens_it_again(face):
    """One failed probe is enough, and the open time starts anew."""
    breaker = make(face)
    face.fail(breaker, 3)
    face.clock.advance(30)
    face.fail(breaker, 1)

    assert (breaker.state, breaker.cooldown_remaining()) == (OPEN, 30.0)


def test_open_time_grows(face):
    """With growth each reopening lasts longer, up to the cap; closing starts over."""
    breaker = make(face, open_growth=Backoff(factor=3.0, cap=100.0))
    waits = []
    for failures in (3, 1, 1, 1):
        face.fail(breaker, failures)
        waits.append(breaker.cooldown_remaining())
        face.clock.advance(waits[-1])
    face.succeed(breaker, 2)
    face.fail(breaker, 3)

    assert ([*waits, breaker.cooldown_remaining()]) == [30.0, 90.0, 100.0, 100.0, 30.0]


def test_slow_probe_opens_it_again(face):
    """A probe that answers too late does not close the circuit."""
    breaker = make(face, trip=SLOW, recovery=HalfOpen(success_threshold=1))
    for _ in range(2):
        face.call(breaker, face.slow(1.5))
    face.clock.advance(30)
    face.call(breaker, face.slow(1.5))
    assert (breaker.state, breaker.snapshot().reason) == (OPEN, "a probe failed: it took 1.5 s")
    face.clock.advance(30)
    face.succeed(breaker)

    assert breaker.state is CLOSED


def test_plain_reset(face):
    """Without probes it closes when the open time is over."""
    breaker = make(face, failure_threshold=1, recovery=ResetAfterCooldown())
    face.fail(breaker, 1)
    assert refused(face, breaker)
    face.clock.advance(30)
    face.succeed(breaker)

    assert breaker.state is CLOSED
    assert face.seen.names == ["CallFailed", "CircuitOpened", "CallRejected", "CircuitClosed"]


def test_recovery_by_degrees(face):
    """Chance decides which calls run, more of them with time, until all do."""
    breaker = make(
        face, failure_threshold=1, recovery=GradedRecovery(over_seconds=10.0, start=0.25), random=FixedRandom(0.5)
    )
    breaker.record_failure()
    face.clock.advance(30)
    with pytest.raises(CircuitOpenError, match=r"half-open, and admits only a share .* ask again in 1 s"):
        face.call(breaker, face.scripted("fine")[0])
    face.clock.advance(5)
    face.succeed(breaker)
    assert (breaker.state, breaker.snapshot().admission, breaker.is_tripped()) == (HALF_OPEN, 0.625, False)
    face.clock.advance(5)
    face.succeed(breaker)

    assert breaker.state is CLOSED
    assert face.seen.names[-3:] == ["CircuitHalfOpened", "CallRejected", "CircuitClosed"]


def test_recovery_by_degrees_admits_the_share_that_it_says():
    """Over many callers the admitted share follows the line, from start to everything."""
    clock = ManualClock()
    chance = FixedRandom(*[number / 100 for number in range(100)])
    breaker = CircuitBreaker(failure_threshold=1, recovery=GradedRecovery(10.0, 0.1), clock=clock, random=chance)
    breaker.record_failure()
    clock.advance(30)
    shares = []
    for _ in range(5):
        before = breaker.snapshot().rejected
        for _ in range(100):
            with contextlib.suppress(CircuitOpenError):
                breaker.acquire().success()
        shares.append(1 - (breaker.snapshot().rejected - before) / 100)
        clock.advance(2.5)

    assert shares == pytest.approx([0.1, 0.325, 0.55, 0.775, 1.0], abs=0.02)


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 24.0), (0.5, 30.0), (0.75, 33.0)])
def test_open_time_is_spread(face, chance, seconds):
    """Jitter on the open time keeps many processes from probing at once."""
    breaker = make(face, failure_threshold=1, open_jitter=0.2, random=FixedRandom(chance))
    face.fail(breaker, 1)

    assert breaker.cooldown_remaining() == pytest.approx(seconds)
