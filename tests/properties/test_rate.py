"""The rate engine against a token bucket that is filled step by step."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from outlast.engines import RateConfig, Refusal
from outlast.engines.rate import RateEngine

# Quarters and eighths are exact in binary, so that the bucket and the engine must agree to the last bit.
GAPS = st.sampled_from([0.0, 0.0, 0.0, 0.125, 0.5, 1.5])
COSTS = st.sampled_from([0.0, 0.5, 1.0, 2.0])
RATES = st.sampled_from([0.5, 1.0, 2.0, 4.0])
BURSTS = st.sampled_from([2.0, 3.0, 4.5])


class Bucket:
    """A token bucket in its plainest form."""

    def __init__(self, rate, burst, now):
        self.rate, self.burst, self.tokens, self.at = rate, burst, burst, now

    def take(self, now, cost):
        """Take tokens if there are enough."""
        self.tokens = min(self.burst, self.tokens + self.rate * (now - self.at))
        self.at = now
        if self.tokens < cost - 1e-6:
            return False
        self.tokens -= cost
        return True


@given(rate=RATES, burst=BURSTS, asks=st.lists(st.tuples(GAPS, COSTS), min_size=10, max_size=40))
def test_without_waiting_it_is_a_token_bucket(rate, burst, asks):
    """A call passes exactly when a bucket has tokens for it, and is otherwise told when it will."""
    engine, now = RateEngine(RateConfig(rate, burst=burst)), 100.0
    bucket = Bucket(rate, burst, now)
    for gap, cost in asks:
        now += gap
        answer = engine.ask(now, cost)

        assert bucket.take(now, cost) is not isinstance(answer, Refusal)
        if isinstance(answer, Refusal):
            assert answer.retry_after == pytest.approx((cost - bucket.tokens) / rate)
        assert engine.snapshot(now).available == pytest.approx(bucket.tokens)


STEPS = st.lists(st.tuples(GAPS, st.one_of(COSTS, st.integers(0, 20))), min_size=10, max_size=40)


@given(rate=RATES, burst=BURSTS, steps=STEPS)
def test_turns_are_as_early_as_the_bucket_allows(rate, burst, steps):
    """With waiting and going away: the turns of those who stay are those of a bucket that never saw the others."""
    engine, now = RateEngine(RateConfig(rate, burst=burst, max_wait=1000.0)), 100.0
    waiting, passed = [], [engine.ask(now, burst)]
    for gap, step in steps:
        now += gap
        passed += [ticket for ticket in waiting if not ticket.left(now)]
        waiting = [ticket for ticket in waiting if ticket.left(now)]
        if isinstance(step, float):
            ticket = engine.ask(now, step)
            (waiting if ticket.left(now) else passed).append(ticket)
        elif waiting:
            leaver = waiting.pop(step % len(waiting))
            before = {id(ticket): ticket.turn for ticket in waiting}
            earlier = engine.give_back(leaver, now)
            assert all(ticket.turn <= before[id(ticket)] for ticket in waiting)
            assert [t for t in waiting if t.turn < before[id(t)]] == earlier
    passed += waiting
    turns = [ticket.turn for ticket in passed]
    assert turns == sorted(turns)
    bucket = Bucket(rate, burst, 100.0)
    assert all(bucket.take(ticket.turn, ticket.cost) for ticket in passed)
    assert engine.snapshot(now).passed == len(passed)


@given(rate=RATES, burst=BURSTS, costs=st.lists(COSTS.filter(bool), min_size=1, max_size=10), leave=st.integers(0, 9))
def test_a_place_given_back_is_used(rate, burst, costs, leave):
    """After one has gone away the others have the turns that they would have had without it."""
    engine, alone = (RateEngine(RateConfig(rate, burst=burst, max_wait=1000.0)) for _ in range(2))
    for engine_ in (engine, alone):
        engine_.ask(0.0, 2.0)
        engine_.ask(0.0, burst - 2.0)
    tickets = [engine.ask(0.0, cost) for cost in costs]
    leaver = tickets.pop(leave % len(tickets))
    del costs[leave % len(costs)]
    engine.give_back(leaver, 0.0)

    assert [ticket.turn for ticket in tickets] == [alone.ask(0.0, cost).turn for cost in costs]
    assert engine.ask(0.0).turn == alone.ask(0.0).turn
