import dataclasses

import pytest

from outlast.engines import Window
from outlast.errors import ConfigError
from outlast.policies import (
    ConsecutiveFailures,
    FailureRate,
    FailuresWithin,
    GradedRecovery,
    HalfOpen,
    LeakyFailures,
    ResetAfterCooldown,
    SlowCalls,
    recovery_from,
    rule_from,
    rule_to_plain,
)

TRIPS = [
    ConsecutiveFailures(3),
    FailuresWithin(10, 60.0),
    LeakyFailures(4),
    FailureRate(0.5, over_calls=20),
    FailureRate(0.5, over_seconds=30.0, min_calls=20),
    SlowCalls(0.6, slower_than=1.5, over_calls=100),
    ConsecutiveFailures(3) | FailureRate(0.5, over_seconds=30.0) | FailureRate(0.9, over_seconds=3.0),
]
RECOVERIES = [
    HalfOpen(),
    HalfOpen(max_calls=1, success_ratio=0.5, probes=4, probe_expires_after=3.0),
    ResetAfterCooldown(),
    GradedRecovery(10.0, 0.5),
]


@pytest.mark.parametrize("rule", TRIPS, ids=repr)
def test_trip_rules_go_there_and_back(rule):
    """A rule written as plain values makes an equal one when read."""
    assert rule_from(rule_to_plain(rule)) == rule


@pytest.mark.parametrize("rule", RECOVERIES, ids=repr)
def test_recovery_rules_go_there_and_back(rule):
    """So do the rules of recovery."""
    assert recovery_from(rule_to_plain(rule)) == rule


@pytest.mark.parametrize(
    ("plain", "rule"),
    [
        ({"consecutive_failures": 3}, ConsecutiveFailures(3)),
        ({"consecutive_failures": {}}, ConsecutiveFailures()),
        ({"failures_within": {"threshold": 10, "seconds": "1m"}}, FailuresWithin(10, 60.0)),
        ({"failure_rate": {"rate": "50%", "over_seconds": "30s"}}, FailureRate(0.5, over_seconds=30.0)),
        ({"failure_rate": {"rate": "0.5", "over_calls": 20}}, FailureRate(0.5, over_calls=20)),
        (
            {"leaky_failures": 4, "slow_calls": {"rate": 0.6, "slower_than": "250ms", "over_calls": 50}},
            LeakyFailures(4) | SlowCalls(0.6, slower_than=0.25, over_calls=50),
        ),
        ([{"leaky_failures": 4}], LeakyFailures(4)),
    ],
    ids=str,
)
def test_trip_rules_are_read(plain, rule):
    """Rules are read as people write them, with units and percent, and a number alone for the first setting."""
    assert rule_from(plain) == rule


def test_recovery_rules_are_read():
    """A recovery without settings may be named alone."""
    assert recovery_from("half_open") == HalfOpen()
    assert recovery_from({"graded_recovery": "20s"}) == GradedRecovery(20.0)
    assert recovery_from({"half_open": {"probe_expires_after": None}}) == HalfOpen()


@pytest.mark.parametrize(
    ("read", "plain", "path", "suggestion"),
    [
        (rule_from, {"failure_rte": {}}, "trip.failure_rte", "failure_rate"),
        (rule_from, {"failure_rate": {"rte": 0.5}}, "trip.failure_rate.rte", "rate"),
        (rule_from, {"failure_rate": {"rate": "half"}}, "trip.failure_rate.rate", ""),
        (rule_from, {"failure_rate": {"rate": 0.5}}, "trip.failure_rate.over_seconds", ""),
        (rule_from, {"failure_rate": {}}, "trip.failure_rate", ""),
        (rule_from, {"failure_rate": {"rate": 0.5, "over_seconds": "soon"}}, "trip.failure_rate.over_seconds", ""),
        (rule_from, {"consecutive_failures": 0}, "trip.consecutive_failures.threshold", ""),
        (rule_from, [{"leaky_failures": 3}, {"leaky_failures": -3}], "trip[1].leaky_failures.threshold", ""),
        (rule_from, {}, "trip", ""),
        (rule_from, [], "trip", ""),
        (rule_from, "consecutive_failures", "trip", ""),
        (recovery_from, "halfopen", "recovery.halfopen", "half_open"),
        (recovery_from, {"half_open": {"max_calls": 0}}, "recovery.half_open.max_calls", ""),
        (recovery_from, {"graded_recovery": {"start": 2}}, "recovery.graded_recovery.start", ""),
        (recovery_from, {"half_open": {}, "reset_after_cooldown": {}}, "recovery", ""),
        (recovery_from, {"reset_after_cooldown": 3}, "recovery.reset_after_cooldown", ""),
        (recovery_from, 3, "recovery", ""),
    ],
    ids=lambda value: value.__name__ if callable(value) else str(value),
)
def test_mistakes_have_a_path_and_a_suggestion(read, plain, path, suggestion):
    """What is wrong is told with its place, and what was probably meant."""
    with pytest.raises(ConfigError) as caught:
        read(plain)

    assert (caught.value.path, caught.value.suggestion) == (path, suggestion)


def test_foreign_rules_have_no_plain_form():
    """A rule of the user's own cannot be written down, nor can a combination with one."""

    @dataclasses.dataclass(frozen=True)
    class Never:
        grain = slow_limit = None

        def start(self, ok: int = 0) -> Window:
            return LeakyFailures(10**9).start(ok)

    for rule in (Never(), LeakyFailures(3) | Never()):
        with pytest.raises(ConfigError, match="no plain form"):
            rule_to_plain(rule)
