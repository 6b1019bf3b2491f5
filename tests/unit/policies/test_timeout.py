import asyncio
import contextvars
import inspect
import threading

import pytest

from outlast.errors import BulkheadFullError, ConfigError, DeadlineExceededError, Outcome
from outlast.events import CallTimedOut, PolicyReconfigured
from outlast.policies import Timeout, TimeoutSnapshot, deadline, remaining
from outlast.testing import ManualClock, VirtualLoop, run_virtual


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


async def test_running_calls_keep_their_limit():
    """A call that began under the old limit ends by it."""
    clock = asyncio.get_running_loop().clock
    timeout = Timeout(1.0, clock=clock)
    call = asyncio.create_task(timeout.acall(asyncio.sleep, 60))
    await asyncio.sleep(0.5)
    timeout.reconfigure(30.0)

    with pytest.raises(DeadlineExceededError):
        await call
    assert clock.now() == 1001.0


async def test_one_timer_serves_many_calls():
    """A thousand calls at once need one timer, each is cut at its own time, and then nothing is left."""
    loop = asyncio.get_running_loop()
    timeout, ends = Timeout(1.0, clock=loop.clock), []

    async def one(number):
        await asyncio.sleep(number / 1000)
        before = len([handle for handle in loop._scheduled if handle._callback.__name__ == "_fire"])
        with pytest.raises(DeadlineExceededError):
            await timeout.acall(asyncio.sleep, 60)
        ends.append(round(loop.time() - number / 1000, 6))
        return before

    timers = await asyncio.gather(*(one(number) for number in range(1000)))
    await asyncio.sleep(2)

    assert max(timers) == 1
    assert ends == [1001.0] * 1000
    assert timeout.lanes.find(id(loop)).live == {}
    assert [handle for handle in loop._scheduled if not handle.cancelled()] == []


async def test_storm_of_cancellations():
    """Calls that end, fail, are cut or cancelled in any order leave no entry and no cancellation behind."""
    loop = asyncio.get_running_loop()
    timeout = Timeout(1.0, clock=loop.clock)

    async def one(number):
        async def work():
            await asyncio.sleep(number % 7 * 0.3)
            if number % 5 == 0:
                raise ValueError
            return number

        try:
            return await timeout.acall(work)
        finally:
            assert remaining() is None

    calls = [asyncio.create_task(one(number)) for number in range(500)]
    for number in range(0, 500, 3):
        loop.call_later(number / 300, calls[number].cancel)
    results = await asyncio.gather(*calls, return_exceptions=True)

    kinds = {type(result) for result in results}
    assert kinds == {int, ValueError, DeadlineExceededError, asyncio.CancelledError}
    assert [call.cancelling() for call, end in zip(calls, results, strict=True) if isinstance(end, int)].count(0) > 0
    assert timeout.lanes.find(id(loop)).live == {}


async def test_call_in_a_call():
    """A limited function that calls itself is limited at each level."""
    loop = asyncio.get_running_loop()
    timeout = Timeout(1.0, clock=loop.clock)

    @timeout
    async def load(depth):
        await asyncio.sleep(0.4)
        return [remaining(), *(await load(depth - 1) if depth else [])]

    assert await load(1) == pytest.approx([0.6, 0.2])
    with pytest.raises(DeadlineExceededError):
        await load(2)
    assert loop.time() == pytest.approx(1000 + 0.8 + 1.0)


async def test_task_outlives_the_call():
    """A task that was started in a call and goes on after it is not limited any more."""
    clock, go_on = asyncio.get_running_loop().clock, asyncio.Event()

    async def straggle():
        before = remaining()
        await go_on.wait()
        return before, remaining()

    async def begin():
        return asyncio.create_task(straggle()), await asyncio.sleep(0)

    task, _ = await Timeout(1.0, clock=clock).acall(begin)
    go_on.set()

    assert await task == (1.0, None)


async def test_task_under_anothers_limit():
    """A limit of another task is passed on, since nothing else would cut this one in time."""
    clock = asyncio.get_running_loop().clock

    async def begin():
        task = asyncio.create_task(Timeout(30.0, clock=clock).acall(asyncio.sleep, 60))
        await asyncio.sleep(0)
        return task

    task = await Timeout(1.0, clock=clock).acall(begin)
    with pytest.raises(DeadlineExceededError, match="after its 1 s"):
        await task
    assert clock.now() == 1001.0


async def test_outside_of_a_task():
    """A coroutine that a callback drives by hand cannot be cut, and asyncio says so."""
    loop, told = asyncio.get_running_loop(), []

    def drive():
        try:
            Timeout(1.0, clock=loop.clock).acall(asyncio.sleep, 0).send(None)
        except RuntimeError as error:
            told.append(str(error))

    loop.call_soon(drive)
    await asyncio.sleep(0.1)

    assert told == ["Timeout should be used inside a task"]


async def test_coroutine_that_is_thrown_away():
    """A call that nobody awaits to its end is closed without a word, and leaves no entry."""
    loop = asyncio.get_running_loop()
    timeout = Timeout(1.0, clock=loop.clock)
    begun = []

    def begin():
        begun.append(timeout.acall(asyncio.Event().wait))
        begun[0].send(None)

    async def host():
        begin()

    await asyncio.create_task(host())
    begun[0].close()

    assert timeout.lanes.find(id(loop)).live == {}


def test_clock_that_is_not_the_loops():
    """With a clock of its own a policy still cuts in the time of the loop, and shows what is left by its clock."""
    clock = ManualClock()

    async def main():
        loop = asyncio.get_running_loop()
        shown = await Timeout(5.0, clock=clock).acall(look)
        with pytest.raises(DeadlineExceededError):
            await Timeout(5.0, clock=clock).acall(asyncio.sleep, 60)
        return shown, loop.time()

    async def look():
        clock.advance(2)
        return remaining()

    assert run_virtual(main(), clock=ManualClock(start=50.0)) == (3.0, 55.0)


async def test_system_clock_on_a_loop_of_another_time():
    """A policy of the machine's clock keeps to the time of the loop, real or not."""
    loop = asyncio.get_running_loop()
    with pytest.raises(DeadlineExceededError):
        await Timeout(3600.0).acall(asyncio.sleep, 7200)

    assert loop.time() == 1000.0 + 3600.0


def test_lanes_of_closed_loops_are_let_go():
    """A new loop's lane takes the place of those whose loops are closed."""
    timeout, loops = Timeout(1.0), []
    for _ in range(3):
        loops.append(VirtualLoop())
        with asyncio.Runner(loop_factory=lambda: loops[-1]) as runner:
            runner.run(timeout.acall(asyncio.sleep, 0))

    assert [timeout.lanes.find(id(loop)) is not None for loop in loops] == [False, False, True]
