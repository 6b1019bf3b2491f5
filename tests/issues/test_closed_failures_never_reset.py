"""Failures added up for ever while the circuit was closed: one in 200 opened it at the thousandth call."""

from outlast.policies import CircuitBreaker, CircuitState


def test_rare_failures_never_open_it(face):
    """A success between two failures ends the row, so one failure in 200 calls never opens the circuit."""
    breaker = CircuitBreaker(failure_threshold=5, **face.around)
    for _ in range(10):
        face.fail(breaker, 1)
        face.succeed(breaker, 199)

    assert (breaker.state, breaker.snapshot().calls, breaker.snapshot().failures) == (CircuitState.CLOSED, 2000, 10)
