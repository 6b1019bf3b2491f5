"""A probe that never returned kept its slot for ever, and the circuit never closed (resilience4j #903, #935)."""

from outlast.policies import CircuitBreaker, CircuitState, HalfOpen


def test_hung_probe_gives_its_slot_back(face):
    """After its lease a hung probe's slot serves another call, and the circuit can close."""
    breaker = CircuitBreaker(
        failure_threshold=3, open_for=30.0, recovery=HalfOpen(max_calls=1, success_threshold=1), **face.around
    )
    face.fail(breaker, 3)
    face.clock.advance(30)
    hung = face.begin(breaker)
    face.clock.advance(6 * 30)

    face.succeed(breaker)

    assert breaker.state is CircuitState.CLOSED
    hung.end(ConnectionError("at last"))
    assert (breaker.state, breaker.snapshot().failures) == (CircuitState.CLOSED, 3)
