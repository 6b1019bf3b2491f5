import asyncio
import functools
import inspect
import types

import pytest

from outlast.errors import ConfigError
from outlast.events import EventBus
from outlast.policies import Chaos, CircuitBreaker, Fallback, Hedge, Retry, SingleFlight, Timeout
from outlast.policies._shape import Shape, is_awaitable, shape_of
from outlast.testing import ManualClock


def plain(a, b=2):
    """Return."""
    return a, b


async def coroutine(a, b=2):
    """Return."""
    return a, b


def generator(a, b=2):
    """Yield."""
    yield a, b


async def async_generator(a, b=2):
    """Yield."""
    yield a, b


class Callable:
    """An object with an async `__call__`."""

    async def __call__(self):
        """Return."""
        return "called"

    def method(self):
        """Return."""
        return "method"

    async def amethod(self):
        """Return."""
        return "amethod"


SHAPES = [
    pytest.param(plain, Shape.SYNC, id="function"),
    pytest.param(coroutine, Shape.ASYNC, id="coroutine-function"),
    pytest.param(generator, Shape.GENERATOR, id="generator-function"),
    pytest.param(async_generator, Shape.ASYNC_GENERATOR, id="async-generator-function"),
]


@pytest.mark.parametrize(
    ("fn", "shape"),
    [
        *SHAPES,
        pytest.param(len, Shape.SYNC, id="built-in"),
        pytest.param(functools.partial(functools.partial(coroutine), 1), Shape.ASYNC, id="partial"),
        pytest.param(Callable(), Shape.ASYNC, id="async-call"),
        pytest.param(functools.partial(Callable()), Shape.ASYNC, id="partial-of-object"),
        pytest.param(Callable().amethod, Shape.ASYNC, id="method"),
        pytest.param(Callable, Shape.SYNC, id="class"),
        pytest.param(lambda: coroutine(1), Shape.SYNC, id="lambda-returning-a-coroutine"),
    ],
)
def test_shape_of(fn, shape):
    """Functions of every kind, and what stands for one, are told apart."""
    assert shape_of(fn) is shape


def test_what_cannot_be_called_is_refused():
    """Decorating something that is no function says so."""
    with pytest.raises(ConfigError, match="needs a function"):
        Retry()("text")


def latent():
    """Make chaos that changes nothing."""
    return Chaos(rate=1.0, behaviour=lambda call: None, enabled=True)


def policies():
    """Make one of each."""
    return [
        pytest.param(CircuitBreaker(), id="breaker"),
        pytest.param(Retry(), id="retry"),
        pytest.param(Timeout(5.0, mode="cooperative"), id="timeout"),
        pytest.param(Fallback(value=[]), id="fallback"),
        pytest.param(latent(), id="chaos"),
    ]


@pytest.mark.parametrize(("fn", "shape"), SHAPES)
@pytest.mark.parametrize("policy", policies())
def test_decorating_keeps_what_a_function_is(policy, fn, shape):
    """A decorated function keeps its shape, name, documentation and signature."""
    decorated = policy(fn)

    assert shape_of(decorated) is shape
    assert (decorated.__name__, decorated.__doc__) == (fn.__name__, fn.__doc__)
    assert inspect.signature(decorated) == inspect.signature(fn)


@pytest.mark.parametrize("policy", policies())
async def test_every_shape_works(policy):
    """Arguments go in and results come out, whatever the shape."""
    assert policy(plain)(1, b=3) == (1, 3)
    assert await policy(coroutine)(1, b=3) == (1, 3)
    assert list(policy(generator)(1, b=3)) == [(1, 3)]
    assert [item async for item in policy(async_generator)(1, b=3)] == [(1, 3)]
    assert policy.call(plain, 1) == (1, 2)
    assert await policy.call(coroutine, 1) == (1, 2)
    assert await policy.acall(coroutine, 1) == (1, 2)
    assert await policy.acall(Callable()) == "called"
    assert await policy.acall(lambda: coroutine(1)) == (1, 2)
    assert await policy.acall(plain, 1) == (1, 2)


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(Hedge(delay=60.0, idempotent=True), id="hedge"),
        pytest.param(SingleFlight(key=lambda *args, **kwargs: args), id="single-flight"),
    ],
)
async def test_every_shape_but_streams_works(policy):
    """What cannot go around a stream goes around every other shape, and leaves its name and signature."""
    assert policy(plain)(1, b=3) == (1, 3)
    assert await policy(coroutine)(1, b=3) == (1, 3)
    assert policy.call(plain, 1) == (1, 2)
    assert await policy.call(coroutine, 1) == (1, 2)
    assert await policy.acall(Callable()) == "called"
    assert await policy.acall(lambda: coroutine(1)) == (1, 2)
    assert await policy.acall(plain, 1) == (1, 2)
    for fn in (plain, coroutine):
        assert shape_of(policy(fn)) is shape_of(fn)
        assert inspect.signature(policy(fn)) == inspect.signature(fn)
    with pytest.raises(ConfigError, match="generator"):
        policy(generator)


@pytest.mark.parametrize("fn", [generator, async_generator])
async def test_acall_refuses_streams(fn):
    """`acall` awaits one result; a stream has none."""
    with pytest.raises(ConfigError, match="acall"):
        await Retry().acall(fn, 1)


@pytest.mark.parametrize("policy", [*policies(), pytest.param(Timeout(5.0, mode="thread"), id="thread")])
def test_methods_can_be_decorated(policy):
    """A decorated function in a class body becomes a method."""

    class Client:
        @policy
        def load(self, key):
            """Return."""
            return self, key

    client = Client()

    assert client.load("k") == (client, "k")


def test_empty_streams_and_return_values(face):
    """A stream without items ends as it did; a generator's return value comes through."""

    def returns():
        return "value"
        yield

    def returns_later():
        yield 1
        return "value"

    for policy in (CircuitBreaker(), Retry(), Timeout(5.0, mode="cooperative"), Fallback(value=[7]), latent()):
        assert face.take(policy(face.generator())) == []
        assert delegate(policy(returns)) == ([], "value")
        assert delegate(policy(returns_later)) == ([1], "value")


def delegate(fn):
    """Read a generator and its return value."""
    items = []

    def outer():
        return (yield from fn())

    stream = outer()
    while True:
        try:
            items.append(next(stream))
        except StopIteration as stop:
            return items, stop.value


def test_sent_and_thrown_reach_the_generator():
    """What the reader sends or throws into the stream reaches the generator behind."""

    def echo():
        got = yield "ready"
        while True:
            try:
                got = yield f"got {got}"
            except KeyError:
                got = "an error"

    for policy in (CircuitBreaker(), Retry(), Timeout(5.0, mode="cooperative"), Fallback(value=[7]), latent()):
        stream = policy(echo)()
        answers = [next(stream), stream.send(1), stream.send(2), stream.throw(KeyError())]
        stream.close()
        assert answers == ["ready", "got 1", "got 2", "got an error"]


async def test_sent_and_thrown_reach_the_async_generator():
    """The same for an async generator; the one behind is closed with the one in front."""
    closed = []

    async def echo():
        try:
            got = yield "ready"
            while True:
                try:
                    got = yield f"got {got}"
                except KeyError:
                    got = "an error"
        finally:
            closed.append(1)

    for policy in (CircuitBreaker(), Retry(), Timeout(5.0), Fallback(value=[7]), latent()):
        stream = policy(echo)()
        answers = [await anext(stream), await stream.asend(1), await stream.asend(2), await stream.athrow(KeyError())]
        await stream.aclose()
        assert answers == ["ready", "got 1", "got 2", "got an error"]
    assert closed == [1] * 5


def test_generator_behind_is_closed(face):
    """Closing the stream early closes the generator behind it."""
    closed = []

    def items():
        try:
            yield 1
            yield 2
        finally:
            closed.append(1)

    async def aitems():
        try:
            yield 1
            yield 2
        finally:
            closed.append(1)

    for policy in (CircuitBreaker(), Retry(), Timeout(5.0, mode="cooperative"), Fallback(value=[7]), latent()):
        assert face.take(policy(aitems if face.colour == "async" else items), 1) == [1]
    assert closed == [1] * 5


@pytest.mark.parametrize(
    ("items", "most", "calls", "failures"),
    [
        pytest.param((1, 2), None, 1, 0, id="to-its-end"),
        pytest.param((1, 2), 1, 1, 0, id="closed-early"),
        pytest.param((1, 2), 0, 0, 0, id="never-started"),
        pytest.param((1, OSError()), None, 1, 1, id="broke-off"),
        pytest.param((OSError(),), None, 1, 1, id="no-opening"),
        pytest.param((1, KeyboardInterrupt()), None, 0, 0, id="interrupted"),
    ],
)
def test_a_stream_is_one_call(face, items, most, calls, failures):
    """To a breaker a stream is one call, judged at its end; a reader who has had enough proves health."""
    breaker = CircuitBreaker(**face.around)
    error = next((item for item in items if isinstance(item, BaseException)), None)

    if error is not None:
        with pytest.raises(type(error)):
            face.take(breaker(face.generator(*items)), most)
    else:
        face.take(breaker(face.generator(*items)), most)

    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (calls, failures)


@pytest.mark.parametrize("probing", [False, True], ids=["closed", "half-open"])
@pytest.mark.parametrize("fails", [False, True], ids=["returns", "raises"])
async def test_returned_coroutine_is_judged_by_its_result(probing, fails):
    """A coroutine that a plain function returns counts when it has ended, not when it is made."""
    breaker = half_open() if probing else CircuitBreaker()

    async def work():
        if fails:
            raise ConnectionError

    before = breaker.snapshot().calls

    def begin():
        return work()

    pending = breaker.call(begin)
    assert breaker.snapshot().calls == before
    await asyncio.gather(pending, return_exceptions=True)

    assert breaker.snapshot().calls == before + 1
    assert breaker.snapshot().failures == fails + probing


@pytest.mark.parametrize("probing", [False, True], ids=["closed", "half-open"])
@pytest.mark.parametrize("end", ["result", "error", "cancel"])
async def test_returned_future_is_handed_on(probing, end):
    """A future comes back as it is, and is judged when it is done."""
    breaker = half_open() if probing else CircuitBreaker()
    before = breaker.snapshot()
    future = asyncio.get_running_loop().create_future()

    assert breaker.call(lambda: future) is future
    {
        "result": lambda: future.set_result(1),
        "error": lambda: future.set_exception(OSError("x")),
        "cancel": future.cancel,
    }[end]()
    await asyncio.sleep(0)

    after = breaker.snapshot()
    assert (after.calls - before.calls, after.failures - before.failures) == {
        "result": (1, 0),
        "error": (1, 1),
        "cancel": (0, 0),
    }[end]
    assert after.probes == 0


def half_open():
    """Make a breaker that admits its next call as a probe."""
    clock = ManualClock()
    breaker = CircuitBreaker(failure_threshold=1, clock=clock, bus=EventBus())
    breaker.record_failure()
    clock.advance(30)
    return breaker


def test_is_awaitable():
    """Old generator-based coroutines can be awaited too; generators and plain values cannot."""

    @types.coroutine
    def old():
        yield

    assert is_awaitable(old())
    assert not is_awaitable(generator(1))
    assert not is_awaitable(object())
    assert not is_awaitable(1)
