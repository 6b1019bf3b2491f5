"""What a pipeline counts and times: every call, of every shape, by how it ended."""

import asyncio
import threading
from concurrent.futures import Future

import pytest

from outlast.engines.calls import LUMP
from outlast.errors import BulkheadFullError
from outlast.policies import Bulkhead, CircuitBreaker, Pipeline, Retry, Timeout


def pipeline(face, *policies):
    """Make a pipeline whose clock the scenario moves."""
    return Pipeline("p", *policies, clock=face.clock, registry=face.registry)


def counts(pipe):
    """Return the counts as a tuple: success, failure, timed out, rejected, cancelled."""
    calls = pipe.snapshot().calls
    return calls.success, calls.failure, calls.timed_out, calls.rejected, calls.cancelled


def test_successes_are_timed(face):
    """Three calls of 10 ms and one of 2 s show in the quantiles."""
    pipe = pipeline(face, Retry(**face.around))
    for seconds in (0.01, 0.01, 0.01, 2.0):
        assert face.call(pipe, face.slow(seconds, "fine")) == "fine"

    latencies = pipe.snapshot().calls.latencies
    assert counts(pipe) == (4, 0, 0, 0, 0)
    assert latencies.quantile(0.5) == pytest.approx(0.01, rel=1 / 16)
    assert latencies.quantile(1.0) == pytest.approx(2.0, rel=1 / 16)


def test_the_time_is_that_of_the_whole_call(face):
    """The waits between attempts belong to it."""
    pipe = pipeline(face, Retry(2, backoff=5.0, **face.around))
    fn, script = face.scripted(ConnectionError("down"), "fine")

    assert face.call(pipe, fn) == "fine"
    assert script.calls == 2
    assert pipe.snapshot().calls.latencies.quantile(0.0) == pytest.approx(5.0, rel=1 / 16)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("bad"), (0, 1, 0, 0, 0)),
        (BulkheadFullError("full"), (0, 0, 0, 1, 0)),
        (KeyboardInterrupt(), (0, 0, 0, 0, 1)),
    ],
    ids=["failure", "rejected", "interrupted"],
)
def test_what_raises_is_counted_by_what_it_raises(face, error, expected):
    """Errors, rejections and interruptions are counted apart, and are not timed."""
    pipe = pipeline(face)
    fn, _ = face.scripted(error)

    with pytest.raises(type(error)):
        face.call(pipe, fn)

    assert counts(pipe) == expected
    assert pipe.snapshot().calls.latencies.calls == 0


def test_a_limit_of_time_is_counted(face):
    """A call that ran out of time is no usual failure."""
    pipe = pipeline(face, Timeout(1.0, mode="cooperative", **face.around))

    with pytest.raises(TimeoutError):
        face.call(pipe, face.slow(3.0))

    assert counts(pipe) == (0, 0, 1, 0, 0)


def test_a_rejection_is_counted(face):
    """A call that an open circuit refuses is counted as rejected."""
    breaker = CircuitBreaker(**face.around)
    pipe = pipeline(face, breaker)
    breaker.force_open()

    with pytest.raises(Exception, match="is open"):
        face.call(pipe, face.function(lambda: None))

    assert counts(pipe) == (0, 0, 0, 1, 0)


def test_blocks_are_counted(face):
    """A guarded block is a call: timed when it ends well, counted by its error when not."""
    pipe = pipeline(face, Bulkhead(1, **face.around))

    face.block(pipe.guard(), lambda _: face.clock.advance(0.5))
    with pytest.raises(ValueError, match="bad"):
        face.block(pipe.guard(), lambda _: (_ for _ in ()).throw(ValueError("bad")))

    assert counts(pipe) == (1, 1, 0, 0, 0)
    assert pipe.snapshot().calls.latencies.quantile(0.5) == pytest.approx(0.5, rel=1 / 16)


def test_streams_are_counted_and_not_timed(face):
    """A stream that ends, or that its reader closes, is a success; one that breaks off is a failure."""
    pipe = pipeline(face, Retry(1, **face.around))

    assert face.take(pipe(face.generator("a", "b"))) == ["a", "b"]
    assert face.take(pipe(face.generator("a", "b")), most=1) == ["a"]
    with pytest.raises(OSError, match="broke"):
        face.take(pipe(face.generator("a", OSError("broke"))))

    assert counts(pipe) == (2, 1, 0, 0, 0)
    assert pipe.snapshot().calls.latencies.calls == 0


def test_many_calls_are_sorted_while_they_come(face):
    """A long log is sorted by the calls themselves, blocks included, so that it never grows."""
    pipe = pipeline(face)
    fn = pipe(face.function(lambda: "fine"))
    for _ in range(LUMP + 10):
        face.run(fn)
    lengths = {len(pipe._meter.engine.log)}
    for _ in range(LUMP + 10):
        face.block(pipe.guard(), lambda _: None)
    lengths.add(len(pipe._meter.engine.log))

    assert max(lengths) < LUMP
    assert counts(pipe) == (2 * LUMP + 20, 0, 0, 0, 0)


async def test_a_cancelled_call_is_counted():
    """A call whose task is cancelled is neither a success nor a failure."""
    pipe = Pipeline("cancelled")
    task = asyncio.create_task(pipe.acall(asyncio.sleep, 10.0))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert counts(pipe) == (0, 0, 0, 0, 1)


async def test_an_awaitable_of_a_plain_function_is_timed_to_its_end():
    """The coroutine that a lambda returns is the call, and not its making."""
    pipe = Pipeline("awaitable", clock=(clock := LoopClock()))
    call = pipe(lambda: asyncio.sleep(3.0, "fine"))

    assert await call() == "fine"
    assert pipe.snapshot().calls.latencies.quantile(0.5) == pytest.approx(3.0, rel=1 / 16)
    assert clock.now() >= 3.0


class LoopClock:
    """The time of the running loop."""

    def now(self):
        """Return it."""
        return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (lambda future: future.set_result("fine"), (1, 0, 0, 0, 0)),
        (lambda future: future.set_exception(OSError("down")), (0, 1, 0, 0, 0)),
        (lambda future: future.cancel(), (0, 0, 0, 0, 1)),
    ],
    ids=["result", "error", "cancelled"],
)
def test_a_future_is_counted_when_it_is_done(end, expected):
    """A future is handed on as it is, and counted when it is done."""
    pipe, future = Pipeline("futures"), AwaitableFuture()

    assert pipe.call(lambda: future) is future
    assert counts(pipe) == (0, 0, 0, 0, 0)
    end(future)

    assert counts(pipe) == expected


class AwaitableFuture(Future):
    """A future that threads end and that tasks may await."""

    def __await__(self):
        """Wait for it."""
        return asyncio.wrap_future(self).__await__()


def test_threads_lose_no_call():
    """Calls of eight threads are all counted and timed."""
    pipe = Pipeline("threads", Retry(), CircuitBreaker(), Bulkhead(100))
    fn = pipe(lambda: None)
    crowd = [threading.Thread(target=lambda: [fn() for _ in range(3000)]) for _ in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()

    stats = pipe.snapshot().calls
    assert (stats.success, stats.latencies.calls, stats.calls) == (24_000, 24_000, 24_000)


def test_a_fresh_one_counts_anew():
    """What `fresh` gives has counts of its own, and the same clock."""
    first = Pipeline("first", clock=(clock := LoopClock()))
    second = first.fresh("key")

    assert second.snapshot().calls.calls == 0
    assert second._meter.now == clock.now
