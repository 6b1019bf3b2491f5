"""The hedge against the paper that it follows, in virtual time, and laws of a single race.

Source: J. Dean, L. A. Barroso, "The Tail at Scale", 2013: a hedge after the 95th percentile adds about 5 % of load
and cuts the tail.
"""

import asyncio
import itertools
import math
import random

import hypothesis.strategies as st
from hypothesis import given

from outlast.engines.hedge import HedgeConfig, HedgeEngine
from outlast.policies import Hedge
from outlast.testing import run_virtual


def latency(dice):
    """Draw the latency of one call: around 10 ms, and for one in fifty a hiccup of up to a second."""
    return 0.01 * dice.lognormvariate(0, 0.25) + (dice.uniform(0.2, 1.0) if dice.random() < 0.02 else 0.0)


async def play(calls, hedge, dice, at_once=20):
    """Make calls, some at a time, and return how long each took and how often the server was asked."""
    loop, took, asked = asyncio.get_running_loop(), [], itertools.count()

    async def ask():
        next(asked)
        await asyncio.sleep(latency(dice))

    async def client():
        for _ in range(calls // at_once):
            begun = loop.time()
            await (ask() if hedge is None else hedge(loop.clock).acall(ask))
            took.append(loop.time() - begun)

    await asyncio.gather(*(client() for _ in range(at_once)))
    return sorted(took), next(asked)


def simulate(calls=10_000, **options):
    """Return the sorted latencies, the load, and the hedge, of clients that hedge as given."""
    made = []

    def hedge(clock):
        if not made:
            made.append(Hedge(idempotent=True, clock=clock, **options))
        return made[0]

    took, asked = run_virtual(play(calls, hedge if options else None, random.Random(7)))
    return took, asked / calls, made[0] if made else None


def percentile(took, share):
    """Return an exact percentile of a sorted list."""
    return took[math.ceil(share * len(took)) - 1]


def test_the_tail_is_cut_for_a_twentieth_of_load():
    """A hedge at the live 95th percentile cuts the 99th to a tenth, and adds the 5 % of load that the paper says."""
    plain, load_plain, _ = simulate()
    hedged, load, hedge = simulate(quantile=0.95)

    assert load_plain == 1.0
    assert 1.03 < load < 1.07
    assert percentile(hedged, 0.99) < percentile(plain, 0.99) / 10
    assert percentile(hedged, 0.999) < percentile(plain, 0.999) / 2
    assert percentile(hedged, 0.5) < percentile(plain, 0.5) * 1.1
    assert hedge.snapshot().abandoned == 0


def test_the_quantile_does_not_sink():
    """Also in the long run no more than the tail is hedged, although hedging hides the tail from view."""
    _, load, hedge = simulate(calls=20_000, quantile=0.9, memory=500)

    assert 1.08 < load < 1.125
    assert 0.012 < hedge.snapshot().delay < 0.016


def test_a_fixed_delay_hedges_what_is_slower():
    """With a fixed delay exactly those calls are hedged that take longer."""
    took, load, hedge = simulate(delay=0.1)
    shot = hedge.snapshot()

    assert load == 1 + shot.hedges / shot.calls
    assert 1.01 < load < 1.03
    assert percentile(took, 0.999) < 0.1 + 0.03


def test_a_slower_server_is_learnt():
    """When everything becomes slower, the delay follows, and the load comes back to its share."""
    engine = HedgeEngine(HedgeConfig(memory=200))
    dice, shares = random.Random(3), []

    for scale in (1.0, 10.0):
        for _ in range(5):
            hedges = 0
            for _ in range(1000):
                race, first = engine.begin(0.0), latency(dice) * scale
                if (race.wait(0.0) or math.inf) < first:
                    delay = race.wait(0.0)
                    race.hedge(delay)
                    hedges += 1
                    second = delay + latency(dice) * scale
                    race.won(int(second < first))
                    first = min(first, second)
                else:
                    race.won(0)
                engine.end(race, first)
            shares.append(hedges / 1000)

    assert max(shares[1:5]) < 0.08
    assert max(shares[-3:]) < 0.08


@given(
    delay=st.floats(0, 10),
    most=st.integers(1, 4),
    steps=st.lists(st.tuples(st.floats(0, 20), st.sampled_from(["wait", "fail", "refuse"]), st.integers(0, 4))),
)
def test_a_race(delay, most, steps):
    """Hedges are due one delay after the other and never more than allowed; the call fails with its last attempt."""
    engine = HedgeEngine(HedgeConfig(delay=delay, max_hedges=most))
    now, race = 0.0, engine.begin(0.0)
    running, last, refused, over = {0}, 0.0, False, False
    for seconds, what, which in steps:
        if over:
            break
        now += seconds
        wait = race.wait(now)
        assert (wait is None) == (refused or race.hedges == most)
        if what == "wait" and wait is not None:
            assert wait == max(0.0, last + delay - now)
            now += wait
            running.add(race.hedge(now))
            last = now
        elif what == "refuse" and not refused:
            race.refuse()
            refused = True
        elif what == "fail" and which in running:
            running.remove(which)
            over = race.failed(which, OSError(which))
            assert over == (not running)
    assert race.running == len(running)
    engine.end(race, now)
    assert engine.snapshot().samples == 0
    assert engine.snapshot().hedges == race.hedges <= most


@given(winner=st.integers(0, 1), primary_failed=st.booleans(), seconds=st.floats(0.1, 10))
def test_what_is_learnt(winner, primary_failed, seconds):
    """The first attempt's latency is learnt, as far as it is known, unless it failed."""
    engine = HedgeEngine(HedgeConfig(delay=0.0))
    race = engine.begin(5.0)
    race.hedge(5.0)
    if primary_failed:
        race.failed(0, OSError())
    race.won(1 if primary_failed else winner)
    engine.end(race, 5.0 + seconds)

    assert engine.snapshot().samples == (not primary_failed)
    assert engine.snapshot().wins == (winner or primary_failed)
