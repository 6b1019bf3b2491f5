"""Settings of a bulkhead and priorities: nonsense, changes while calls wait, and what it tells about itself."""

import asyncio
import contextvars

import pytest
from bulkheads import hold, make, release, until_queued

from outlast.engines.worst import Worst
from outlast.errors import ConfigError, DuplicateNameError
from outlast.events import PolicyReconfigured
from outlast.policies import Bulkhead, current_priority, priority


async def test_reconfigure():
    """More slots let those who wait run; fewer take effect as calls end; nobody loses a place."""
    clock = asyncio.get_running_loop().clock
    bulkhead, ran = Bulkhead(1, clock=clock), []

    @bulkhead
    async def work(number):
        ran.append(number)
        await asyncio.sleep(1.0)

    tasks = [asyncio.create_task(work(number)) for number in range(6)]
    await until_queued(bulkhead, 5)
    bulkhead.reconfigure(max_concurrent=3)
    await asyncio.sleep(0.5)
    assert ran == [0, 1, 2]
    bulkhead.reconfigure(max_concurrent=1, order="lifo")
    await asyncio.sleep(1.0)
    assert ran == [0, 1, 2, 5]
    await asyncio.gather(*tasks)

    assert ran == [0, 1, 2, 5, 4, 3]
    assert bulkhead.snapshot().running == 0
    assert bulkhead.settings()["max_concurrent"] == 1


def test_reconfigure_refuses(face):
    """Unknown settings, nonsense and what cannot change are refused, and nothing changes."""
    bulkhead = make(face, 3)
    with pytest.raises(ConfigError, match="did you mean max_wait"):
        bulkhead.reconfigure(max_wai=3)
    with pytest.raises(ConfigError, match="max_concurrent"):
        bulkhead.reconfigure(max_wait=1.0, max_concurrent=0)
    with pytest.raises(ConfigError, match="cannot change priority"):
        bulkhead.reconfigure(priority=len)

    assert bulkhead.settings()["max_wait"] is None
    bulkhead.reconfigure(max_wait=1.0)
    assert face.seen.last(PolicyReconfigured).settings == ("max_wait",)


def test_it_tells_about_itself(face):
    """Name, description, worst case, settings and state can be read."""
    bulkhead = make(face, 5, max_wait=2.0, name="db", registry=face.registry)
    hold(bulkhead)

    assert face.registry.get("bulkhead", "db") is bulkhead
    with pytest.raises(DuplicateNameError):
        make(face, name="db", registry=face.registry)
    assert bulkhead.describe() == "bulkhead 'db': 5 calls at once, 20 waiting up to 2 s (fifo)"
    assert bulkhead.worst(Worst(3.0, 2)) == Worst(5.0, 2)
    assert make(face).worst(Worst(3.0, 2)) == Worst(float("inf"), 2)
    assert repr(bulkhead).startswith("Bulkhead('db', SlotsConfig(max_concurrent=5")
    assert (bulkhead.idle(), make(face).idle(), make(face).name) == (False, True, "bulkhead")


def test_priority_is_carried_by_context():
    """The priority of a block holds in it alone, and wherever its context is copied to."""
    with priority(7):
        context = contextvars.copy_context()
    assert (current_priority(), context.run(current_priority)) == (0, 7)


@pytest.mark.parametrize("level", [None, float("nan"), "high"], ids=repr)
def test_a_priority_is_a_number(face, level):
    """A level that is no number is refused where it is given, and leaves no slot or place behind."""
    with pytest.raises(ConfigError, match="priority"), priority(level):
        pass
    bulkhead = make(face, order="priority", priority=lambda *_: level)
    guard = hold(bulkhead)
    fn, _ = face.scripted("fine")
    with pytest.raises(ConfigError, match="priority"):
        face.call(bulkhead, fn)
    release(guard)

    assert (bulkhead.snapshot().running, bulkhead.queue_depth) == (0, 0)


def test_one_for_each_key(face):
    """A fresh one has the same settings, and slots of its own."""
    bulkhead = make(face, name="db", registry=face.registry)
    hold(bulkhead)
    fresh = bulkhead.fresh("eu")

    assert (fresh.name, fresh.settings(), fresh.idle()) == ("db[eu]", bulkhead.settings(), True)


@pytest.mark.parametrize("options", [{"max_concurrent": 0}, {"max_waiting": -1}, {"order": "size"}], ids=repr)
def test_nonsense_is_refused(options):
    """A bulkhead that lets nothing in is refused."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        Bulkhead(**options)
