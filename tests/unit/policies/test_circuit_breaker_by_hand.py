"""Programs that ask, report and force by hand instead of calling through a breaker."""

import math

import pytest
from circuits import CLOSED, OPEN, make

from outlast.errors import BadRequestError, CircuitOpenError, RateLimitError
from outlast.events import CircuitDisabled
from outlast.policies import CircuitBreaker, CircuitState, HalfOpen
from outlast.testing import ManualClock


@pytest.mark.parametrize(
    ("report", "calls", "failures"),
    [
        pytest.param(lambda permit: permit.success(), 1, 0, id="success"),
        pytest.param(lambda permit: permit.failure(), 1, 1, id="failure"),
        pytest.param(lambda permit: permit.failure(BadRequestError()), 1, 1, id="failure-whatever-the-rules"),
        pytest.param(lambda permit: permit.ignore(), 0, 0, id="ignored"),
        pytest.param(lambda permit: permit.judge(None), 1, 0, id="judged-return"),
        pytest.param(lambda permit: permit.judge(BadRequestError()), 1, 0, id="judged-wrong-request"),
        pytest.param(lambda permit: permit.judge(RateLimitError()), 0, 0, id="judged-429"),
        pytest.param(lambda permit: [permit.failure(), permit.failure(), permit.success()], 1, 1, id="only-once"),
    ],
)
def test_permit_reports(report, calls, failures):
    """A permit reports one of three verdicts, once."""
    breaker = CircuitBreaker()
    permit = breaker.acquire()
    assert not permit.settled

    report(permit)

    assert permit.settled
    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (calls, failures)


def test_permit_shows_itself():
    """A permit's repr shows the engine's permit."""
    assert "settled=False" in repr(CircuitBreaker().acquire())


def test_manual_face():
    """Programs that ask before they work get the same circuit."""
    clock = ManualClock()
    breaker = CircuitBreaker(failure_threshold=2, open_for=10.0, clock=clock)
    breaker.record_failure(OSError("x"))
    breaker.record_success()
    breaker.record_failure()
    assert not breaker.is_tripped()
    breaker.record_failure()
    assert (breaker.is_tripped(), breaker.cooldown_remaining()) == (True, 10.0)

    clock.advance(10)
    assert not breaker.is_tripped()
    breaker.record_success()
    breaker.record_success()

    assert breaker.state is CLOSED


def test_manual_failure_while_open_does_not_prolong():
    """A late failure while the circuit is open leaves the remaining time as it is."""
    clock = ManualClock()
    breaker = CircuitBreaker(failure_threshold=1, open_for=10.0, clock=clock)
    breaker.record_failure()
    clock.advance(4)
    breaker.record_failure()
    breaker.record_success()

    assert (breaker.cooldown_remaining(), breaker.snapshot().failures) == (6.0, 1)


def test_manual_probe_fails():
    """The first failure recorded after the open time opens the circuit again."""
    clock = ManualClock()
    breaker = CircuitBreaker(failure_threshold=1, open_for=10.0, clock=clock)
    breaker.record_failure()
    clock.advance(10)
    breaker.record_failure()

    assert (breaker.state, breaker.snapshot().opened) == (OPEN, 2)


def test_is_tripped_while_all_probes_run():
    """In half-open it is tripped exactly while no slot is free."""
    clock = ManualClock()
    breaker = CircuitBreaker(failure_threshold=1, open_for=10.0, recovery=HalfOpen(max_calls=1), clock=clock)
    breaker.record_failure()
    clock.advance(10)
    permit = breaker.acquire()
    assert breaker.is_tripped()
    permit.ignore()

    assert not breaker.is_tripped()


def test_forced_states(face):
    """Held open by hand it refuses without end; closed by hand it starts over; reset forgets."""
    breaker = make(face, name="x", registry=face.registry)
    face.fail(breaker, 2)
    breaker.force_open()
    fn, _ = face.scripted("fine")
    with pytest.raises(CircuitOpenError, match=r"opened by hand.*until force_closed") as caught:
        face.call(breaker, fn)
    assert (caught.value.retry_after, breaker.cooldown_remaining()) == (None, math.inf)

    breaker.force_closed()
    face.fail(breaker, 2)
    assert (breaker.state, breaker.snapshot().failures) == (CLOSED, 4)

    breaker.reset()
    assert (breaker.snapshot().failures, breaker.snapshot().rejected) == (0, 0)


def test_idle_is_closed():
    """It may be forgotten only while it is closed: an open one would start closed the next time."""
    breaker = CircuitBreaker()
    assert breaker.idle()
    breaker.force_open()

    assert not breaker.idle()


def test_disabled(face):
    """Switched off by hand every call runs and nothing counts, until it is switched on."""
    breaker = make(face, failure_threshold=1)
    breaker.disable()
    face.fail(breaker, 3)
    assert (breaker.state, breaker.snapshot().calls) == (CircuitState.DISABLED, 0)
    assert face.seen.last(CircuitDisabled).reason == "disabled by hand"
    breaker.force_closed()
    face.fail(breaker, 1)

    assert breaker.state is OPEN
