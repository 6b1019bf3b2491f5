"""A success of a call begun before the trip closed the circuit, or counted as a probe's (Polly #217)."""

from outlast.policies import CircuitBreaker, CircuitState


def test_stale_successes_count_for_nothing(face):
    """Successes of a past era neither close a half-open circuit nor add to its probes."""
    breaker = CircuitBreaker(failure_threshold=3, success_threshold=2, open_for=30.0, **face.around)
    old = [face.begin(breaker) for _ in range(4)]
    face.fail(breaker, 3)
    old[0].end()
    assert breaker.state is CircuitState.OPEN
    face.clock.advance(30)
    probe = face.begin(breaker)

    for call in old[1:]:
        call.end()

    assert (breaker.state, breaker.snapshot().probes) == (CircuitState.HALF_OPEN, 1)
    probe.end()
    assert breaker.state is CircuitState.HALF_OPEN


def test_probe_of_the_last_round_is_no_probe_of_this(face):
    """A probe left over from one half-open round does not count in the next."""
    breaker = CircuitBreaker(failure_threshold=3, success_threshold=2, open_for=30.0, **face.around)
    face.fail(breaker, 3)
    face.clock.advance(30)
    left_over = face.begin(breaker)
    face.fail(breaker, 1)
    face.clock.advance(30)
    face.succeed(breaker)

    left_over.end()

    assert breaker.state is CircuitState.HALF_OPEN
