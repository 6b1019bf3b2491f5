"""Requests that were wrong themselves (400, 401, 404) opened the circuit of a healthy server."""

import pytest

from outlast.errors import AuthenticationError, BadRequestError
from outlast.policies import CircuitBreaker, CircuitState


@pytest.mark.parametrize(
    "error",
    [BadRequestError(status_code=400), AuthenticationError(status_code=401), BadRequestError(status_code=404)],
    ids=lambda error: str(error.status_code),
)
def test_wrong_requests_prove_health(face, error):
    """An answer that refuses the request is an answer: it counts as a success."""
    breaker = CircuitBreaker(failure_threshold=3, **face.around)
    face.fail(breaker, 2)
    fn, _ = face.scripted(error)
    for _ in range(10):
        with pytest.raises(type(error)):
            face.call(breaker, fn)
    face.fail(breaker, 2)

    assert breaker.state is CircuitState.CLOSED
