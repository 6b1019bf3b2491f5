"""What whoever is refused by a breaker gets to know."""

import contextlib
import copy
import gc
import math
import pickle

import pytest
from circuits import make

from outlast import errors
from outlast.errors import CircuitOpenError
from outlast.events import CallRejected, EventBus
from outlast.policies import CircuitBreaker, HalfOpen
from outlast.testing import ManualClock


def test_rejection_says_which_why_and_when(face):
    """The error names the circuit, why it opened, and the seconds that really remain."""
    breaker = make(face, name="payments", registry=face.registry)
    face.fail(breaker, 3)
    face.clock.advance(17.5)
    fn, _ = face.scripted("fine")

    with pytest.raises(CircuitOpenError) as caught:
        face.call(breaker, fn)

    error = caught.value
    assert str(error) == (
        "circuit 'payments' is open (3 failures in a row, the last: ConnectionError: down); it will probe in 12.5 s"
    )
    assert (error.retry_after, error.operation, error.timestamp) == (12.5, "payments", face.clock.wall())


def test_refusal_while_probing(face):
    """While all probes run the error says so, and to ask again soon."""
    breaker = make(face, recovery=HalfOpen(max_calls=1), open_for=0.5)
    face.fail(breaker, 3)
    face.clock.advance(0.5)
    probe = face.begin(breaker)
    fn, _ = face.scripted("fine")

    with pytest.raises(CircuitOpenError, match=r"half-open, and as many probes .* ask again in 0.5 s"):
        face.call(breaker, fn)
    probe.end()


def refusal_of(breaker):
    """Return the error of a refused call."""
    with pytest.raises(CircuitOpenError) as caught:
        breaker.call(len, "x")
    return caught.value


def opened(**options):
    """Make a breaker that is open."""
    breaker = CircuitBreaker(failure_threshold=1, clock=ManualClock(), **options)
    breaker.record_failure(OSError("x"))
    return breaker


def test_refusal_is_the_public_error():
    """The error that words itself late has everything that the public one has, and says the same."""
    error = refusal_of(opened())

    text = "the circuit is open (1 failures in a row, the last: OSError: x); it will probe in 30 s"
    assert isinstance(error, errors.RejectedError)
    assert (error.type_name, error.status_code, error.metadata, error.category) == (
        "CircuitOpenError",
        None,
        {},
        errors.Category.TRANSIENT,
    )
    assert (str(error), error.args, repr(error)) == (text, (text,), f"CircuitOpenError({text!r})")
    assert error.enrich(operation="load", shard=3).metadata == {"shard": 3}
    with pytest.raises(AttributeError, match="nonsense"):
        _ = error.nonsense


@pytest.mark.parametrize("again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy], ids=["pickle", "copy"])
@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
def test_refusal_survives_a_process_boundary(again, read):
    """Pickled or copied it is the plain public error, whether somebody had read it or not."""
    error = refusal_of(opened())
    if read:
        error.add_note("seen")
        str(error)
    twin = again(error)

    assert type(twin) is errors.CircuitOpenError
    assert (str(twin), twin.retry_after, getattr(twin, "__notes__", [])) == (str(error), 30.0, ["seen"] if read else [])


def test_refusals_leave_nothing_to_the_collector():
    """A refused call leaves no cycle of error, traceback and frame."""
    breaker = opened()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            with contextlib.suppress(CircuitOpenError):
                breaker.call(len, "x")
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_refusal_while_forced_open_has_no_time():
    """Held open by hand nobody knows when to come back."""
    breaker = CircuitBreaker()
    breaker.force_open()

    assert refusal_of(breaker).retry_after is None
    assert breaker.cooldown_remaining() == math.inf


def test_rejections_are_published_when_wanted():
    """Refusals are counted always, and published to those who listen."""
    bus = EventBus()
    breaker = opened(bus=bus)
    refusal_of(breaker)
    seen = []
    with bus.subscribe(seen.append, CallRejected):
        refusal_of(breaker)

    assert breaker.snapshot().rejected == 2
    assert [(event.retry_after, event.shadow, event.source) for event in seen] == [(30.0, False, "circuit_breaker")]
