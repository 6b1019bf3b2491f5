import asyncio

import pytest

from outlast.errors import BadRequestError, ConfigError, DuplicateNameError, RateLimitError, ThrottledError
from outlast.events import CallRejected, PolicyReconfigured, ThrottlingStarted, ThrottlingStopped
from outlast.policies import AdaptiveThrottle, Criticality, priority
from outlast.testing import FixedRandom


def make(face, *dice, **options):
    """Make a throttle whose dice are known."""
    return AdaptiveThrottle(**{"random": FixedRandom(*dice), **face.around, **options})


def call_at(face, level, policy, fn):
    """Call through a policy from a block of some importance."""

    def sync():
        with priority(level):
            return policy.call(fn)

    async def coro():
        with priority(level):
            return await policy.acall(fn)

    return face.run(coro if face.colour == "async" else sync)


def test_calls_pass(face):
    """Arguments reach the function, its result and its errors come back."""
    fn = face.function(lambda *args, **kwargs: (args, kwargs))
    assert face.call(make(face), fn, 1, two=2) == ((1,), {"two": 2})
    failing, _ = face.scripted(ValueError("mine"))

    with pytest.raises(ValueError, match="mine"):
        face.call(make(face), failing)


def test_it_refuses_by_chance(face):
    """When few calls are accepted others are refused with the chance of the formula."""
    throttle = make(face, 0.59, 0.68, name="api", registry=face.registry)
    face.succeed(throttle, 1)
    for _ in range(9):
        throttle.ended(0, ConnectionError())
    assert throttle.snapshot().chance == pytest.approx(8 / 11)
    throttle.reconfigure(k=4.0)
    assert throttle.snapshot().chance == pytest.approx(6 / 11)
    throttle.reconfigure(k=3.0)
    fn, script = face.scripted("fine")

    with pytest.raises(ThrottledError, match="api: the backend accepted 1 of the last 11 calls") as caught:
        face.call(throttle, fn)
    assert face.call(throttle, fn) == "fine"

    assert (script.calls, caught.value.operation, caught.value.retry_after) == (1, "api", None)
    assert [event.source for event in face.seen.of(CallRejected)] == ["api"]
    assert [(event.requests, event.accepts) for event in face.seen.of(ThrottlingStarted)] == [(10, 1)]


def test_it_stops_again(face):
    """When enough calls are accepted again nothing is refused, and an event says so."""
    throttle = make(face, 0.99)
    face.fail(throttle, 10)
    assert not throttle.idle()
    face.succeed(throttle, 10)

    assert throttle.snapshot().chance == 0
    assert throttle.idle()
    assert len(face.seen.of(ThrottlingStopped)) == 1


def test_old_failures_are_forgotten(face):
    """After the window nothing is refused any more, whatever the last state was."""
    throttle = make(face, 0.0)
    face.fail(throttle, 10)
    face.clock.advance(61)

    face.succeed(throttle)


@pytest.mark.parametrize(
    ("error", "options", "counts"),
    [
        pytest.param(ConnectionError(), {}, (1, 0), id="failure"),
        pytest.param(RateLimitError(status_code=429), {}, (1, 0), id="429"),
        pytest.param(BadRequestError(status_code=404), {}, (1, 1), id="wrong-request-was-accepted"),
        pytest.param(ThrottledError(), {}, (0, 0), id="own-rejection"),
        pytest.param(KeyboardInterrupt(), {}, (0, 0), id="cancelled"),
        pytest.param(ConnectionError(), {"ignore": ConnectionError}, (0, 0), id="ignored"),
        pytest.param(ConnectionError(), {"failure_if": lambda _: False}, (1, 1), id="accepted-by-rule"),
    ],
)
def test_what_counts(face, error, options, counts):
    """A call is a request and is accepted or not, or is nothing at all."""
    throttle = make(face, **options)
    fn, _ = face.scripted(error)
    with pytest.raises(type(error)):
        face.call(throttle, fn)

    assert (throttle.snapshot().requests, throttle.snapshot().accepts) == counts


def test_classes_are_shed_in_order(face):
    """The least important calls are refused first; the context or a rule says which those are."""
    by_context = make(face, 0.5)
    by_rule = make(face, 0.5, priority=lambda level: level)
    for throttle in (by_context, by_rule):
        for level in (Criticality.SHEDDABLE, Criticality.CRITICAL):
            for _ in range(10):
                throttle.ended(level, ConnectionError() if level == Criticality.SHEDDABLE else None)
        throttle.reconfigure(k=1.0)
    fn = face.function(lambda *_: "fine")

    with pytest.raises(ThrottledError):
        call_at(face, Criticality.SHEDDABLE, by_context, fn)
    assert call_at(face, Criticality.CRITICAL, by_context, fn) == "fine"
    with pytest.raises(ThrottledError):
        face.call(by_rule, fn, Criticality.SHEDDABLE)
    assert face.call(by_rule, fn, Criticality.CRITICAL) == "fine"


def test_guard(face):
    """A block is asked for and counted as a call is."""
    throttle = make(face, 0.0)
    face.block(throttle.guard(), lambda _: None)
    for _ in range(20):
        throttle.ended(0, ConnectionError())

    with pytest.raises(ThrottledError):
        face.block(throttle.guard(), lambda _: None)
    assert throttle.snapshot().accepts == 1


def test_streams_count_as_one(face):
    """A stream is accepted when it ends, or when its reader closes it, and not when it breaks off."""
    throttle = make(face)
    for most in (None, 2):
        face.take(throttle(face.generator(1, 2, 3)), most)
    with pytest.raises(OSError, match="broken"):
        face.take(throttle(face.generator(1, OSError("broken"))))

    assert (throttle.snapshot().requests, throttle.snapshot().accepts) == (3, 2)


async def test_returned_awaitables():
    """What a plain function returns to be awaited counts when it is done."""
    throttle = AdaptiveThrottle()

    async def work(error=None):
        if error:
            raise error
        return "fine"

    assert await throttle.call(lambda: work()) == "fine"  # noqa: PLW0108 - it does not say that it is async
    with pytest.raises(ConnectionError):
        await throttle.call(lambda: work(ConnectionError()))
    for end in (lambda f: f.set_result(1), lambda f: f.cancel(), lambda f: f.set_exception(ConnectionError())):
        future = asyncio.get_running_loop().create_future()
        assert throttle.call(lambda future=future: future) is future
        end(future)
        await asyncio.wait([future])
        await asyncio.sleep(0)
    assert isinstance(future.exception(), ConnectionError)

    assert (throttle.snapshot().requests, throttle.snapshot().accepts) == (4, 2)


def test_reconfigure_refuses(face):
    """Unknown settings, nonsense and what cannot change are refused."""
    throttle = make(face)
    for settings, words in (({"kk": 3}, "k"), ({"k": 0}, "k"), ({"priority": len}, "cannot change priority")):
        with pytest.raises(ConfigError, match=words):
            throttle.reconfigure(**settings)
    throttle.reconfigure(min_calls=5)

    assert throttle.settings()["min_calls"] == 5
    assert face.seen.last(PolicyReconfigured).settings == ("min_calls",)


def test_it_tells_about_itself(face):
    """Name, description and state can be read."""
    throttle = make(face, name="api", registry=face.registry)

    assert face.registry.get("adaptive_throttle", "api") is throttle
    with pytest.raises(DuplicateNameError):
        make(face, name="api", registry=face.registry)
    assert throttle.describe() == "adaptive throttle 'api': at most 2 requests for each that is accepted, over 60 s"
    assert repr(throttle).startswith("AdaptiveThrottle('api', AdaptiveThrottleConfig(k=2.0")
    assert make(face).name == "adaptive_throttle"
