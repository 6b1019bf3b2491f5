"""Calls that another policy refused opened the breaker around it (resilience4j #1656, #1657)."""

import pytest

from outlast.errors import BulkheadFullError, CircuitOpenError, ThrottledError
from outlast.policies import CircuitBreaker, CircuitState


@pytest.mark.parametrize("error", [BulkheadFullError, CircuitOpenError, ThrottledError])
def test_own_rejections_say_nothing(face, error):
    """A rejection from inside is no result, and its own rejections are no calls."""
    breaker = CircuitBreaker(failure_threshold=1, **face.around)
    fn, _ = face.scripted(error())
    with pytest.raises(error):
        face.call(breaker, fn)
    assert (breaker.state, breaker.snapshot().calls) == (CircuitState.CLOSED, 0)

    face.fail(breaker, 5)

    assert (breaker.snapshot().calls, breaker.snapshot().rejected) == (1, 4)
