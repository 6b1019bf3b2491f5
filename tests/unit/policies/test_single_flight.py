"""Which calls share one execution and what each caller gets."""

import asyncio
import gc
import threading
import traceback

import pytest
from flights import Crowd, by_first

from outlast.engines import SingleFlightSnapshot
from outlast.errors import ConfigError, DuplicateNameError
from outlast.events import FlightJoined
from outlast.policies import Pipeline, Retry, SingleFlight
from outlast.testing import run_virtual


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


@pytest.mark.parametrize(
    ("options", "words"), [({}, "key"), ({"key": None}, "function"), ({"key": "id"}, "function")], ids=repr
)
def test_a_key_is_needed(options, words):
    """Without a function that names what calls have in common there is no sharing."""
    with pytest.raises(ConfigError, match=words):
        SingleFlight(**options)


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
