"""Laws of the counts and latencies of calls, against the plain list of them."""

import math
import sys
import threading
from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import given

from outlast.engines.calls import LUMP, CallsEngine, Ending, Latencies

SECONDS = st.floats(1e-9, 1e6) | st.sampled_from([1.0, 2.0, 0.5, 0.25, 1e-3])
SHARES = st.floats(0.0, 1.0)


def sorted_in(samples):
    """Return the latencies of an engine that was given samples."""
    engine = CallsEngine()
    engine.log += samples
    return engine.snapshot().latencies


@given(samples=st.lists(SECONDS, min_size=1, max_size=200), share=st.floats(0.001, 1.0))
def test_a_quantile_is_near_and_above(samples, share):
    """A quantile lies above the exact one, by a sixteenth at most."""
    exact = sorted(samples)[max(0, math.ceil(share * len(samples) - 1e-9) - 1)]

    assert exact < sorted_in(samples).quantile(share) <= exact * (1 + 1 / 16) * (1 + 1e-12)


@given(samples=st.lists(SECONDS), shares=st.tuples(SHARES, SHARES))
def test_quantiles_rise(samples, shares):
    """A larger share has a larger quantile, or the same."""
    latencies = sorted_in(samples)

    assert latencies.quantile(min(shares)) <= latencies.quantile(max(shares))


@given(samples=st.lists(SECONDS))
def test_buckets_add_up(samples):
    """The buckets rise, each tells how many samples lie below its end, and the last one has them all."""
    buckets = sorted_in(samples).buckets

    assert [count for _, count in buckets] == [sum(each < edge for each in samples) for edge, _ in buckets]
    assert (buckets[-1][1] if buckets else 0) == len(samples)


@given(seconds=st.floats(max_value=1e300, allow_nan=False, allow_infinity=False))
def test_any_length_is_counted(seconds):
    """Whatever a clock gives is counted, and quantiles are at least a nanosecond; what is below zero counts as it."""
    latencies = sorted_in([seconds] * 3)

    assert latencies.calls == 3
    assert 1e-9 <= latencies.quantile(0.5) < math.inf
    assert seconds > 0 or latencies.quantile(1.0) == 1e-9


@given(
    first=st.lists(SECONDS | st.sampled_from(Ending)),
    then=st.lists(SECONDS | st.sampled_from(Ending)),
)
def test_the_difference_of_two_states_is_what_came_between(first, then):
    """`since` gives what an engine shows that was given only the later calls; folding in between changes nothing."""
    engine, other = CallsEngine(), CallsEngine()
    play(engine, first)
    before = engine.snapshot()
    play(engine, then)
    play(other, then)

    assert engine.snapshot().since(before) == other.snapshot()
    assert engine.snapshot().calls == len(first) + len(then)


def play(engine, calls):
    """Give an engine calls: seconds for a success, or how one ended."""
    for each in calls:
        if isinstance(each, Ending):
            engine.end(each)
        else:
            engine.log.append(each)
    if len(calls) % 2:
        engine.fold()


@given(endings=st.lists(st.sampled_from(Ending)))
def test_endings_are_counted_apart(endings):
    """Each ending has its own count."""
    engine = CallsEngine()
    for ending in endings:
        engine.end(ending)
    stats = engine.snapshot()

    assert {ending: getattr(stats, ending) for ending in Ending} == {e: Counter(endings)[e] for e in Ending}


def test_nothing_is_known_at_first():
    """Without calls every quantile is infinite; repr shows what is known."""
    assert Latencies({}).quantile(0.5) == math.inf
    assert repr(sorted_in([1.0])) == "Latencies(calls=1, p50=1.06, p95=1.06, p99=1.06)"


@pytest.fixture
def _hasty():
    """Have threads change places as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hasty")
def test_no_append_is_lost_while_the_log_is_folded():
    """Four threads append while a fifth folds; every call is counted, none twice."""
    engine, each, done = CallsEngine(), 20 * LUMP, threading.Event()
    add = engine.log.append

    def fold():
        while not done.is_set():
            engine.fold()

    folding = threading.Thread(target=fold)
    appending = [threading.Thread(target=lambda: [add(0.001) for _ in range(each)]) for _ in range(4)]
    for thread in (folding, *appending):
        thread.start()
    for thread in appending:
        thread.join()
    done.set()
    folding.join()

    assert engine.snapshot().success == 4 * each
