"""Callers that leave a flight early, by a cancellation, an interrupt or a deadline."""

import asyncio
import contextlib
import threading

import pytest
from flights import by_first

from outlast.errors import DeadlineExceededError
from outlast.policies import SingleFlight, deadline


async def test_a_cancelled_caller_leaves():
    """Whoever is cancelled, the first caller too, leaves the others their result."""
    calls = []

    async def work(key):
        calls.append(key)
        await asyncio.sleep(10)
        return key

    flight = SingleFlight(key=by_first)
    tasks = [asyncio.create_task(flight.acall(work, 1)) for _ in range(3)]
    await asyncio.sleep(1)
    tasks[0].cancel()
    await asyncio.sleep(1)
    tasks[2].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(result) for result in results] == [asyncio.CancelledError, int, asyncio.CancelledError]
    assert calls == [1]
    assert flight.snapshot().waiting == 0


async def test_the_last_to_leave_ends_the_work():
    """When nobody waits any more the work is cancelled, and has ended before the last caller goes on."""
    log = []

    async def work(key):
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(5)
            log.append("ended")

    async def caller():
        try:
            await flight.acall(work, 1)
        finally:
            log.append("gone")

    flight = SingleFlight(key=by_first)
    tasks = [asyncio.create_task(caller()) for _ in range(2)]
    await asyncio.sleep(1)
    for task in tasks:
        task.cancel()
    await asyncio.sleep(1)
    assert log == ["gone"]
    assert flight.snapshot().flying == 0
    again = asyncio.create_task(flight.acall(asyncio.sleep, 1, "new"))
    await asyncio.gather(*tasks, return_exceptions=True)

    assert log == ["gone", "ended", "gone"]
    assert await again == "new"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancelled_before_it_began():
    """A caller that is cancelled before its work began leaves nothing behind."""
    flight = SingleFlight(key=by_first)
    task = asyncio.create_task(flight.acall(asyncio.sleep, 5))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert flight.idle()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_work_that_cancels_itself():
    """Work that ends as cancelled ends so for all who wait, and is over."""

    async def work(key):
        await asyncio.sleep(1)
        raise asyncio.CancelledError

    flight = SingleFlight(key=by_first)
    results = await asyncio.gather(*(flight.acall(work, 1) for _ in range(2)), return_exceptions=True)

    assert [type(result) for result in results] == [asyncio.CancelledError] * 2
    assert flight.idle()


async def test_cancel_storm():
    """Any number of callers, cancelled at any moment, leave no task, no waiter and no wrong result."""
    loop, running = asyncio.get_running_loop(), []

    async def work(key):
        assert key not in running
        running.append(key)
        try:
            await asyncio.sleep((key * 3 % 7) / 10)
        finally:
            running.remove(key)
        if key == 4:
            raise OSError
        return key

    async def late(number):
        await asyncio.sleep((number % 13) / 10)
        return await flight.acall(work, number % 6)

    flight = SingleFlight(key=by_first)
    tasks = [asyncio.create_task(late(number)) for number in range(300)]
    for number, task in enumerate(tasks):
        if number % 2:
            loop.call_later((number % 17) / 10, task.cancel)
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(result == number % 6 for number, result in enumerate(results) if isinstance(result, int))
    assert {type(result) for result in results} == {int, OSError, asyncio.CancelledError}
    assert flight.idle()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_thread_storm():
    """Threads that call at random get the right results, and nothing is left under way."""
    flight, wrong = SingleFlight(key=by_first), []

    def call(number):
        for turn in range(50):
            key = (number * turn) % 5
            if flight.call(lambda key: (key, object()), key)[0] != key:
                wrong.append(key)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    shot = flight.snapshot()
    assert wrong == []
    assert shot.started + shot.joined == 400
    assert flight.idle()


def test_an_interrupted_leader_is_replaced():
    """When the thread that does the work is interrupted, another of the callers starts anew."""
    flight, results, begun = SingleFlight(key=by_first), [], threading.Event()
    go, calls = threading.Event(), []

    def work(key):
        calls.append(key)
        begun.set()
        go.wait(10)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return key

    def lead():
        with contextlib.suppress(KeyboardInterrupt):
            flight.call(work, 1)

    threads = [threading.Thread(target=lead), threading.Thread(target=lambda: results.append(flight.call(work, 1)))]
    threads[0].start()
    begun.wait(10)
    threads[1].start()
    while flight.snapshot().waiting < 2:
        pass
    go.set()
    for thread in threads:
        thread.join(10)

    assert (results, len(calls)) == ([1], 2)
    assert flight.idle()


def test_a_follower_has_a_deadline():
    """A thread that waits for another's work does not wait beyond its own deadline."""
    flight, go = SingleFlight(key=by_first), threading.Event()
    leader = threading.Thread(target=lambda: flight.call(lambda key: go.wait(10), 1))
    leader.start()
    while not flight.snapshot().flying:
        pass

    with deadline(0.01), pytest.raises(DeadlineExceededError, match="another caller"):
        flight.call(lambda key: None, 1)

    assert flight.snapshot().waiting == 1
    go.set()
    leader.join(10)
    assert flight.idle()
