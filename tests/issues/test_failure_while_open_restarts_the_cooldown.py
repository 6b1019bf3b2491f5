"""Failures that came in while the circuit was open pushed its reopening further and further out."""

from outlast.policies import CircuitBreaker


def test_late_failures_do_not_prolong(face):
    """Neither late results nor recorded failures move the end of the open time."""
    breaker = CircuitBreaker(failure_threshold=3, open_for=30.0, **face.around)
    late = [face.begin(breaker) for _ in range(5)]
    face.fail(breaker, 3)
    for call in late:
        face.clock.advance(2)
        call.end(ConnectionError())
        breaker.record_failure()

    assert breaker.cooldown_remaining() == 20.0
