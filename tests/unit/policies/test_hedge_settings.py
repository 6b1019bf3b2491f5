"""What can be hedged and how, and what a hedge tells about itself."""

import asyncio
import contextvars
import itertools
import math
import threading

import pytest
from hedging import make

from outlast.engines.hedge import HedgeConfig, HedgeEngine
from outlast.engines.worst import Worst
from outlast.errors import ConfigError, DuplicateNameError
from outlast.policies import Hedge, Timeout, remaining
from outlast.testing import run_virtual


def test_threads_have_the_context():
    """Every thread has its own copy of the caller's context, its deadline included."""
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")
    hedge = Hedge(delay=60.0, idempotent=True)
    limited = Timeout(5.0, mode="cooperative").wrap_sync(
        hedge.wrap_sync(lambda: (variable.get(), remaining() is not None))
    )

    assert limited() == ("set", True)


def returning(fn):
    """Return what a coroutine function gives, without saying so."""
    return fn()


async def test_sync_function_on_a_loop_is_not_hedged():
    """A sync call on an event loop runs in its thread; if what it returns can be awaited, that is hedged."""
    hedge = Hedge(delay=1.0, idempotent=True, clock=asyncio.get_running_loop().clock)
    numbers = itertools.count()

    async def ask():
        number = next(numbers)
        await asyncio.sleep(10 if number == 0 else 0)
        return number

    assert hedge.call(threading.current_thread) is threading.main_thread()
    assert await hedge.call(returning, ask) == 1


def test_sync_function_that_returns_a_coroutine():
    """Off the loop a lambda that returns a coroutine works too."""

    async def ask():
        return "fine"

    hedge = Hedge(delay=60.0, idempotent=True)
    assert run_virtual(hedge.call(returning, ask)) == "fine"


def test_streams_and_blocks_are_refused(face):
    """Neither a stream nor a block can be raced."""
    with pytest.raises(ConfigError, match="stream"):
        make(face)(face.generator(1))
    with pytest.raises(ConfigError, match="run its call again"):
        make(face).guard()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"idempotent": False}, "idempotent=True"),
        ({"idempotent": 1}, "idempotent=True"),
        ({"delay": 1.0, "quantile": 0.9}, "not both"),
        ({"delay": -1.0}, "delay"),
        ({"delay": math.nan}, "delay"),
        ({"quantile": 1.0}, "quantile"),
        ({"quantile": 0.0}, "quantile"),
        ({"floor": 2.0, "ceiling": 1.0}, "floor"),
        ({"floor": -1.0}, "floor"),
        ({"min_samples": 0}, "min_samples"),
        ({"memory": True}, "memory"),
        ({"max_hedges": 0}, "max_hedges"),
        ({"max_abandoned": 0}, "max_abandoned"),
        ({"targets": []}, "targets"),
    ],
)
def test_wrong_settings(options, words):
    """What makes no sense is refused when it is made, with the name of the setting."""
    with pytest.raises(ConfigError, match=words):
        Hedge(**{"idempotent": True, **options})


def test_reconfigure(face):
    """Settings change for later calls, what was learnt stays; a wrong one changes nothing."""
    hedge = make(face, delay=60.0)
    face.succeed(hedge, 3)

    hedge.reconfigure(delay=None, min_samples=3, floor=0.0, max_hedges=2)
    assert hedge.snapshot().delay < 1.0
    assert hedge.snapshot().samples == 3
    assert hedge.settings()["max_hedges"] == 2
    for wrong in ({"max_hedges": 0}, {"delays": 1.0}):
        with pytest.raises(ConfigError):
            hedge.reconfigure(**wrong)
    hedge.reconfigure(quantile=None)
    assert hedge.describe().endswith("after the p95 of recent calls")
    hedge.reconfigure(memory=7)
    assert hedge.snapshot().samples == 0


def test_names(face):
    """A hedge with a name is registered; without one it is called after itself."""
    hedge = make(face, name="load", registry=face.registry)

    assert face.registry.get("hedge", "load") is hedge
    assert (hedge.name, make(face).name) == ("load", "hedge")
    with pytest.raises(DuplicateNameError):
        make(face, name="load", registry=face.registry)


def test_what_it_tells(face):
    """One line says what it does, repr the whole state, and worst bounds a call."""
    fixed, live = make(face, delay=0.5, max_hedges=2), make(face, delay=None, quantile=0.99)

    assert fixed.describe() == "hedge 'hedge': up to 2 more after 0.5 s"
    assert live.describe() == "hedge 'hedge': up to 1 more after the p99 of recent calls"
    assert "max_hedges=2" in repr(fixed)
    assert "calls=0" in repr(fixed)
    assert fixed.worst(Worst(2.0, 1)) == Worst(3.0, 3)
    assert live.worst(Worst(2.0, 4)) == Worst(4.0, 8)
    assert fixed.worst(Worst(math.inf, 1)) == Worst(math.inf, 3)


def test_delay_follows_the_quantile():
    """The delay is the ceiling until enough is known, then the quantile between floor and ceiling."""
    engine = HedgeEngine(HedgeConfig(min_samples=10, floor=0.05, ceiling=2.0))

    def learn(seconds, times=1):
        for _ in range(times):
            race = engine.begin(0.0)
            race.won(0)
            engine.end(race, seconds)

    learn(0.1, 9)
    assert engine.delay() == 2.0
    learn(0.1)
    assert 0.1 < engine.delay() <= 0.1 * 17 / 16
    learn(0.001, 2000)
    assert engine.delay() == 0.05
    learn(50.0, 2000)
    assert engine.delay() == 2.0
