"""Say rules and waits in words, for people who read `explain()`."""

from __future__ import annotations

from outlast.engines import (
    AnyOf,
    Backoff,
    ConsecutiveFailures,
    FailureRate,
    FailuresWithin,
    GradedRecovery,
    HalfOpen,
    Jitter,
    LeakyFailures,
    RecoveryRule,
    ResetAfterCooldown,
    SlowCalls,
    TripRule,
)


def trip_in_words(rule: TripRule) -> str:
    """Say what opens a circuit.

    >>> trip_in_words(ConsecutiveFailures(5) | SlowCalls(0.6, slower_than=1.5, over_calls=100))
    '5 failures in a row, or 60% of the last 100 calls slower than 1.5 s'
    """
    match rule:
        case AnyOf(rules=rules):
            return ", or ".join(map(trip_in_words, rules))
        case ConsecutiveFailures(threshold=threshold):
            return f"{threshold} failures in a row" if threshold > 1 else "the first failure"
        case LeakyFailures(threshold=threshold):
            return f"{threshold} more failures than successes"
        case FailuresWithin(threshold=threshold, seconds=seconds):
            return f"{threshold} failures within {seconds:g} s"
        case FailureRate(rate=rate):
            return f"{rate:.0%} of {_over(rule)} failed"
        case SlowCalls(rate=rate, slower_than=limit):
            return f"{rate:.0%} of {_over(rule)} slower than {limit:g} s"
        case _:
            return repr(rule)  # a rule of somebody else


def _over(rule: FailureRate | SlowCalls) -> str:
    if rule.over_calls is not None:
        return f"the last {rule.over_calls} calls"
    least = "" if rule.min_calls is None else f" (at least {rule.min_calls})"
    return f"the calls{least} of {rule.over_seconds:g} s"


def recovery_in_words(rule: RecoveryRule) -> str:
    """Say how a circuit closes again."""
    match rule:
        case HalfOpen(max_calls=most, success_threshold=needed, success_ratio=ratio, probes=probes):
            closes = f"{needed} successes close it" if ratio is None else f"{ratio:.0%} of {probes} close it"
            return f"then at most {most} probes at once, {closes}"
        case ResetAfterCooldown():
            return "then it closes at once"
        case GradedRecovery(over_seconds=seconds, start=start):
            return f"then from {start:.0%} of the calls to all within {seconds:g} s"


def backoff_in_words(backoff: Backoff) -> str:
    """Say how long the waits are.

    >>> backoff_in_words(Backoff())
    'waits from 1 s, x 2, at most 30 s, +-10%'
    """
    spread = {
        Jitter.NONE: "",
        Jitter.PROPORTIONAL: f", +-{backoff.amount:.0%}",
        Jitter.FULL: ", anything from 0 to that",
        Jitter.EQUAL: ", at least half of that",
        Jitter.ADDITIVE: f", and up to {backoff.amount:g} s more",
        Jitter.DECORRELATED: "",
    }[backoff.jitter]
    if backoff.waits:
        return f"waits {', '.join(f'{wait:g}' for wait in backoff.waits)} s{spread}"
    if backoff.factor == 1 and not backoff.step:
        return f"waits {backoff.base:g} s each time{spread}"
    if backoff.jitter is Jitter.DECORRELATED:
        return f"waits from {backoff.base:g} s to three times the last, at most {backoff.cap:g} s"
    growth = f"x {backoff.factor:g}" if not backoff.step else f"{backoff.step:g} s more each time"
    return f"waits from {backoff.base:g} s, {growth}, at most {backoff.cap:g} s{spread}"
