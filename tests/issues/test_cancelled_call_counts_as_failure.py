"""Cancelled calls were counted as failures, so that impatient clients opened the circuit."""

from outlast.policies import CircuitBreaker, CircuitState


def test_cancelling_is_no_result(face):
    """Calls that are cancelled while the circuit is closed are neither failures nor successes."""
    breaker = CircuitBreaker(failure_threshold=3, **face.around)
    face.fail(breaker, 2)

    for _ in range(4):
        face.begin(breaker).cancel()

    assert (breaker.state, breaker.snapshot().calls) == (CircuitState.CLOSED, 2)
    face.fail(breaker, 1)
    assert breaker.state is CircuitState.OPEN
