import asyncio

import pytest

from outlast.errors import ConfigError, DeadlineExceededError, Outcome
from outlast.events import CallTimedOut, EventBus
from outlast.policies import deadline, remaining
from outlast.testing import ManualClock, Recorder, run_virtual


def within(face, seconds, body):
    """Run a body under a deadline; in async code the body may be a coroutine."""
    return face.block(deadline(seconds, **face.around), lambda _: body())


def test_without_one_nothing_remains_to_be_said():
    """Outside of a deadline there is no limit."""
    assert remaining() is None


def test_remaining_counts_down(face):
    """What remains shrinks with the clock, never below nothing, and is gone with the block."""

    def look():
        before = remaining()
        face.clock.advance(0.5)
        return before, remaining()

    assert within(face, 2.0, look) == (2.0, 1.5)
    assert remaining() is None


def test_nested_ones_only_shrink(face):
    """Inside a deadline a longer one changes nothing and a shorter one holds."""

    def nest():
        with deadline(10.0, clock=face.clock):
            longer = remaining()
        with deadline(1.0, clock=face.clock):
            shorter = remaining()
        return longer, shorter, remaining()

    assert within(face, 2.0, nest) == (2.0, 1.0, 2.0)


def test_sync_block_is_cooperative():
    """A plain block that comes too late is not cut and does not raise; what it calls can see it."""
    clock = ManualClock()
    with deadline(1.0, clock=clock):
        clock.advance(5)
        left = remaining()

    assert left == 0.0


async def test_async_block_is_cancelled_in_time():
    """An async block is cancelled when its time is over, and raises our error, which is a TimeoutError."""
    loop = asyncio.get_running_loop()
    before = loop.time()

    with pytest.raises(DeadlineExceededError, match="cancelled after its 2 s") as caught:
        async with deadline(2.0, clock=loop.clock):
            await asyncio.sleep(60)

    assert isinstance(caught.value, TimeoutError)
    assert (loop.time() - before, caught.value.outcome) == (2.0, Outcome.IN_DOUBT)
    assert asyncio.current_task().cancelling() == 0


async def test_users_timeout_error_passes():
    """A TimeoutError of the block's own code is not taken for the deadline's."""
    with pytest.raises(TimeoutError) as caught:
        async with deadline(2.0):
            raise TimeoutError("mine")

    assert type(caught.value) is TimeoutError


async def test_outer_cancellation_passes():
    """Cancelling the task from outside stays a cancellation, and the limit is gone."""
    entered = asyncio.Event()

    async def work():
        async with deadline(60.0):
            entered.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_two_that_end_together():
    """When an inner and an outer limit end at the same moment, one error comes out and no cancellation is left."""
    clock = asyncio.get_running_loop().clock
    with pytest.raises(DeadlineExceededError):
        async with deadline(1.0, clock=clock), deadline(5.0, clock=clock):
            await asyncio.sleep(60)

    assert asyncio.current_task().cancelling() == 0


async def test_tasks_inherit_it():
    """A task that the block starts has the same limit."""
    clock = asyncio.get_running_loop().clock

    async def look():
        return remaining()

    async with deadline(2.0, clock=clock):
        assert await asyncio.create_task(look()) == 2.0


async def test_it_ends_with_its_block():
    """A task that outlives the block is not limited by it any more, but still by a deadline further out."""
    clock, go_on = asyncio.get_running_loop().clock, asyncio.Event()

    async def straggle():
        await go_on.wait()
        return remaining()

    async with deadline(100.0, clock=clock):
        async with deadline(2.0, clock=clock):
            task = asyncio.create_task(straggle())
        go_on.set()
        assert await task == 100.0


def test_no_time_left_refuses_to_start(face):
    """Where no time is left nothing is run, and the error says that nothing happened."""

    def nest():
        with deadline(2.0, clock=face.clock):
            face.clock.advance(3)
            with deadline(1.0, clock=face.clock):
                pytest.fail("ran")

    with pytest.raises(DeadlineExceededError, match="not started") as caught:
        face.run(face.function(nest))

    assert caught.value.outcome is Outcome.NOT_APPLIED


def test_zero_is_over_at_once(face):
    """A deadline of no seconds refuses at once."""
    with pytest.raises(DeadlineExceededError):
        within(face, 0.0, lambda: pytest.fail("ran"))


@pytest.mark.parametrize("seconds", [-1, float("nan"), "2", True], ids=repr)
def test_nonsense_is_refused(seconds):
    """What is no number of seconds is refused."""
    with pytest.raises(ConfigError, match="seconds"):
        deadline(seconds)


def test_it_serves_one_block():
    """One object is for one block."""
    limit = deadline(1.0)
    with limit:
        pass

    with pytest.raises(ConfigError, match="one block only"), limit:
        pass


async def test_leaving_without_entering():
    """An exit without an entry does nothing."""
    await deadline(1.0).__aexit__(None, None, None)


async def test_event():
    """An expired deadline is an event."""
    bus, clock = EventBus(), asyncio.get_running_loop().clock
    with Recorder(bus) as seen, pytest.raises(DeadlineExceededError):
        async with deadline(1.0, clock=clock, bus=bus):
            await asyncio.sleep(5)

    assert seen.events == [CallTimedOut(source="deadline", at=1001.0, limit=1.0)]


def test_run_virtual_with_its_own_clock():
    """The deadline of the machine's clock works on any loop, too."""

    async def main():
        async with deadline(3600.0):
            return remaining()

    assert run_virtual(main()) == pytest.approx(3600.0, abs=1.0)
