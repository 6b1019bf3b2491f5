"""Cancelling the only probe consumed its slot for ever, or closed the circuit (resilience4j #544, Polly #1979)."""

from outlast.policies import CircuitBreaker, CircuitState, HalfOpen


def test_cancelled_probe_gives_its_slot_back(face):
    """A cancelled probe proves nothing, and the next caller probes at once."""
    breaker = CircuitBreaker(
        failure_threshold=3, open_for=30.0, recovery=HalfOpen(max_calls=1, success_threshold=1), **face.around
    )
    face.fail(breaker, 3)
    face.clock.advance(30)
    face.begin(breaker).cancel()
    assert (breaker.state, breaker.snapshot().probes) == (CircuitState.HALF_OPEN, 0)

    face.succeed(breaker)

    assert breaker.state is CircuitState.CLOSED
