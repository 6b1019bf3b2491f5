"""Trip rules against the plainest form of what they say: keep every call, and count."""

import math

import hypothesis.strategies as st
from hypothesis import given

from outlast.engines import (
    BreakerConfig,
    BreakerEngine,
    CircuitState,
    ConsecutiveFailures,
    FailureRate,
    FailuresWithin,
    LeakyFailures,
    Permit,
    SlowCalls,
    Verdict,
)

LIMIT = 1.0
CALLS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.1, 0.4, 1.0, 3.0, 9.5, 40.0]),  # seconds since the call before
        st.sampled_from(["ok", "ok", "ok", "failed", "failed", "slow", "slow and failed"]),
        st.sampled_from([0.25, 0.5, 1.0, 1.0, 2.0]),  # the weight, should it fail
    ),
    min_size=1,
    max_size=60,
)


class Seen:
    """Every call so far as (moment, failed, slow, weight)."""

    def __init__(self):
        self.calls = []

    def add(self, now, how, weight):
        """Remember one."""
        self.calls.append((now, "failed" in how, "slow" in how, weight))

    def streak(self):
        """Weigh the failures since the last success."""
        total = 0.0
        for _, failed, _, weight in reversed(self.calls):
            if not failed:
                break
            total += weight
        return total

    def level(self):
        """Weigh the failures that no success has paid back."""
        level = 0.0
        for _, failed, _, weight in self.calls:
            level = level + weight if failed else max(0.0, level - 1.0)
        return level

    def within(self, seconds, now):
        """Weigh the failures of the last seconds."""
        return sum(weight for at, failed, _, weight in self.calls if failed and at > now - seconds)

    def last(self, number):
        """Return the last so many calls."""
        return self.calls[-number:]

    def grains(self, seconds, now):
        """Return the calls of the present tenth of that time and of the nine before it."""
        grain = seconds / 10
        return [call for call in self.calls if int(call[0] / grain) > int(now / grain) - 10]


def failed_share(calls, rate, least):
    """Tell whether enough of enough calls failed."""
    return len(calls) >= least and sum(call[3] for call in calls if call[1]) >= rate * len(calls) - 1e-9


def slow_share(calls, rate, least):
    """Tell whether enough of enough calls were slow."""
    return len(calls) >= least and sum(call[2] for call in calls) >= rate * len(calls) - 1e-9


# Each: the rule, whether it should open now, and at which calls it is judged.
RULES = [
    (ConsecutiveFailures(3), lambda seen, now: seen.streak() >= 3, "failed"),
    (LeakyFailures(3), lambda seen, now: seen.level() >= 3, "failed"),
    (FailuresWithin(3, 5.0), lambda seen, now: seen.within(5.0, now) >= 3, "failed"),
    (FailureRate(0.5, over_calls=7, min_calls=4), lambda seen, now: failed_share(seen.last(7), 0.5, 4), "failed"),
    (
        FailureRate(0.5, over_seconds=20.0, min_calls=4),
        lambda seen, now: failed_share(seen.grains(20.0, now), 0.5, 4),
        "failed",
    ),
    (
        SlowCalls(0.5, slower_than=LIMIT, over_calls=7, min_calls=4),
        lambda seen, now: slow_share(seen.last(7), 0.5, 4),
        "slow",
    ),
    (
        SlowCalls(0.5, slower_than=LIMIT, over_seconds=20.0, min_calls=4),
        lambda seen, now: slow_share(seen.grains(20.0, now), 0.5, 4),
        "slow",
    ),
]


def run(engine, how, weight, now):
    """Run one call as the face does: a success that needs no more only bumps the counter of its era."""
    took = LIMIT + 0.5 if "slow" in how else 0.0
    era = engine.closed
    if "failed" in how:
        engine.settle(Permit(era, 0, now - took), Verdict.FAILURE, now, weight=weight)
    elif era.dated and (now >= era.edge or took > era.limit):
        engine.settle(Permit(era, 0, now - took), Verdict.SUCCESS, now)
    else:
        era.ok += 1


def first_open(rule, should_open, judged_at, calls):
    """Return at which call the engine opened, and at which it should have; None for never."""
    engine, seen, now = BreakerEngine(BreakerConfig(trip=rule)), Seen(), 100.0
    expected = None
    for number, (wait, how, weight) in enumerate(calls):
        now += wait
        seen.add(now, how, weight)
        run(engine, how, weight, now)
        if judged_at in how and should_open(seen, now):
            expected = number
        if engine.state is not CircuitState.CLOSED or expected is not None:
            return (number if engine.state is CircuitState.OPEN else None), expected
    return None, None


@given(CALLS)
def test_rules_open_exactly_when_they_say(calls):
    """Each rule opens at the call at which counting by hand says so, and at no other."""
    for rule, should_open, judged_at in RULES:
        actual, expected = first_open(rule, should_open, judged_at, calls)
        assert actual == expected, rule


@given(CALLS, st.integers(0, len(RULES) - 1), st.integers(0, len(RULES) - 1))
def test_a_combination_opens_with_its_first(calls, one, other):
    """Two rules together open where the first of them alone would."""
    alone = [first_open(*RULES[number], calls)[0] for number in (one, other)]
    both = first_open(RULES[one][0] | RULES[other][0], lambda seen, now: False, "", calls)[0]

    assert (math.inf if both is None else both) == min(math.inf if at is None else at for at in alone)


@given(CALLS, st.integers(0, 59), st.integers(0, len(RULES) - 1))
def test_reconfiguring_to_the_same_limits_changes_nothing(calls, when, which):
    """A window that is carried over at any moment opens where it would have."""
    rule = RULES[which][0]
    plain, moved = (BreakerEngine(BreakerConfig(trip=rule)) for _ in range(2))
    now = 100.0
    for number, (wait, how, weight) in enumerate(calls):
        now += wait
        if number == when:
            # To looser limits and back: what has been seen is handed over twice.
            moved.reconfigure(BreakerConfig(trip=rule | ConsecutiveFailures(10**6)), now)
            assert moved.reconfigure(BreakerConfig(trip=rule), now)[0] == []
        for engine in (plain, moved):
            if engine.closed is not None:
                run(engine, how, weight, now)
        assert plain.state is moved.state
