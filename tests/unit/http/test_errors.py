from __future__ import annotations

import pytest

from outlast.errors import (
    AuthenticationError,
    BadRequestError,
    Category,
    NetworkError,
    Outcome,
    RateLimitError,
    ServerError,
)
from outlast.http import HttpAnswer, NoAnswer, error_for


@pytest.mark.parametrize(
    ("status", "kind", "category", "outcome"),
    [
        pytest.param(400, BadRequestError, Category.INVALID_INPUT, Outcome.NOT_APPLIED, id="400"),
        pytest.param(401, AuthenticationError, Category.FATAL, Outcome.NOT_APPLIED, id="401"),
        pytest.param(403, AuthenticationError, Category.FATAL, Outcome.NOT_APPLIED, id="403"),
        pytest.param(404, BadRequestError, Category.INVALID_INPUT, Outcome.NOT_APPLIED, id="404"),
        pytest.param(408, ServerError, Category.RETRIABLE, Outcome.NOT_APPLIED, id="408"),
        pytest.param(425, ServerError, Category.RETRIABLE, Outcome.NOT_APPLIED, id="425"),
        pytest.param(429, RateLimitError, Category.TRANSIENT, Outcome.NOT_APPLIED, id="429"),
        pytest.param(500, ServerError, Category.RETRIABLE, Outcome.IN_DOUBT, id="500"),
        pytest.param(503, ServerError, Category.TRANSIENT, Outcome.NOT_APPLIED, id="503"),
    ],
)
def test_an_answer_of_no_use_becomes_an_error(status, kind, category, outcome):
    """The class says what a caller can do, and the fields hold what the server said."""
    answer = HttpAnswer(status, {"retry-after": "3", "x-request-id": "r-1"}, b"")

    error = error_for(answer, "GET /notes/7", wall=0.0)

    assert type(error) is kind
    assert (error.category, error.outcome, error.status_code) == (category, outcome, status)
    assert (error.retry_after, error.request_id, error.operation) == (3.0, "r-1", "GET /notes/7")
    assert str(error) == f"GET /notes/7: the server answered {status}"


def test_no_answer_becomes_a_network_error():
    """It keeps what is known of the outcome, and the exception itself as its cause."""
    cause = ConnectionRefusedError("no")

    error = error_for(NoAnswer("no", Category.RETRIABLE, Outcome.NOT_APPLIED, cause), "GET /", wall=0.0)

    assert (type(error), error.outcome, error.__cause__) == (NetworkError, Outcome.NOT_APPLIED, cause)
