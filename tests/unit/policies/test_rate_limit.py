import asyncio
import threading

import pytest

from outlast.engines.worst import Worst
from outlast.errors import ConfigError, DuplicateNameError, ThrottledError
from outlast.events import CallRejected, CallWaited, PolicyReconfigured
from outlast.policies import RateLimit
from outlast.testing import ManualClock


def make(face, calls=2, per=1.0, **options):
    """Make a rate limit."""
    return RateLimit(calls, per, **{**face.around, **options})


def test_calls_pass_up_to_the_rate(face):
    """As many calls pass as the rate says; the next is refused and told when to come back."""
    limit = make(face, name="api", registry=face.registry)
    face.succeed(limit, 2)
    fn, script = face.scripted("fine")

    with pytest.raises(ThrottledError, match=r"api: the next turn is 0\.5 s away") as caught:
        face.call(limit, fn)

    assert (caught.value.retry_after, caught.value.operation, script.calls) == (0.5, "api", 0)
    assert [event.retry_after for event in face.seen.of(CallRejected)] == [0.5]
    face.clock.advance(0.5)
    face.succeed(limit)


def test_arguments_and_errors_pass(face):
    """Arguments reach the function; its result and its errors come back."""
    fn = face.function(lambda *args, **kwargs: (args, kwargs))
    assert face.call(make(face), fn, 1, two=2) == ((1,), {"two": 2})
    failing, _ = face.scripted(ValueError("mine"))

    with pytest.raises(ValueError, match="mine"):
        face.call(make(face), failing)


def test_waiting_for_the_turn(face):
    """A call that may wait runs exactly at its turn."""
    limit = make(face, max_wait=2.0)
    moments = [face.call(limit, face.function(face.clock.now)) for _ in range(6)]

    assert moments == [1000.0, 1000.0, 1000.5, 1001.0, 1001.5, 1002.0]
    assert {event.seconds for event in face.seen.of(CallWaited)} == {0.5}


def test_deadline(face):
    """A call whose turn lies beyond the deadline in force is refused at once."""
    limit = make(face, 1, 10.0, max_wait=60.0)
    face.succeed(limit)
    fn, _ = face.scripted("fine")

    with pytest.raises(ThrottledError):
        face.within(5.0, limit, fn)
    assert face.clock.now() == 1000.0
    assert face.within(15.0, limit, fn) == "fine"


def test_cost(face):
    """A call may count for several, by a number or by its arguments; one that can never pass is a mistake."""
    limit = make(face, 8, cost=lambda text: len(text))  # noqa: PLW0108 - a function of the call's arguments
    assert face.call(limit, face.function(len), "seven!!") == 7
    assert limit.snapshot().available == 1
    with pytest.raises(ThrottledError):
        face.call(limit, face.function(len), "four")
    with pytest.raises(ConfigError, match="can never pass"):
        face.call(limit, face.function(len), "eleven chars")
    with pytest.raises(ConfigError, match="can never pass"):
        make(face, 8, cost=11)


async def test_cancelled_waiter_gives_its_place_back():
    """When a task that waits is cancelled those behind it move up."""
    clock = asyncio.get_running_loop().clock
    limit, moments = RateLimit(1, max_wait=9.0, clock=clock), []

    async def work():
        moments.append(clock.now())

    await limit.acall(work)
    tasks = [asyncio.create_task(limit.acall(work)) for _ in range(3)]
    await asyncio.sleep(0.25)
    tasks[1].cancel()
    await asyncio.wait(tasks)

    assert moments == [1000.0, 1001.0, 1002.0]
    assert limit.snapshot().passed == 3


async def test_reconfigure_wakes_those_who_wait():
    """A higher rate lets those who wait go sooner, a lower one later."""
    clock = asyncio.get_running_loop().clock
    limit, moments = RateLimit(1, per=10.0, max_wait=99.0, clock=clock), []

    async def work():
        moments.append(clock.now())

    await limit.acall(work)
    tasks = [asyncio.create_task(limit.acall(work)) for _ in range(2)]
    await asyncio.sleep(5)
    limit.reconfigure(per=2.0)
    await asyncio.sleep(1.5)
    assert moments == [1000.0, 1006.0]
    limit.reconfigure(per=20.0)
    await asyncio.wait(tasks)

    assert moments == [1000.0, 1006.0, 1021.5]
    assert limit.settings()["per"] == 20.0


def test_interrupted_thread_gives_its_place_back():
    """A thread that is interrupted while it waits leaves its place to others."""

    class Interrupting(ManualClock):
        def wait(self, event, seconds):
            raise KeyboardInterrupt

    limit = RateLimit(1, max_wait=5.0, clock=Interrupting())
    limit.wait()
    with pytest.raises(KeyboardInterrupt):
        limit.wait()

    assert (limit.snapshot().waiting, limit.snapshot().passed) == (0, 1)


def test_threads_move_up():
    """A thread that waits is woken when one before it has gone away."""
    clock, moments = ManualClock(start=0.0, auto_advance=False), []
    limit = RateLimit(1, max_wait=9.0, clock=clock)
    limit.wait()
    leaver = limit._ask(0.0, 1.0)
    thread = threading.Thread(target=lambda: (limit.wait(), moments.append(clock.now())))
    thread.start()
    while not clock.sleepers:
        threading.Event().wait(0.001)
    limit._give_back(leaver)
    clock.advance(1.0)
    thread.join()

    assert moments == [1.0]


def test_streams_count_once(face):
    """Opening a stream takes a turn, with its cost; its items take none."""
    limit = make(face, 4, cost=3)

    assert face.take(limit(face.generator(1, 2, 3))) == [1, 2, 3]
    assert limit.snapshot().available == 1
    with pytest.raises(ThrottledError):
        face.take(limit(face.generator(1)))


def test_guard(face):
    """A block takes a turn; it may cost something else."""
    limit = make(face, 4, max_wait=1.0)
    assert face.block(limit.guard(), lambda _: face.clock.now()) == 1000.0
    assert face.block(limit.guard(3), lambda _: limit.snapshot().available) == 0
    assert face.block(limit.guard(2), lambda _: face.clock.now()) == 1000.5
    priced = make(face, 4, cost=len)
    face.block(priced.guard(), lambda _: None)
    assert priced.snapshot().available == 3
    with pytest.raises(ThrottledError):
        face.block(priced.guard(4), lambda _: None)


def test_it_tells_about_itself(face):
    """Name, description, worst case and state can be read; the place in the registry is its own."""
    limit = make(face, 4, max_wait=1.0, name="api", registry=face.registry)

    assert face.registry.get("rate_limit", "api") is limit
    with pytest.raises(DuplicateNameError):
        make(face, name="api", registry=face.registry)
    assert limit.describe() == "rate limit 'api': 4 calls each 1 s, 4 at once, waits up to 1 s"
    assert make(face).describe() == "rate limit 'rate_limit': 2 calls each 1 s, 2 at once"
    assert limit.worst(Worst(3.0)) == Worst(4.0)
    assert limit.idle()
    face.succeed(limit)
    assert not limit.idle()
    assert repr(limit).startswith("RateLimit('api', RateConfig(calls=4")


def test_reconfigure_refuses(face):
    """Unknown settings, nonsense and what cannot change are refused."""
    limit = make(face)
    for settings, words in (({"call": 3}, "calls"), ({"calls": 0}, "calls"), ({"cost": 2}, "cannot change cost")):
        with pytest.raises(ConfigError, match=words):
            limit.reconfigure(**settings)
    limit.reconfigure(burst=5)

    assert face.seen.last(PolicyReconfigured).settings == ("burst",)
