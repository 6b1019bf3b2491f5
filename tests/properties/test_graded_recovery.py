"""A dependency that comes back cold: what each recovery makes of it, in virtual time."""

import random

import pytest

from outlast.errors import CircuitOpenError
from outlast.policies import CircuitBreaker, FailureRate, GradedRecovery, HalfOpen, ResetAfterCooldown
from outlast.testing import ManualClock

CALLS_PER_SECOND = 100
COLD, WARM = 10, 120
"""Calls that the dependency bears each second: just after its outage, and when its caches are full."""


class ColdDependency:
    """Be down for 20 s, then bear more the more it is used; overrun it fails, and is cold again."""

    def __init__(self):
        self.capacity = COLD

    def second(self, number, asked):
        """Answer the calls of one second: whether they fail."""
        if number < 20:
            return True
        overrun = asked > self.capacity
        growth = 1 + 0.5 * asked / self.capacity  # what is not used does not warm up
        self.capacity = COLD if overrun else min(WARM, self.capacity * growth)
        return overrun


def play(recovery, seconds=200, seed=1):
    """Return how often the circuit opened, which share of the calls was answered, and how the end looks."""
    clock, chance = ManualClock(), random.Random(seed)
    trip = FailureRate(0.5, over_seconds=5.0, min_calls=5)
    breaker = CircuitBreaker(trip=trip, recovery=recovery, open_for=10.0, clock=clock, random=chance)
    dependency, answered = ColdDependency(), 0
    for number in range(seconds):
        permits = []
        for _ in range(CALLS_PER_SECOND):
            try:
                permits.append(breaker.acquire())
            except CircuitOpenError:
                continue
        failed = dependency.second(number, len(permits))
        clock.advance(1.0)
        for permit in permits:
            permit.failure() if failed else permit.success()
        answered += 0 if failed else len(permits)
    return breaker.snapshot().opened, answered / (seconds * CALLS_PER_SECOND), breaker.state.value


@pytest.mark.parametrize("abrupt", [HalfOpen(max_calls=3), ResetAfterCooldown()], ids=["half-open", "reset"])
def test_all_at_once_overruns_what_is_cold(abrupt):
    """Recoveries that let all callers back at once push a cold dependency over again and again."""
    opened, answered, _ = play(abrupt)

    assert opened > 10
    assert answered < 0.1


@pytest.mark.parametrize("seed", range(5))
def test_by_degrees_it_warms_up(seed):
    """Let back by degrees it warms up with its load, and the circuit closes and stays closed."""
    opened, answered, state = play(GradedRecovery(over_seconds=60.0, start=0.05), seed=seed)

    assert opened <= 3
    assert answered > 0.7
    assert state == "closed"
