"""A generator was a success as soon as it was made, so that streams which broke off were never counted."""

import pytest

from outlast.policies import CircuitBreaker, CircuitState


def test_breaking_off_is_a_failure(face):
    """A stream that raises after its first item is a failure."""
    breaker = CircuitBreaker(failure_threshold=3, **face.around)
    stream = breaker(face.generator("first", ConnectionError("broke off")))

    for _ in range(3):
        with pytest.raises(ConnectionError):
            face.take(stream)

    assert breaker.state is CircuitState.OPEN
