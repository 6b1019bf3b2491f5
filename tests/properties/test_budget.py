"""The retry budget against two references: a bucket that is paid call by call, and Finagle's sliding window."""

import hypothesis.strategies as st
import pytest
from hypothesis import given
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from outlast.engines.budget import BudgetConfig, BudgetEngine

CONFIGS = st.builds(
    BudgetConfig,
    ratio=st.sampled_from([0.0, 0.2, 0.5, 1.0]) | st.floats(0, 3),
    per_second=st.sampled_from([0.0, 1.0, 10.0]) | st.floats(0, 100),
    reserve=st.sampled_from([1.0, 5.0, 100.0]) | st.floats(1, 500),
)


class Budget(RuleBasedStateMachine):
    """The engine pays in only when it is asked; the reference at each call and each step of time."""

    @initialize(config=CONFIGS)
    def begin(self, config):
        """Begin with a full bucket; the first question starts the clock."""
        self.config, self.engine = config, BudgetEngine(config)
        self.balance, self.now, self.taken, self.calls, self.paid_time = config.reserve, 0.0, 0, 0, 0.0
        self.engine.snapshot(self.now)

    @rule(count=st.integers(1, 50))
    def call(self, count):
        """Make calls."""
        for _ in range(count):
            self.engine.calls += 1
            self.balance = min(self.config.reserve, self.balance + self.config.ratio)
        self.calls += count

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 10.0]) | st.floats(0, 100))
    def wait(self, seconds):
        """Let time pass."""
        self.now += seconds
        self.paid_time += seconds
        self.balance = min(self.config.reserve, self.balance + self.config.per_second * seconds)

    @rule()
    def take(self):
        """Ask for a retry; where the two balances meet the border by a rounding error either answer will do."""
        allowed = self.engine.take(self.now)
        if abs(self.balance - 1.0) > 1e-6:
            assert allowed == (self.balance >= 1.0)
        if allowed:
            self.balance -= 1.0
            self.taken += 1

    @invariant()
    def the_balances_agree(self):
        """The balance is that of the reference, and never above the reserve."""
        if hasattr(self, "engine"):
            snapshot = self.engine.snapshot(self.now)
            assert snapshot.balance == pytest.approx(self.balance, abs=1e-6)
            assert -1e-6 <= snapshot.balance <= self.config.reserve
            assert snapshot.taken == self.taken

    @invariant()
    def no_more_is_taken_than_is_paid(self):
        """All that was ever taken was paid for by the reserve, the calls and the time."""
        if hasattr(self, "engine"):
            config = self.config
            paid = config.reserve + config.ratio * self.calls + config.per_second * self.paid_time
            assert self.taken <= paid + 1e-6


TestBudget = Budget.TestCase


class Finagle:
    """Twitter Finagle's RetryBudget: a sliding window of 10 s in ten slices, over a reserve of the floor."""

    def __init__(self, ratio=0.2, per_second=10, ttl=10):
        self.cost = 1 / ratio
        self.reserve = per_second * ttl * self.cost
        self.slices, self.ttl, self.slice = [0.0] * 10, ttl, 0

    def _turn(self, now):
        current = int(now / (self.ttl / 10))
        for number in range(self.slice + 1, min(current, self.slice + 10) + 1):
            self.slices[number % 10] = 0.0
        self.slice = current

    def deposit(self, now):
        """Pay in for a call."""
        self._turn(now)
        self.slices[self.slice % 10] += 1

    def withdraw(self, now):
        """Take a retry out."""
        self._turn(now)
        if self.reserve + sum(self.slices) < self.cost:
            return False
        self.slices[self.slice % 10] -= self.cost
        return True


@pytest.mark.parametrize("rate", [1, 20, 100, 1000])
@pytest.mark.parametrize("failing", [0.1, 0.5, 1.0])
def test_in_the_long_run_it_allows_what_finagle_allows(rate, failing):
    """Over a minute of steady failures the two allow the same number of retries, up to one reserve."""
    ours, finagle, allowed, theirs, due = BudgetEngine(BudgetConfig()), Finagle(), 0, 0, 0.0
    for number in range(60 * rate):
        now = number / rate
        ours.calls += 1
        finagle.deposit(now)
        due += failing
        if due >= 1.0:
            due -= 1.0
            allowed += ours.take(now)
            theirs += finagle.withdraw(now)

    assert abs(allowed - theirs) <= 101
    assert allowed <= 100 + 0.2 * 60 * rate + 10 * 60


@given(data=st.data())
def test_a_storm_is_bounded(data):
    """In any stretch of time no more is taken than the reserve, a fifth of its calls, and ten a second."""
    engine, taken = BudgetEngine(BudgetConfig()), []
    now = calls = 0.0
    for _ in range(data.draw(st.integers(1, 8))):
        now += data.draw(st.floats(0, 20))
        burst = data.draw(st.integers(0, 300))
        engine.calls += burst
        calls += burst
        taken.append((now, calls, sum(engine.take(now) for _ in range(300))))
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            stretch = taken[first : last + 1]
            inside = stretch[-1][1] - (taken[first - 1][1] if first else 0)
            seconds = stretch[-1][0] - stretch[0][0]
            assert sum(count for *_, count in stretch) <= 100 + 0.2 * inside + 10 * seconds + 1
