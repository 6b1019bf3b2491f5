import asyncio
from contextlib import suppress

import pytest

from outlast.engines.worst import Worst
from outlast.errors import BadRequestError, BulkheadFullError, ConfigError, DuplicateNameError, RateLimitError
from outlast.events import LimitChanged, PolicyReconfigured
from outlast.policies import AdaptiveLimit


def make(face, initial=20, **options):
    """Make an adaptive limit that judges quickly."""
    return AdaptiveLimit(initial, **{"window": 0.1, "min_samples": 5, **face.around, **options})


def windows(face, limit, count, seconds=0.1, error=None):
    """Let calls end, one after the other, each as long as a window or longer."""

    def body(length):
        face.clock.advance(length)
        if error is not None:
            raise error

    for call in range(11 * count):
        length = seconds if call % 11 == 10 else 0.0001
        with suppress(Exception):
            face.block(limit.guard(), lambda _, length=length: body(length))


def test_calls_pass(face):
    """Arguments reach the function, its result comes back, and so does the slot."""
    limit = make(face)
    fn = face.function(lambda *args, **kwargs: (args, kwargs, limit.snapshot().running))

    assert face.call(limit, fn, 1, two=2) == ((1,), {"two": 2}, 1)
    assert limit.snapshot().running == 0


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()], ids=repr)
def test_errors_pass(face, error):
    """Whatever the call raises is what the caller gets, and the slot comes back."""
    limit = make(face)
    fn, _ = face.scripted(error)

    with pytest.raises(type(error)):
        face.call(limit, fn)
    assert limit.snapshot().running == 0


def test_full(face):
    """A call beyond the limit is refused, or waits where waiting is allowed."""
    limit, patient = make(face, 1), make(face, 1, max_waiting=1, max_wait=2.0, name="db", registry=face.registry)
    fn, script = face.scripted("fine")
    for one, moment in ((limit, 1000.0), (patient, 1002.0)):
        one.guard().__enter__()
        with pytest.raises(BulkheadFullError) as caught:
            face.call(one, fn)
        assert face.clock.now() == moment

    assert caught.value.operation == "db"
    assert (script.calls, limit.snapshot().rejected) == (0, 1)
    with pytest.raises(BulkheadFullError):
        face.block(limit.guard(), lambda _: None)


def test_failures_shrink_it(face):
    """Calls that fail bring the limit down, and an event says why."""
    limit = make(face)
    windows(face, limit, 4, error=ConnectionError())

    assert limit.limit < 3
    assert limit.snapshot().latency is None
    changes = face.seen.of(LimitChanged)
    assert (changes[0].source, changes[0].before, changes[-1].after) == ("adaptive_limit", 20, limit.limit)
    assert "failed" in changes[0].reason


def test_too_many_requests_shrink_it(face):
    """A service that asks for fewer calls gets fewer."""
    limit = make(face)
    windows(face, limit, 4, error=RateLimitError(status_code=429))

    assert limit.limit < 3


@pytest.mark.parametrize(
    ("error", "options"),
    [
        pytest.param(BadRequestError(status_code=404), {}, id="wrong-request"),
        pytest.param(BulkheadFullError(), {}, id="own-rejection"),
        pytest.param(ConnectionError(), {"ignore": ConnectionError}, id="ignored"),
        pytest.param(RateLimitError(status_code=429), {"ignore": (RateLimitError,)}, id="ignored-429"),
        pytest.param(ConnectionError(), {"failure_if": lambda _: False}, id="no-failure-by-rule"),
    ],
)
def test_other_errors_tell_nothing(face, error, options):
    """Errors that do not speak of load are neither failures nor samples."""
    limit = make(face, **options)
    windows(face, limit, 4, error=error)

    assert (limit.limit, limit.snapshot().latency) == (20, None)


def test_a_rule_that_raises_leaves_nothing_behind(face):
    """When the user's own rule raises, that is what the caller gets, and the slot comes back."""
    limit = make(face, failure_if=lambda _: 1 / 0)
    fn, _ = face.scripted(ConnectionError())

    with pytest.raises(ZeroDivisionError):
        face.call(limit, fn)
    assert limit.snapshot().running == 0


async def test_it_follows_the_latency():
    """On a server whose calls queue behind each other the limit comes down to what it can take."""
    clock = asyncio.get_running_loop().clock
    limit = AdaptiveLimit(100, window=0.2, min_samples=20, max_waiting=1000, remeasure_every=5.0, clock=clock)
    workers = asyncio.Semaphore(10)

    @limit
    async def work():
        async with workers:
            await asyncio.sleep(0.05)

    async def caller():
        while clock.now() < 1030:
            await work()

    await asyncio.gather(*(caller() for _ in range(120)))

    snapshot = limit.snapshot()
    assert 8 <= snapshot.limit <= 25
    assert snapshot.unloaded == pytest.approx(0.05, rel=0.1)
    assert (snapshot.running, snapshot.waiting) == (0, 0)


async def test_cancelled_calls_tell_nothing():
    """A cancelled call gives its slot back and is no failure."""
    limit = AdaptiveLimit(min_samples=1, clock=asyncio.get_running_loop().clock)
    for _ in range(20):
        task = asyncio.create_task(limit.acall(asyncio.sleep, 60))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])

    assert (limit.limit, limit.snapshot().running, limit.snapshot().latency) == (20, 0, None)


def test_streams_hold_their_slot(face):
    """A stream has its slot to its end, or until it is closed; how long it took is no sample."""
    limit = make(face, min_samples=1)
    for most in (None, 2):
        assert face.take(limit(face.generator(1, 2, 3)), most) == [1, 2, 3][:most]
    with pytest.raises(OSError, match="broken"):
        face.take(limit(face.generator(1, OSError("broken"))))

    assert (limit.snapshot().running, limit.snapshot().latency) == (0, None)


async def test_returned_awaitables():
    """A coroutine that a plain function returns takes a slot while it is awaited, a future until it is done."""
    limit = AdaptiveLimit(1, clock=asyncio.get_running_loop().clock)

    async def work():
        return limit.snapshot().running

    assert await limit.call(lambda: work()) == 1  # noqa: PLW0108 - a function that does not say that it is async
    for end in (lambda f: f.set_result(1), lambda f: f.cancel(), lambda f: f.set_exception(ConnectionError())):
        future = asyncio.get_running_loop().create_future()
        assert limit.call(lambda future=future: future) is future
        assert limit.snapshot().running == 1
        end(future)
        await asyncio.wait([future])
        await asyncio.sleep(0)
        assert limit.snapshot().running == 0
    assert isinstance(future.exception(), ConnectionError)


def test_guard_serves_one_block(face):
    """A guard that is used twice is refused, and takes no slot."""
    limit = make(face)
    guard = limit.guard()
    face.block(guard, lambda _: None)

    with pytest.raises(ConfigError, match="one block only"):
        face.block(guard, lambda _: None)
    assert limit.snapshot().running == 0


def test_reconfigure(face):
    """Other bounds take effect at once; what cannot change is refused."""
    limit = make(face, 20)
    limit.reconfigure(initial=5, max_limit=10, max_waiting=3)
    assert (limit.limit, limit.settings()["max_waiting"]) == (10, 3)
    assert face.seen.last(LimitChanged).reason == "reconfigured"
    assert face.seen.last(PolicyReconfigured).settings == ("initial", "max_limit", "max_waiting")
    for settings, words in (({"max": 3}, "max_"), ({"tolerance": 0}, "tolerance"), ({"ignore": OSError}, "ignore")):
        with pytest.raises(ConfigError, match=words):
            limit.reconfigure(**settings)


def test_it_tells_about_itself(face):
    """Name, description, worst case and state can be read."""
    limit = make(face, name="db", registry=face.registry)

    assert face.registry.get("adaptive_limit", "db") is limit
    with pytest.raises(DuplicateNameError):
        make(face, name="db", registry=face.registry)
    assert limit.describe() == "adaptive limit 'db': 1 to 200 calls at once, up to 1.5 times the latency without load"
    assert limit.worst(Worst(3.0)) == Worst(3.0)
    assert make(face, max_waiting=1).worst(Worst(3.0)) == Worst(float("inf"))
    assert limit.idle()
    limit.guard().__enter__()
    assert not limit.idle()
    assert repr(limit).startswith("AdaptiveLimit('db', AdaptiveLimitConfig(initial=20")
