import asyncio
import contextlib
import gc
import threading
import traceback

import pytest

from outlast.engines import SingleFlightSnapshot
from outlast.errors import ConfigError, DeadlineExceededError, DuplicateNameError
from outlast.events import FlightJoined
from outlast.policies import Pipeline, Retry, SingleFlight, deadline
from outlast.testing import run_virtual


def by_first(first, *args, **kwargs):
    """Take the first argument as the key."""
    return first


class Crowd:
    """Callers at the same time, as threads or as tasks, and work that goes on until it is told how to end."""

    def __init__(self, face):
        self.face = face
        self.is_async = face.colour == "async"
        self.calls, self.ends = [], threading.Event()
        self.outcome = None

    def work(self, key):
        """Work in a thread."""
        self.calls.append(key)
        self.ends.wait(10)
        return self.end(key)

    async def work_async(self, key):
        """Work in a task."""
        self.calls.append(key)
        await asyncio.sleep(1)
        return self.end(key)

    def end(self, key):
        """End the work as told."""
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return [key]

    def run(self, policy, *keys):
        """Call with all keys at once and return what each caller got."""
        if self.is_async:
            return self.face.runner.run(self.tasks(policy, keys))
        results = [None] * len(keys)

        def call(place, key):
            try:
                results[place] = policy.call(self.work, key)
            except Exception as error:
                results[place] = error

        threads = [threading.Thread(target=call, args=item) for item in enumerate(keys)]
        for number, thread in enumerate(threads):
            thread.start()
            while policy.snapshot().waiting <= number:
                pass  # the thread is about to join
        self.ends.set()
        for thread in threads:
            thread.join(10)
        self.ends.clear()
        return results

    async def tasks(self, policy, keys):
        """Call as tasks."""
        return await asyncio.gather(*(policy.acall(self.work_async, key) for key in keys), return_exceptions=True)


def test_equal_calls_share(face):
    """Equal calls at the same time run once and get the same object; others run by themselves."""
    crowd, flight = Crowd(face), SingleFlight(key=by_first, name="users", registry=face.registry, **face.around)

    results = crowd.run(flight, 1, 1, 2, 1)

    assert results == [[1], [1], [2], [1]]
    assert results[0] is results[1] is results[3]
    assert sorted(crowd.calls) == [1, 2]
    assert flight.snapshot() == SingleFlightSnapshot(flying=0, waiting=0, started=2, joined=2)
    assert [(event.source, event.waiting) for event in face.seen.of(FlightJoined)] == [("users", 2), ("users", 3)]
    assert flight.idle()


def test_nothing_is_kept(face):
    """Who calls after the end starts anew, after a failure too."""
    crowd, flight = Crowd(face), SingleFlight(key=by_first, **face.around)

    assert crowd.run(flight, 1) == [[1]]
    crowd.outcome = OSError("down")
    assert crowd.run(flight, 1) == [crowd.outcome]
    assert crowd.calls == [1, 1]


def test_failures_are_shared(face):
    """Everybody gets the same exception, and its traceback does not grow by the callers."""
    crowd, flight = Crowd(face), SingleFlight(key=by_first, **face.around)
    crowd.outcome = OSError("down")

    few = len(traceback.extract_tb(crowd.run(flight, 1, 1)[0].__traceback__))
    crowd.outcome = OSError("down")
    results = crowd.run(flight, *[1] * 8)

    assert all(result is crowd.outcome for result in results)
    assert len(traceback.extract_tb(crowd.outcome.__traceback__)) <= few + 1


def test_it_works_in_a_pipeline(face):
    """What a pipeline wraps anew for each call is shared all the same: the key alone decides."""
    crowd, flight = Crowd(face), SingleFlight(key=by_first, **face.around)
    stack = Pipeline("users", flight, Retry(**face.around), registry=face.registry)
    stack.snapshot = flight.snapshot

    assert crowd.run(stack, 1, 1) == [[1], [1]]
    assert crowd.calls == [1]


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


def test_work_that_calls_itself(face):
    """Work that would wait for itself is refused; another key is fine."""
    flight = SingleFlight(key=by_first, **face.around)

    def sync(key):
        return flight.call(sync, key - 1) if key > 0 else flight.call(sync, key)

    async def coro(key):
        return await flight.acall(coro, key - 1 if key > 0 else key)

    with pytest.raises(ConfigError, match="would never end"):
        face.call(flight, sync if face.colour == "sync" else coro, 2)
    assert flight.idle()


async def test_a_circle_of_two():
    """Two flights that would wait for each other are refused, whichever comes second."""
    flight = SingleFlight(key=by_first)

    async def work(key):
        await asyncio.sleep(1)
        return await flight.acall(work, 1 - key)

    results = await asyncio.gather(flight.acall(work, 0), flight.acall(work, 1), return_exceptions=True)

    assert [type(result) for result in results] == [ConfigError, ConfigError]
    assert flight.idle()


async def test_loops_and_threads_do_not_share():
    """A task of one loop cannot be awaited in another, so each loop runs its own."""
    flight, calls = SingleFlight(key=by_first), []

    async def work(key):
        calls.append(key)
        await asyncio.sleep(1)
        return asyncio.get_running_loop()

    mine = asyncio.create_task(flight.acall(work, 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = []
    thread = threading.Thread(target=lambda: others.append(run_virtual(flight.acall(work, 1))))
    thread.start()
    thread.join(10)

    assert await mine is asyncio.get_running_loop()
    assert others[0] is not asyncio.get_running_loop()
    assert len(calls) == 2


async def test_sync_function_that_returns_a_coroutine():
    """Coroutines that a plain function returns are shared when they are awaited; the others are closed unused."""
    flight, calls = SingleFlight(key=by_first), []

    async def work(key):
        calls.append(key)
        await asyncio.sleep(1)
        return [key]

    def returning(key):
        return work(key)

    results = await asyncio.gather(flight.call(returning, 1), flight.call(returning, 1))

    assert results[0] is results[1]
    assert calls == [1]
    futures = [asyncio.get_running_loop().create_future() for _ in range(2)]
    waiting = [asyncio.create_task(awaiting(flight.call(lambda key, n=n: futures[n], 1))) for n in range(2)]
    await asyncio.sleep(1)
    futures[0].set_result("first")
    assert await asyncio.gather(*waiting) == ["first", "first"]


async def awaiting(awaitable):
    """Await."""
    return await awaitable


def test_nothing_is_kept_of_the_result():
    """Once its callers have let go of a result, it is gone."""

    class Thing:
        pass

    flight = SingleFlight(key=by_first)
    flight.call(lambda key: Thing(), 1)
    gc.collect()

    assert not any(isinstance(thing, Thing) for thing in gc.get_objects())


@pytest.mark.parametrize(("key", "words"), [(None, "function"), ("id", "function")])
def test_a_key_is_needed(key, words):
    """Without a function that names what calls have in common there is no sharing."""
    with pytest.raises(ConfigError, match=words):
        SingleFlight(key=key)
    with pytest.raises(ConfigError, match="key"):
        SingleFlight()


def test_a_key_that_is_none(face):
    """A key that cannot be hashed is refused by name."""
    fn, script = face.scripted("fine")

    with pytest.raises(ConfigError, match="cannot be hashed"):
        face.call(SingleFlight(key=by_first), fn, [])

    assert script.calls == 0


def test_streams_and_blocks_are_refused(face):
    """Neither a stream nor a block can be shared."""
    flight = SingleFlight(key=by_first)

    with pytest.raises(ConfigError, match="one reader"):
        flight(face.generator(1))
    with pytest.raises(ConfigError, match="none to share"):
        flight.guard()


def test_what_it_tells(face):
    """One line says what it does, and repr the state."""
    flight = SingleFlight(key=by_first, name="users", registry=face.registry)

    assert flight.describe() == "single-flight 'users': equal calls at the same time share one execution"
    assert "started=0" in repr(flight)
    assert face.registry.get("single_flight", "users") is flight
    assert SingleFlight(key=by_first).name == "single_flight"
    with pytest.raises(DuplicateNameError):
        SingleFlight(key=by_first, name="users", registry=face.registry)
