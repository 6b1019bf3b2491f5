"""Failures of calls begun before the trip reopened the circuit after its recovery (Polly #217, failsafe-lib #391)."""

from outlast.policies import CircuitBreaker, CircuitState


def test_stale_failures_count_for_nothing(face):
    """Calls of a past era that fail after the recovery leave the circuit closed."""
    breaker = CircuitBreaker(failure_threshold=3, open_for=30.0, **face.around)
    old = [face.begin(breaker) for _ in range(6)]
    face.fail(breaker, 3)
    old[0].end(ConnectionError("late, while open"))
    assert breaker.cooldown_remaining() == 30.0
    face.clock.advance(30)
    face.succeed(breaker)
    old[1].end(ConnectionError("late, while probing"))
    assert breaker.state is CircuitState.HALF_OPEN
    face.succeed(breaker)

    for call in old[2:]:
        call.end(ConnectionError("late, after recovery"))

    assert (breaker.state, breaker.snapshot().failures) == (CircuitState.CLOSED, 3)
