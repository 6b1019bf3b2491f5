import asyncio
import concurrent.futures
import functools
import math

import pytest

from outlast.engines.worst import Worst
from outlast.errors import BadRequestError, CircuitOpenError, ConfigError, DuplicateNameError, OutlastError
from outlast.events import FallbackFailed, FallbackUsed
from outlast.policies import CircuitBreaker, Fallback, FallbackSnapshot, Pipeline


def make(face, **options):
    """Make a fallback of the scenario."""
    return Fallback(**{**face.around, **options})


def shot(fallback):
    """Return the counts: primary, fallback, both failed, passed."""
    counts = fallback.snapshot()
    return counts.primary_ok, counts.fallback_ok, counts.fallback_failed, counts.passed


def test_a_call_that_works(face):
    """A call that succeeds is not touched."""
    fallback = make(face, value="instead")
    fn, _ = face.scripted("fine")

    assert face.call(fallback, fn) == "fine"
    assert fallback.snapshot() == FallbackSnapshot(primary_ok=1, fallback_ok=0, fallback_failed=0, passed=0)
    assert face.seen.events == []


@pytest.mark.parametrize("value", ["instead", None, False, len], ids=repr)
def test_value(face, value):
    """A value stands in for a call that failed, whatever value it is; an event says so."""
    fallback = make(face, value=value, name="users", registry=face.registry)
    fn, _ = face.scripted(OSError("down"))

    assert face.call(fallback, fn) is value
    assert shot(fallback) == (0, 1, 0, 0)
    assert [(event.source, event.link, event.error) for event in face.seen.of(FallbackUsed)] == [
        ("users", 1, "OSError")
    ]


@pytest.mark.parametrize(
    ("function", "given"),
    [
        pytest.param(lambda: "nothing", "nothing", id="nothing"),
        pytest.param(lambda error: (str(error),), ("down",), id="error"),
        pytest.param(lambda error, uid, limit: (str(error), uid, limit), ("down", 7, 3), id="error-and-arguments"),
        pytest.param(lambda error, *args, **kw: (str(error), args, kw), ("down", (7,), {"limit": 3}), id="stars"),
        pytest.param(lambda error, **kw: (str(error), kw), None, id="too-few"),
        pytest.param(lambda error, default="mine": default, "mine", id="a-default-is-not-for-arguments"),
        pytest.param(lambda error, uid, *, limit, more=1: (uid, limit, more), (7, 3, 1), id="keyword-only"),
        pytest.param(str, "down", id="class-without-a-signature"),
        pytest.param(repr, "OSError('down')", id="built-in"),
    ],
)
def test_what_a_function_is_given(face, function, given):
    """A fallback function gets as much as it takes: nothing, the error, or the error and the call's arguments."""
    fn, _ = face.scripted(OSError("down"))
    fallback = make(face, function=function)

    if given is None:
        with pytest.raises(TypeError):
            face.call(fallback, fn, 7, limit=3)
    else:
        assert face.call(fallback, fn, 7, limit=3) == given


def test_chain(face):
    """Each fallback is asked only if the one before failed; the value comes last."""
    asked = []

    def first(error):
        asked.append(("first", str(error)))
        raise KeyError("first")

    def second(error):
        asked.append(("second", str(error)))
        raise ValueError("second")

    fn, _ = face.scripted(OSError("down"))
    fallback = make(face, function=[first, second, lambda: "third"], value="never")

    assert face.call(fallback, fn) == "third"
    assert asked == [("first", "down"), ("second", "down")]
    assert face.seen.last(FallbackUsed).link == 3
    assert face.call(make(face, function=(first, second), value="last"), fn) == "last"


def test_all_fail(face):
    """When all fail, the last error is raised; the call's own is its context, and a note names the others."""
    errors = [KeyError("first"), ValueError("second")]

    def fail():
        raise errors[calls.pop()]

    calls, error = [1, 0], OSError("down")
    fn, _ = face.scripted(error)
    fallback = make(face, function=[fail, fail])

    with pytest.raises(ValueError, match="second") as caught:
        face.call(fallback, fn)
    calls[:] = [1, 0]
    with pytest.raises(ValueError, match="second"):
        face.call(fallback, fn)

    assert caught.value is errors[1]
    assert caught.value.__context__ is error
    assert caught.value.__notes__ == ["outlast fallback: the last fallback failed with this, after OSError, KeyError"]
    assert shot(fallback) == (0, 0, 2, 0)
    assert [(event.error, event.last) for event in face.seen.of(FallbackFailed)] == [("OSError", "ValueError")] * 2


def test_a_fallback_may_raise_what_it_got(face):
    """A function that raises the call's own error again makes no circle."""

    def again(error):
        raise error

    error = OSError("down")
    fn, _ = face.scripted(error)

    with pytest.raises(OSError, match="down") as caught:
        face.call(make(face, function=again), fn)

    assert caught.value is error
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "error",
    [
        BadRequestError("mine"),
        ConfigError("mine"),
        concurrent.futures.CancelledError(),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_passes(face, error):
    """A call that was wrong itself, or was cancelled, is nobody else's to answer."""
    fallback = make(face, value="instead")
    fn, _ = face.scripted(error)

    with pytest.raises(type(error)) as caught:
        face.call(fallback, fn)

    assert caught.value is error or isinstance(error, asyncio.CancelledError)
    assert shot(fallback) == (0, 0, 0, int(isinstance(error, Exception)))


def test_cancellation_of_a_future_never_falls_back(face):
    """Not even a rule that names everything makes a cancelled call an answered one."""
    fn, _ = face.scripted(concurrent.futures.CancelledError())

    with pytest.raises(concurrent.futures.CancelledError):
        face.call(make(face, value="instead", on=Exception), fn)


@pytest.mark.parametrize(
    ("on", "error", "falls_back"),
    [
        (OSError, OSError(), True),
        (OSError, KeyError(), False),
        ((OSError, KeyError), KeyError(), True),
        (BadRequestError, BadRequestError(), True),
        (lambda error: isinstance(error, KeyError), KeyError(), True),
        (lambda error: isinstance(error, KeyError), OSError(), False),
        (lambda error: None, OSError(), True),
        (lambda error: None, BadRequestError(), False),
    ],
)
def test_on(face, on, error, falls_back):
    """`on` says for which errors to fall back; None from a rule leaves it to the default."""
    fn, _ = face.scripted(error)
    fallback = make(face, value="instead", on=on)

    if falls_back:
        assert face.call(fallback, fn) == "instead"
    else:
        with pytest.raises(type(error)):
            face.call(fallback, fn)


def test_on_result(face):
    """A result can be as bad as a failure; a function's answer is asked about too, the value is not."""
    fn, _ = face.scripted([])
    given = []

    def empty(error):
        given.append(error)
        return []

    fallback = make(face, function=empty, value=[], on_result=lambda result: not result)

    assert face.call(fallback, fn) == []
    assert face.seen.last(FallbackUsed).link == 2
    assert isinstance(given[0], OutlastError)
    assert given[0].metadata == {"result": []}
    good, _ = face.scripted("fine")
    assert face.call(fallback, good) == "fine"
    assert shot(fallback) == (1, 1, 0, 0)
    with pytest.raises(OutlastError, match="on_result refused"):
        face.call(make(face, function=empty, on_result=lambda result: not result), fn)


def test_an_open_circuit_falls_back(face):
    """The usual stack: what the breaker refuses, the fallback answers."""
    breaker = CircuitBreaker(failure_threshold=1, **face.around)
    stack = Pipeline(
        "users", make(face, function=lambda error: isinstance(error, CircuitOpenError)), breaker, registry=face.registry
    )
    fn, script = face.scripted(OSError("down"))

    assert [face.call(stack, fn) for _ in range(2)] == [False, True]
    assert script.calls == 1


async def test_async_function():
    """An async call may have async fallbacks."""

    async def cached(error, uid):
        await asyncio.sleep(1)
        return f"cached {uid}"

    async def load(uid):
        raise OSError

    fallback = Fallback(function=cached)
    assert await fallback(load)(7) == "cached 7"
    assert await fallback.acall(load, 7) == "cached 7"


async def test_returned_coroutine_has_the_fallbacks():
    """A coroutine that a plain function returns is covered, too."""

    async def load():
        raise OSError

    assert await Fallback(value="instead").call(returning, load) == "instead"


async def test_cancelled_fallback():
    """A fallback that is cancelled ends the call and counts for nothing."""

    async def load():
        raise OSError

    async def hang():
        await asyncio.sleep(1000)

    fallback = Fallback(function=hang, value="never")
    task = asyncio.create_task(fallback.acall(load))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert shot(fallback) == (0, 0, 0, 0)


class Waiting:
    """Something to await that cannot be closed."""

    def __await__(self):
        """Wait for nothing."""
        yield


def returning(fn):
    """Return what a coroutine function gives, without saying so."""
    return fn()


def test_async_fallback_of_a_sync_call():
    """A sync function with an async fallback is refused when it is decorated; what slips through fails over."""

    async def cached():
        return "cached"

    async def streamed():
        yield "cached"

    def load():
        raise OSError("down")

    for fallback in (Fallback(function=cached), Fallback(function=streamed)):
        with pytest.raises(ConfigError, match="cannot await"):
            fallback(load)
        with pytest.raises(ConfigError, match="cannot await"):
            fallback(lambda: (yield))
    assert Fallback(function=functools.partial(returning, cached), value="last").call(load) == "last"
    with pytest.raises(ConfigError, match="something to await"):
        Fallback(function=functools.partial(returning, cached)).call(load)
    with pytest.raises(ConfigError, match="something to await"):
        Fallback(function=Waiting).call(load)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        pytest.param((1, 2), [1, 2], id="works"),
        pytest.param((OSError(),), ["a", "b"], id="does-not-open"),
        pytest.param((), [], id="empty"),
    ],
)
def test_streams(face, items, expected):
    """The opening of a stream falls back to the items of the value."""
    fallback = make(face, value=["a", "b"])

    assert face.take(fallback(face.generator(*items))) == expected
    assert shot(fallback) == ((0, 1, 0, 0) if expected == ["a", "b"] else (1, 0, 0, 0))


def test_a_broken_stream_does_not_fall_back(face):
    """After the first item it is too late: the reader has begun."""
    fallback = make(face, value=["a", "b"])

    with pytest.raises(OSError, match="late"):
        face.take(fallback(face.generator(1, OSError("late"))))

    assert shot(fallback) == (1, 0, 0, 0)


def test_stream_of_a_function(face):
    """A function gives a stream by whatever can be iterated over; one that fails to open is followed by the next."""
    down = face.generator(OSError("down"))
    good = face.generator("a", "b")

    assert face.take(make(face, function=[down, lambda error: 5, good])(down)) == ["a", "b"]
    assert face.take(make(face, function=lambda: iter("xy"))(down)) == ["x", "y"]
    with pytest.raises(ConfigError, match="5"):
        face.take(make(face, value=5)(down))
    with pytest.raises(BadRequestError):
        face.take(make(face, value="x")(face.generator(BadRequestError())))


async def test_stream_of_a_coroutine_function():
    """A coroutine function may give the items of an async stream."""

    async def cached(error):
        return ["a"]

    async def load():
        raise OSError
        yield

    assert [item async for item in Fallback(function=cached)(load)()] == ["a"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs a value"),
        ({"function": []}, "needs a value"),
        ({"function": ["text"]}, "needs a function"),
        ({"value": 1, "on": asyncio.CancelledError}, "on"),
    ],
)
def test_wrong_settings(options, words):
    """What makes no sense is refused when it is made."""
    with pytest.raises(ConfigError, match=words):
        Fallback(**options)


def test_what_it_tells(face):
    """One line says what it does, repr the counts too; a block is refused; a function has no bound."""
    fallback = make(face, function=[len, repr], value=0, name="users", registry=face.registry)

    assert fallback.describe() == "fallback 'users': len, then repr, then a value"
    assert "primary_ok=0" in repr(fallback)
    assert face.registry.get("fallback", "users") is fallback
    assert make(face, value=0).name == "fallback"
    assert make(face, value=0).worst(Worst(2.0, 3)) == Worst(2.0, 3)
    assert fallback.worst(Worst(2.0, 3)) == Worst(math.inf, 3)
    with pytest.raises(ConfigError, match="block has no answer"):
        fallback.guard()
    with pytest.raises(DuplicateNameError):
        make(face, value=0, name="users", registry=face.registry)
    with pytest.raises(ConfigError, match="cannot change"):
        fallback.reconfigure(value=1)
