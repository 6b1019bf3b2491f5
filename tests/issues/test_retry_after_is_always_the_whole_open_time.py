"""The error of an open circuit told everybody to wait for the whole open time, however much of it was over."""

import pytest

from outlast.errors import CircuitOpenError
from outlast.policies import CircuitBreaker


def test_retry_after_is_what_remains(face):
    """`retry_after` is the time until probes start."""
    breaker = CircuitBreaker(failure_threshold=1, open_for=30.0, **face.around)
    face.fail(breaker, 1)
    fn, _ = face.scripted("fine")
    seen = []
    for _ in range(3):
        with pytest.raises(CircuitOpenError) as caught:
            face.call(breaker, fn)
        seen.append(caught.value.retry_after)
        face.clock.advance(10)

    assert seen == [30.0, 20.0, 10.0]
