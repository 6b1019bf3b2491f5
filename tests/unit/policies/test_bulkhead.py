"""What holds a slot and for how long, and what a call without one gets."""

import asyncio

import pytest
from bulkheads import hold, make

from outlast.errors import BulkheadFullError, ConfigError, DeadlineExceededError
from outlast.events import CallRejected
from outlast.policies import Bulkhead, deadline


def test_calls_pass(face):
    """Arguments reach the function, its result comes back, and so does the slot."""
    bulkhead = make(face)
    fn = face.function(lambda *args, **kwargs: (args, kwargs, bulkhead.snapshot().running))

    assert face.call(bulkhead, fn, 1, two=2) == ((1,), {"two": 2}, 1)
    assert bulkhead.snapshot().running == 0


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()], ids=repr)
def test_errors_pass_and_give_the_slot_back(face, error):
    """Whatever the call raises is what the caller gets, and the slot comes back."""
    bulkhead = make(face)
    fn, _ = face.scripted(error)

    with pytest.raises(type(error)):
        face.call(bulkhead, fn)

    assert bulkhead.snapshot().running == 0


def test_full(face):
    """Without a place to wait a call is refused at once and says by whom."""
    bulkhead = make(face, max_waiting=0, name="db", registry=face.registry)
    hold(bulkhead)
    fn, script = face.scripted("fine")

    with pytest.raises(BulkheadFullError, match="db is full: 1 calls are running and 0 waiting") as caught:
        face.call(bulkhead, fn)

    assert script.calls == 0
    assert (caught.value.operation, caught.value.timestamp, caught.value.retry_after) == ("db", 1.7e9, None)
    assert caught.value.__suppress_context__
    assert [event.source for event in face.seen.of(CallRejected)] == ["db"]
    assert bulkhead.snapshot().rejected == 1


def test_waiting_in_vain(face):
    """A call waits no longer than it may, and leaves the queue."""
    bulkhead = make(face, max_wait=5.0)
    hold(bulkhead)
    fn, _ = face.scripted("fine")

    with pytest.raises(BulkheadFullError, match="no slot came free"):
        face.call(bulkhead, fn)

    assert face.clock.now() == 1005.0
    assert (bulkhead.queue_depth, bulkhead.snapshot().rejected, bulkhead.snapshot().running) == (0, 1, 1)


def test_deadline_ends_the_wait(face):
    """A wait ends with the deadline in force, and without time left it does not begin."""
    bulkhead = make(face, max_wait=50.0)
    hold(bulkhead)
    fn, script = face.scripted("fine")
    # In async code the deadline cancels the call at the same moment; which of the two is first is left open.
    with pytest.raises((BulkheadFullError, DeadlineExceededError)):
        face.within(2.0, bulkhead, fn)
    assert face.clock.now() == 1002.0
    late = bulkhead(face.function(lambda: None))

    def sync():
        with deadline(1.0, clock=face.clock):
            face.clock.advance(1.0)
            late()

    async def coro():
        with deadline(1.0, clock=face.clock):
            face.clock.advance(1.0)
            await late()

    with pytest.raises(BulkheadFullError, match="cannot wait long enough"):
        face.run(coro if face.colour == "async" else sync)
    assert script.calls == 0


def test_guard(face):
    """A block holds a slot; a guard serves one block."""
    bulkhead = make(face, 4)
    guard = bulkhead.guard()

    assert face.block(guard, lambda _: bulkhead.utilisation) == 0.25
    assert bulkhead.utilisation == 0
    with pytest.raises(ConfigError, match="one block only"):
        face.block(guard, lambda _: None)
    assert bulkhead.utilisation == 0


def test_full_guard(face):
    """A block is refused as a call is."""
    bulkhead = make(face, max_wait=1.0)
    hold(bulkhead)

    with pytest.raises(BulkheadFullError):
        face.block(bulkhead.guard(), lambda _: None)
    assert bulkhead.snapshot().running == 1


def test_streams_hold_their_slot(face):
    """A stream has its slot from its first item to its end, or until it is closed early."""
    bulkhead = make(face, 2)
    running = []

    def note(item):
        running.append(bulkhead.snapshot().running)
        return item

    stream = bulkhead(face.generator(1, 2, 3))
    if face.colour == "sync":
        items = stream()
        assert bulkhead.snapshot().running == 0
        [note(item) for item in items]
    else:

        async def read():
            async for item in stream():
                note(item)

        face.run(read)
    assert running == [1, 1, 1]
    assert bulkhead.snapshot().running == 0

    assert face.take(bulkhead(face.generator(1, 2, 3)), 2) == [1, 2]
    assert bulkhead.snapshot().running == 0
    with pytest.raises(OSError, match="broken"):
        face.take(bulkhead(face.generator(1, OSError("broken"))))
    assert bulkhead.snapshot().running == 0


async def test_returned_coroutine_holds_a_slot_while_awaited():
    """What a plain function returns to be awaited runs in a slot too, and one that is dropped takes none."""
    bulkhead = Bulkhead(1, max_waiting=0)

    async def work():
        await asyncio.sleep(1.0)
        return bulkhead.snapshot().running

    lazy = bulkhead(lambda: work())  # noqa: PLW0108 - a function that does not say that it is async
    assert await lazy() == 1
    inner = work()
    dropped = bulkhead.call(lambda: inner)
    assert bulkhead.snapshot().running == 0
    dropped.close()
    inner.close()
    assert bulkhead.snapshot().running == 0


async def test_returned_future_holds_the_slot_until_done():
    """A future that a plain function returns is handed on as it is, and the slot comes back when it is done."""
    bulkhead = Bulkhead(1)
    future = asyncio.get_running_loop().create_future()

    assert bulkhead.call(lambda: future) is future
    assert bulkhead.snapshot().running == 1
    future.set_result(None)
    await asyncio.sleep(0)
    assert bulkhead.snapshot().running == 0
