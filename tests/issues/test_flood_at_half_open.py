"""All waiting callers were let through at once when the open time was over (Polly #216, resilience4j #1432)."""

import pytest

from outlast.errors import CircuitOpenError
from outlast.policies import CircuitBreaker


def test_flood_meets_the_probe_limit(face):
    """Of 50 callers at half-open three are admitted; the others are refused and told to ask again soon."""
    breaker = CircuitBreaker(failure_threshold=3, open_for=30.0, **face.around)
    face.fail(breaker, 3)
    face.clock.advance(30)
    admitted, refused = [], []

    for _ in range(50):
        try:
            admitted.append(face.begin(breaker))
        except CircuitOpenError as error:
            refused.append(error)

    assert (len(admitted), len(refused)) == (3, 47)
    assert {error.retry_after for error in refused} == {1.0}
    assert "half-open" in str(refused[0])
    for call in admitted:
        call.end()
    assert breaker.state.value == "closed"


def test_a_slot_is_free_when_a_probe_has_ended(face):
    """The next caller is admitted as soon as one of the probes is back."""
    breaker = CircuitBreaker(failure_threshold=3, success_threshold=9, open_for=30.0, **face.around)
    face.fail(breaker, 3)
    face.clock.advance(30)
    probes = [face.begin(breaker) for _ in range(3)]
    with pytest.raises(CircuitOpenError):
        face.begin(breaker)
    probes[0].end()

    face.begin(breaker).end()

    for probe in probes[1:]:
        probe.end()
