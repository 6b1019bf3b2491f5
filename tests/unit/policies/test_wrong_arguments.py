"""What is of the wrong kind is refused when the policy is made, not in the middle of a call or of an outage."""

import pytest

from outlast.errors import ConfigError
from outlast.policies import AdaptiveThrottle, Bulkhead, CircuitBreaker, Fallback, Hedge, RateLimit, Retry

WRONG = [
    (lambda: Retry(2.5), "attempts: must be a whole number"),
    (lambda: Retry("3"), "attempts: must be a whole number"),
    (lambda: Retry(backoff="1s"), "backoff: must be a Backoff, a number"),
    (lambda: Retry(backoff=object()), "backoff: must be a Backoff, a number"),
    (lambda: Retry(budget=True), "budget: must be a RetryBudget, or False"),
    (lambda: Retry(again_if="bad"), "again_if: must be a function"),
    (lambda: Retry(max_retry_after=None), "max_retry_after: must be a number"),
    (lambda: Retry(max_elapsed="5s"), "max_elapsed: must be a number"),
    (lambda: Retry(attempt_timeout="5s"), "attempt_timeout: must be a number"),
    (lambda: CircuitBreaker(trip=5), "trip: must be a rule such as ConsecutiveFailures"),
    (lambda: CircuitBreaker(recovery=30.0), "recovery: must be a rule such as HalfOpen"),
    (lambda: CircuitBreaker(failure_if=ValueError()), "failure_if: must be a function"),
    (lambda: CircuitBreaker(failed_result="bad"), "failed_result: must be a function"),
    (lambda: CircuitBreaker(weight=0.5), "weight: must be a function"),
    (lambda: CircuitBreaker(on_trip="page me"), "on_trip: must be a function"),
    (lambda: Bulkhead(3, priority=1), "priority: must be a function"),
    (lambda: AdaptiveThrottle(priority=1), "priority: must be a function"),
    (lambda: RateLimit("10"), "calls: must be a number"),
    (lambda: RateLimit(10, per="1s"), "per: must be a number"),
    (lambda: RateLimit(10, cost="size"), "cost: must be a number"),
    (lambda: Hedge(delay="50ms", idempotent=True), "delay: must be a number"),
    (lambda: Hedge(quantile="95%", idempotent=True), "quantile: must be a number"),
    (lambda: Fallback(function=3), "function: must be a function, or a list"),
]


@pytest.mark.parametrize(("make", "said"), WRONG, ids=[said for _, said in WRONG])
def test_the_wrong_kind_is_refused_at_once(make, said):
    """The error names the argument and what it must be."""
    with pytest.raises(ConfigError, match=said):
        make()
