"""Rules and waits in words."""

import pytest

from outlast.engines import (
    Backoff,
    ConsecutiveFailures,
    FailureRate,
    FailuresWithin,
    GradedRecovery,
    HalfOpen,
    Jitter,
    LeakyFailures,
    ResetAfterCooldown,
    SlowCalls,
)
from outlast.policies._wording import backoff_in_words, recovery_in_words, trip_in_words


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (ConsecutiveFailures(5), "5 failures in a row"),
        (ConsecutiveFailures(1), "the first failure"),
        (LeakyFailures(4), "4 more failures than successes"),
        (FailuresWithin(10, seconds=60.0), "10 failures within 60 s"),
        (FailureRate(0.5, over_seconds=30.0, min_calls=20), "50% of the calls (at least 20) of 30 s failed"),
        (FailureRate(0.5, over_seconds=30.0), "50% of the calls of 30 s failed"),
        (SlowCalls(0.6, slower_than=1.5, over_calls=9), "60% of the last 9 calls slower than 1.5 s"),
        (ConsecutiveFailures(2) | LeakyFailures(3), "2 failures in a row, or 3 more failures than successes"),
        ("my own", "'my own'"),
    ],
)
def test_trip_rules(rule, words):
    """Each rule says what opens the circuit; one of somebody else shows itself."""
    assert trip_in_words(rule) == words


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (HalfOpen(), "then at most 3 probes at once, 2 successes close it"),
        (HalfOpen(1, success_ratio=0.8, probes=5), "then at most 1 probes at once, 80% of 5 close it"),
        (ResetAfterCooldown(), "then it closes at once"),
        (GradedRecovery(10.0), "then from 10% of the calls to all within 10 s"),
    ],
)
def test_recovery_rules(rule, words):
    """Each rule says how the circuit closes again."""
    assert recovery_in_words(rule) == words


@pytest.mark.parametrize(
    ("backoff", "words"),
    [
        (Backoff(), "waits from 1 s, x 2, at most 30 s, +-10%"),
        (Backoff.fixed(2.0), "waits 2 s each time"),
        (Backoff.linear(0.5), "waits from 0.5 s, 0.5 s more each time, at most 30 s, +-10%"),
        (Backoff.exponential(jitter=Jitter.EQUAL), "waits from 1 s, x 2, at most 30 s, at least half of that"),
        (Backoff(jitter=Jitter.ADDITIVE), "waits from 1 s, x 2, at most 30 s, and up to 0.1 s more"),
        (Backoff.decorrelated(0.1), "waits from 0.1 s to three times the last, at most 30 s"),
        (Backoff.of([1, 2.5]), "waits 1, 2.5 s"),
    ],
)
def test_backoffs(backoff, words):
    """Each backoff says how long the waits are."""
    assert backoff_in_words(backoff) == words
