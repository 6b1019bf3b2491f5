"""Settings of a breaker that change while it runs, and a trial in the shadow."""

import pytest
from circuits import CLOSED, OPEN, decorated, make, refused

from outlast.errors import ConfigError
from outlast.policies import (
    CircuitBreaker,
    ConsecutiveFailures,
    FailureRate,
    LeakyFailures,
    ResetAfterCooldown,
    SlowCalls,
)


def test_shadow_refuses_nothing_and_says_what_it_would(face):
    """In shadow mode every call runs; state, counts and events are those of the real thing."""
    breaker = make(face, failure_threshold=2, success_threshold=1, shadow=True)
    face.fail(breaker, 2)
    assert (breaker.state, breaker.is_tripped()) == (OPEN, False)
    face.fail(breaker, 2)
    face.clock.advance(30)
    face.succeed(breaker)

    shot = breaker.snapshot()
    assert (shot.state, shot.rejected, shot.failures, shot.shadow) == (CLOSED, 2, 2, True)
    assert [event.event_type for event in face.seen.events if getattr(event, "shadow", False)] == [
        "CircuitOpened",
        "CallRejected",
        "CallRejected",
        "CircuitHalfOpened",
        "CircuitClosed",
    ]
    assert "shadow" in breaker.describe()


def test_shadow_lets_streams_and_blocks_run(face):
    """Guards and streams run in shadow mode, too."""
    breaker = make(face, failure_threshold=1, shadow=True)
    breaker.record_failure()

    assert face.block(breaker.guard(), lambda permit: permit.settled) is False
    assert face.take(breaker(face.generator(1, 2))) == [1, 2]
    assert breaker.snapshot().calls == 1


def test_shadow_can_be_ended(face):
    """What was tried in the shadow is switched on with the state that it has."""
    breaker = make(face, failure_threshold=1, shadow=True)
    face.fail(breaker, 1)
    assert not refused(face, breaker)
    breaker.reconfigure(shadow=False)

    assert refused(face, breaker)


@pytest.mark.parametrize(
    "trip",
    [
        FailureRate(0.5, over_seconds=30.0, min_calls=4),
        FailureRate(0.5, over_calls=4),
        SlowCalls(0.5, slower_than=1.0, over_calls=4) | ConsecutiveFailures(4),
        LeakyFailures(4),
    ],
    ids=repr,
)
def test_decorated_functions_follow_a_new_rule(face, trip):
    """A function that is decorated already is judged by the rule that came later."""
    breaker = make(face, failure_threshold=3)
    run = decorated(face, breaker)
    run("S")
    notes = breaker.reconfigure(trip=trip)
    assert all("begins with an empty window" in note for note in notes)
    for _ in range(4):
        run("F")

    assert breaker.state is OPEN


def test_reconfigured_thresholds_keep_what_was_counted(face):
    """A streak goes on under the new number, and back under the old."""
    breaker = make(face, failure_threshold=5)
    face.fail(breaker, 2)
    assert breaker.reconfigure(failure_threshold=3) == ()
    assert breaker.reconfigure(trip=ConsecutiveFailures(4)) == ()
    assert breaker.reconfigure(open_for=7.0, open_jitter=0.0) == ()
    face.fail(breaker, 1)
    assert breaker.state is CLOSED
    face.fail(breaker, 1)

    assert (breaker.state, breaker.cooldown_remaining()) == (OPEN, 7.0)


def test_reconfigured_recovery_is_said(face):
    """What cannot be kept is said, and what happens is published."""
    breaker = make(face, failure_threshold=1, open_for=1.0)
    face.fail(breaker, 1)
    face.clock.advance(1)
    face.succeed(breaker)

    assert breaker.reconfigure(recovery=ResetAfterCooldown()) == (
        "the running recovery begins anew as ResetAfterCooldown()",
    )
    assert (breaker.state, face.seen.names[-1]) == (CLOSED, "CircuitClosed")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"failure_treshold": 3}, "did you mean failure_threshold"),
        ({"open_for": -1}, "open_for"),
        ({"trip": ConsecutiveFailures(3), "failure_threshold": 3}, "not both"),
        ({"ignore": 3}, "exception types"),
        ({"clock": None}, "unknown setting"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_nonsense_changes_nothing(settings, message):
    """A change that is refused leaves the breaker as it was."""
    breaker = CircuitBreaker(failure_threshold=4)
    before = repr(breaker)
    with pytest.raises(ConfigError, match=message):
        breaker.reconfigure(**settings)

    assert repr(breaker) == before


def test_settings_tell_what_was_changed():
    """The settings of a policy show its present ones."""
    breaker = CircuitBreaker(failure_threshold=4)
    breaker.reconfigure(trip=LeakyFailures(3), shadow=True)

    assert breaker.settings(defaults=False) == {"trip": LeakyFailures(3), "shadow": True}
