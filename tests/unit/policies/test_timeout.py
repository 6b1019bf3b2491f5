"""What is cut at its limit, in each form and mode, and what the caller gets."""

import asyncio
import contextvars
import inspect
import threading

import pytest

from outlast.errors import BulkheadFullError, ConfigError, DeadlineExceededError, Outcome
from outlast.events import CallTimedOut, PolicyReconfigured
from outlast.policies import Timeout, TimeoutSnapshot, deadline, remaining
from outlast.testing import ManualClock, run_virtual


def make(face, seconds=1.0, **options):
    """Make a timeout that sync functions may use."""
    return Timeout(seconds, **{"mode": "cooperative", **face.around, **options})


def test_in_time(face):
    """A call that is quick enough returns its result."""
    assert face.call(make(face), face.slow(0.5, "fine")) == "fine"


def test_too_late(face):
    """A call that takes too long raises our error, which is a TimeoutError; an event says so."""
    with pytest.raises(DeadlineExceededError) as caught:
        face.call(make(face, name="load"), face.slow(5.0))

    assert isinstance(caught.value, TimeoutError)
    assert caught.value.operation == "load"
    assert [(event.source, event.limit) for event in face.seen.of(CallTimedOut)] == [("load", 1.0)]


def test_what_became_of_it(face):
    """A cancelled call is in doubt; a sync call that ended late did take place."""
    with pytest.raises(DeadlineExceededError) as caught:
        face.call(make(face), face.slow(5.0))

    assert caught.value.outcome is (Outcome.APPLIED if face.colour == "sync" else Outcome.IN_DOUBT)


@pytest.mark.parametrize("error", [TimeoutError("mine"), ValueError("mine")], ids=repr)
def test_own_errors_pass(face, error):
    """The call's own error passes as it is, a TimeoutError too."""
    fn, _ = face.scripted(error)

    with pytest.raises(type(error)) as caught:
        face.call(make(face), fn)

    assert caught.value is error
    assert face.seen.events == []


def test_late_error_passes():
    """A sync call that fails late raises its own error."""
    clock = ManualClock()

    def late():
        clock.sleep(5)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        Timeout(1.0, mode="cooperative", clock=clock).call(late)


def test_deadline_clamps(face):
    """Inside a deadline the shorter limit holds, and without time left nothing is started."""
    fn, script = face.scripted("fine")
    limited = make(face, 10.0)(face.function(remaining))

    def sync():
        with deadline(2.0, clock=face.clock):
            clamped = limited()
            face.clock.advance(2)
            with pytest.raises(DeadlineExceededError, match="not started"):
                make(face).call(fn)
            return clamped

    async def coro():
        with deadline(2.0, clock=face.clock):
            clamped = await limited()
            face.clock.advance(2)
            with pytest.raises(DeadlineExceededError, match="not started"):
                await make(face).acall(fn)
            return clamped

    assert face.run(coro if face.colour == "async" else sync) == 2.0
    assert script.calls == 0


def test_sync_function_needs_a_mode():
    """Decorating or calling a sync function without a mode says what to choose."""
    for use in (lambda: Timeout(1.0)(len), lambda: Timeout(1.0).call(len, "x")):
        with pytest.raises(ConfigError, match=r"cooperative.*thread"):
            use()
    with pytest.raises(ConfigError, match=r"cooperative.*thread"):
        Timeout(1.0)(lambda: (yield))


def test_plain_guard_needs_the_cooperative_mode():
    """A plain with block cannot be cut, so it needs the mode that does not cut."""
    for mode in (None, "thread"):
        with pytest.raises(ConfigError, match="async with"), Timeout(1.0, mode=mode).guard():
            pass


def test_guard(face):
    """A block is limited as a call is."""
    assert face.block(make(face).guard(), lambda limit: limit.left()) == 1.0


async def test_async_guard_cancels():
    """An async block is cancelled at its limit, whatever the mode for sync calls."""
    with pytest.raises(DeadlineExceededError):
        async with Timeout(1.0, clock=asyncio.get_running_loop().clock).guard():
            await asyncio.sleep(5)


WAITS = [0.5, 0.9, 0.9, 2.0]


def test_each_item_is_limited():
    """Of a stream the wait for each item is limited, not the whole, nor the time that the reader takes."""
    clock, read = ManualClock(), []

    @Timeout(1.0, mode="cooperative", clock=clock)
    def items():
        for wait in WAITS:
            clock.sleep(wait)
            yield wait

    def reading():
        for item in items():
            read.append(item)
            clock.advance(100)

    with pytest.raises(DeadlineExceededError):
        reading()

    assert read == WAITS[:3]


async def test_each_async_item_is_limited():
    """The same for an async stream, which is cancelled when an item is late."""
    clock, read = asyncio.get_running_loop().clock, []

    @Timeout(1.0, clock=clock)
    async def items():
        for wait in WAITS:
            await asyncio.sleep(wait)
            yield wait

    async def reading():
        async for item in items():
            read.append(item)
            clock.advance(100)

    with pytest.raises(DeadlineExceededError):
        await reading()

    assert read == WAITS[:3]


def test_thread_mode_returns_and_raises():
    """What the call returns or raises in its thread comes back; the context is its own copy."""
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")
    timeout = Timeout(5.0, mode="thread")

    assert timeout.call(lambda: (variable.get(), remaining() is not None)) == ("set", True)
    with pytest.raises(KeyError, match="mine"):
        timeout.call(lambda: {}["mine"])


def test_thread_mode_leaves_late_calls_behind():
    """A late call goes on in its thread and is counted; too many of them refuse the next; then the count falls."""
    release, timeout = threading.Event(), Timeout(0.01, mode="thread", max_abandoned=2, name="slow")
    for _ in range(2):
        with pytest.raises(DeadlineExceededError, match="left running after") as caught:
            timeout.call(release.wait, 10)
        assert caught.value.outcome is Outcome.IN_DOUBT
    with pytest.raises(BulkheadFullError, match="2 calls that ran out of time are still running"):
        timeout.call(release.wait, 10)
    assert timeout.snapshot() == TimeoutSnapshot(0.01, "thread", 2)

    release.set()
    for thread in threading.enumerate():
        if thread.name == "outlast-slow":
            thread.join(5)
    assert timeout.snapshot().abandoned == 0


def test_thread_mode_and_streams():
    """A generator cannot move between threads."""
    with pytest.raises(ConfigError, match="cannot move between threads"):
        Timeout(1.0, mode="thread")(lambda: (yield))


@pytest.mark.parametrize("mode", ["cooperative", "thread"])
def test_sync_function_that_returns_a_coroutine(mode):
    """A coroutine that a sync function returns is limited when it is awaited."""
    clock = ManualClock()

    async def slow():
        await asyncio.sleep(9)

    def begin():
        return slow()

    result = Timeout(1.0, mode=mode, clock=clock).call(begin)
    assert inspect.iscoroutine(result)

    with pytest.raises(DeadlineExceededError):
        run_virtual(result, clock=clock)


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((0,), {}, "seconds"),
        (("1",), {}, "seconds"),
        ((1,), {"mode": "signal"}, "mode"),
        ((1,), {"max_abandoned": 0}, "max_abandoned"),
    ],
    ids=repr,
)
def test_nonsense_is_refused(args, options, message):
    """Settings that make no sense are refused with their name."""
    with pytest.raises(ConfigError, match=message):
        Timeout(*args, **options)


def test_it_shows_itself():
    """Settings and state are visible."""
    assert Timeout(1.5, name="t").describe() == "timeout 't': 1.5 s"
    assert Timeout(1.5, mode="thread").describe() == "timeout 'timeout': 1.5 s (thread for sync calls)"
    assert "abandoned=0" in repr(Timeout(1.5))
    assert Timeout(1.5).name == "timeout"


def test_reconfigure(face):
    """The limit changes for calls that begin afterwards, in functions that are decorated already."""
    timeout = make(face, 1.0, name="load")
    limited = timeout(face.slow(2.0, "fine"))
    with pytest.raises(DeadlineExceededError):
        face.run(limited)
    timeout.reconfigure(seconds=3.0)

    assert face.run(limited) == "fine"
    assert face.seen.events[-1] == PolicyReconfigured(
        source="load", at=1001.0 + (face.colour == "sync"), settings=("seconds",)
    )
    with pytest.raises(ConfigError, match="seconds"):
        timeout.reconfigure(seconds=0)
