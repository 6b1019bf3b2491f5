from __future__ import annotations

import pytest

from outlast.engines.op import Applied, Busy, Found, InDoubt, NotApplied, Unreadable, Verb
from outlast.errors import CircuitOpenError, Outcome
from outlast.outbox import Op, SealedRequest
from outlast.sync_engine import CallableTransport

OP = Op(
    seq=1,
    generation=0,
    key="s.1:1:0",
    lane=1,
    verb=Verb.PATCH,
    kind="k",
    entity="e",
    target=None,
    body=b"x",
    content_type="text/plain",
    if_match=None,
    created_at=0.0,
)
REQUEST = SealedRequest(method="patch", url="s.1:1:0", body=b"x")


def raising(error):
    """Make a function that fails."""

    async def function(op):
        raise error

    return function


def returning(value):
    """Make a function that gives a value."""

    async def function(op):
        return value

    return function


def test_an_op_is_sealed_under_its_key():
    """What is frozen is the verb, the key and the body."""
    assert CallableTransport(returning(None)).seal(OP) == REQUEST


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        pytest.param(returning(Applied("e")), Applied("e"), id="an-answer"),
        pytest.param(returning(Busy("later", 3.0)), Busy("later", 3.0), id="another-answer"),
        pytest.param(returning(Outcome.APPLIED), Applied(), id="applied"),
        pytest.param(
            returning(Outcome.NOT_APPLIED), NotApplied("the function says that nothing happened"), id="not-applied"
        ),
        pytest.param(
            returning(Outcome.IN_DOUBT), InDoubt("the function does not know whether it happened"), id="in-doubt"
        ),
        pytest.param(raising(ConnectionRefusedError("no")), NotApplied("ConnectionRefusedError: no"), id="refused"),
        pytest.param(raising(CircuitOpenError("open")), NotApplied("CircuitOpenError: open"), id="rejected"),
        pytest.param(raising(TimeoutError()), InDoubt("TimeoutError: "), id="timeout"),
        pytest.param(raising(ValueError("what")), InDoubt("ValueError: what"), id="unknown"),
    ],
)
async def test_what_the_function_does_is_an_answer(function, expected):
    """It may return an answer or an outcome, or raise; nothing leaves the transport but an answer."""
    assert await CallableTransport(function).send(OP, REQUEST) == expected


async def test_reading_back_is_the_users_function():
    """It gets the op; without one nothing can ever be read back."""
    own = CallableTransport(returning(None), read_back=returning(Found(True)), name="mailer")
    none = CallableTransport(returning(None))

    assert (await own.read_back(OP, REQUEST), own.origin) == (Found(True), "mailer")
    assert await none.read_back(OP, REQUEST) == Unreadable("there is no read_back function", permanent=True)
