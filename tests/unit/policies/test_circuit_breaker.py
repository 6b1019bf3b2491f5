"""What a breaker does to calls and blocks by its defaults."""

import gc
import inspect
import weakref

import pytest
from circuits import CLOSED, OPEN, SLOW, make, throw

from outlast.errors import BadRequestError, CircuitOpenError, ConfigError, DuplicateNameError
from outlast.policies import Backoff, CircuitBreaker, ConsecutiveFailures, FailureRate, HalfOpen
from outlast.registry import Registry
from outlast.testing import ManualClock


def test_opens_after_failures_in_a_row(face):
    """Enough failures in a row open it, and then nothing runs."""
    breaker = make(face)
    face.fail(breaker, 3)
    fn, script = face.scripted("fine")

    with pytest.raises(CircuitOpenError):
        face.call(breaker, fn)

    assert (breaker.state, script.calls) == (OPEN, 0)


def test_success_breaks_the_row(face):
    """A success between failures means that the row starts anew."""
    breaker = make(face)
    face.fail(breaker, 2)
    face.succeed(breaker)
    face.fail(breaker, 2)

    assert breaker.state is CLOSED


def test_users_error_passes_untouched(face):
    """The exception that the function raised is the one that the caller gets."""
    error = ConnectionError("down")
    fn, _ = face.scripted(error)

    with pytest.raises(ConnectionError) as caught:
        face.call(make(face), fn)

    assert caught.value is error


def test_arguments_and_result_pass(face):
    """Arguments reach the function, and its result comes back."""
    fn = face.function(lambda *args, **kwargs: (args, kwargs))

    assert face.call(make(face), fn, 1, two=2) == ((1,), {"two": 2})


def test_guard_settles_by_the_rules(face):
    """A block counts as a call does: its error fails it, a wrong request does not."""
    breaker = make(face)
    for error in (ConnectionError(), BadRequestError(), ConnectionError(), ConnectionError(), ConnectionError()):
        with pytest.raises(type(error)):
            face.block(breaker.guard(), lambda _, error=error: throw(error))

    assert breaker.state is OPEN
    with pytest.raises(CircuitOpenError):
        face.block(breaker.guard(), lambda _: None)


def test_guard_leaves_a_settled_permit(face):
    """What the block itself says about its permit stands."""
    breaker = make(face, failure_threshold=1)

    face.block(breaker.guard(), lambda permit: permit.failure(OSError("garbage")))

    assert breaker.snapshot().recent_failures == ((1000.0, "OSError: garbage"),)


def test_guard_serves_one_block(face):
    """A guard that is used twice is refused; its permit belongs to one block."""
    guard = make(face).guard()
    face.block(guard, lambda _: None)

    with pytest.raises(ConfigError, match="one block only"):
        face.block(guard, lambda _: None)


def test_leaving_a_guard_that_was_not_entered_does_nothing(face):
    """An exit without an entry settles nothing."""
    breaker = make(face)
    breaker.guard().__exit__(None, None, None)

    assert breaker.snapshot().calls == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"failure_threshold": 0}, "failure_threshold"),
        ({"success_threshold": 0}, "recovery"),
        ({"open_for": 0}, "open_for"),
        ({"failure_threshold": 3, "trip": ConsecutiveFailures(3)}, "either trip= or failure_threshold="),
        ({"success_threshold": 3, "recovery": HalfOpen()}, "either recovery= or success_threshold="),
        ({"ignore": "OSError"}, "ignore"),
        ({"open_growth": Backoff(cap=1.0)}, "open_growth"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_nonsense_is_refused(options, message):
    """Settings that make no sense are refused with their name."""
    with pytest.raises(ConfigError, match=message):
        CircuitBreaker(**options)


def test_rules_as_objects():
    """Trip and recovery rules may be given as objects."""
    clock = ManualClock()
    rules = {"trip": ConsecutiveFailures(1), "recovery": HalfOpen(success_threshold=1)}
    breaker = CircuitBreaker(**rules, open_for=1.0, clock=clock)
    breaker.record_failure()
    assert breaker.state is OPEN
    clock.advance(1.0)
    breaker.record_success()

    assert breaker.state is CLOSED


@pytest.mark.parametrize(
    ("preset", "failures", "seconds"),
    [
        pytest.param(CircuitBreaker.defaults, 5, 30.0, id="defaults"),
        pytest.param(CircuitBreaker.lenient, 10, 60.0, id="lenient"),
        pytest.param(CircuitBreaker.strict, 3, 15.0, id="strict"),
    ],
)
def test_presets(preset, failures, seconds):
    """The presets open after so many failures for so many seconds."""
    clock = ManualClock()
    breaker = preset(clock=clock)
    for _ in range(failures - 1):
        breaker.record_failure()
    assert breaker.state is CLOSED
    breaker.record_failure()

    assert (breaker.state, breaker.cooldown_remaining()) == (OPEN, seconds)


def test_name_is_registered_weakly():
    """A name is unique while its holder lives, and free again afterwards; without one nothing is registered."""
    registry = Registry()
    first = CircuitBreaker("payments", registry=registry)
    assert registry.get("circuit_breaker", "payments") is first
    with pytest.raises(DuplicateNameError, match="share it"):
        CircuitBreaker("payments", registry=registry)

    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None
    CircuitBreaker("payments", registry=registry)
    assert CircuitBreaker(registry=registry).name == "circuit_breaker"
    assert registry.components() == []


def test_repr_and_description_show_everything():
    """A failing test explains itself."""
    breaker = CircuitBreaker(failure_threshold=1)
    breaker.record_failure(OSError("x"))

    assert "OSError: x" in repr(breaker)
    assert "open_for=30.0" in repr(breaker)
    assert breaker.describe().startswith("circuit breaker 'circuit_breaker': opens for 30 s after the first")


def test_wrapped_functions_keep_their_shape():
    """Under every rule a decorated function is what it was."""
    breaker = CircuitBreaker(trip=FailureRate(0.5, over_seconds=30.0) | SLOW, failed_result=lambda _: False)

    @breaker
    async def fetch(order: int) -> str:
        return str(order)

    assert inspect.iscoroutinefunction(fetch)
    assert list(inspect.signature(fetch).parameters) == ["order"]
