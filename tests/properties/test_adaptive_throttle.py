"""The adaptive throttle against its formula, and in virtual time against a backend that can do only so much."""

import random

import hypothesis.strategies as st
import pytest
from hypothesis import given

from outlast.engines.adaptive_throttle import AdaptiveThrottleConfig, AdaptiveThrottleEngine
from outlast.engines.breaker_records import Verdict

CALLS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.3, 1.0, 2.5]), st.integers(-1, 1), st.sampled_from(Verdict), st.floats(0, 0.999)),
    max_size=60,
)


@given(calls=CALLS, k=st.sampled_from([1.0, 1.5, 2.0, 3.0]))
def test_it_is_the_formula(calls, k):
    """Counted by hand over the buckets in the window, the chance is the formula's; over the classes it adds up."""
    engine, now = AdaptiveThrottleEngine(AdaptiveThrottleConfig(k, 12.0, 0, 1.0)), 100.0
    seen = []
    for gap, level, verdict, dice in calls:
        now += gap
        kept = [call for call in seen if int(call[0]) > int(now) - 12]
        requests, accepts = len(kept), sum(call[2] for call in kept)
        chance = max(0.0, (requests - k * accepts) / (requests + 1))

        assert engine.chance(now) == pytest.approx(chance)
        shares = {other: sum(call[1] == other for call in kept) for other in (-1, 0, 1)}
        refused = sum(engine.chance_of(now, other) * share for other, share in shares.items())
        assert refused == pytest.approx(chance * requests)
        if engine.refuses(now, level, dice):
            seen.append((now, level, False))
        else:
            engine.settle(now, level, verdict)
            seen += [(now, level, verdict is Verdict.SUCCESS)] if verdict is not Verdict.IGNORED else []


def simulate(engine, *, rate, capacity, seconds, levels=(0,), seed=1):
    """Send calls at a rate to a backend that accepts so many a second; return what was sent and accepted."""
    dice, history, now = random.Random(seed), [], 1000.0
    for second in range(seconds):
        sent, room = dict.fromkeys(levels, 0), capacity(second)
        accepted = 0
        for number in range(rate):
            level = levels[number % len(levels)]
            if engine.refuses(now, level, dice.random()):
                continue
            sent[level] += 1
            engine.settle(now, level, Verdict.SUCCESS if room > 0 else Verdict.FAILURE)
            accepted += room > 0
            room -= 1
        history.append((sent, accepted))
        now += 1.0
    return history


def test_the_backend_sees_twice_what_it_accepts():
    """Under an overload of five the backend gets about k times what it can do, and works at its capacity."""
    engine = AdaptiveThrottleEngine(AdaptiveThrottleConfig(2.0, 30.0))
    history = simulate(engine, rate=500, capacity=lambda second: 100, seconds=120)[60:]
    sent = sum(sent[0] for sent, _ in history) / len(history)

    assert 180 < sent < 220
    assert all(accepted == 100 for _, accepted in history)


def test_nothing_is_refused_without_overload():
    """While the backend accepts everything nothing is refused."""
    engine = AdaptiveThrottleEngine(AdaptiveThrottleConfig(2.0, 30.0))

    assert all(sent[0] == 90 for sent, _ in simulate(engine, rate=90, capacity=lambda second: 100, seconds=60))


def test_it_recovers():
    """After an outage all calls pass again within about two windows."""
    engine = AdaptiveThrottleEngine(AdaptiveThrottleConfig(2.0, 30.0))
    history = simulate(engine, rate=100, capacity=lambda second: 0 if second < 60 else 1000, seconds=180)

    assert sum(sent[0] for sent, _ in history[30:60]) / 30 < 10
    assert all(sent[0] == 100 for sent, _ in history[150:])


def test_the_important_calls_get_what_there_is():
    """With classes the least important are shed to the last before one of the most important is."""
    engine = AdaptiveThrottleEngine(AdaptiveThrottleConfig(2.0, 30.0))
    history = simulate(engine, rate=300, capacity=lambda second: 75, seconds=150, levels=(-20, 0, 10))[90:]
    low, middle, high = (sum(sent[level] for sent, _ in history) / len(history) for level in (-20, 0, 10))

    assert low < 5
    assert 30 < middle < 70
    assert high > 99
