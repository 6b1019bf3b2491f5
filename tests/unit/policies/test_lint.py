"""One stack that each rule finds, and a near one that it does not."""

import pytest

from outlast.policies import (
    Bulkhead,
    CircuitBreaker,
    Fallback,
    HalfOpen,
    Hedge,
    Pipeline,
    RateLimit,
    Retry,
    Severity,
    SingleFlight,
    SlowCalls,
    Timeout,
)
from outlast.policies import Chaos as RealChaos
from outlast.policies._lint import Stack, kind_of, lint
from outlast.policies._lint_amount import AMOUNT_RULES
from outlast.policies._lint_order import ORDER_RULES
from outlast.registry import Registry

SHARED = CircuitBreaker()


def retry(attempts=3, **options):
    """A retry whose author has said everything."""
    return Retry(attempts, **{"idempotent": True, **options})


def limit(seconds, name="timeout"):
    """A timeout."""
    return Timeout(seconds, name=name)


def hedge():
    """A hedge."""
    return Hedge(delay=0.1, idempotent=True)


def chaos(enabled=True):
    """Planted faults."""
    return RealChaos(rate=0.1, fault=ConnectionError, enabled=enabled)


def pipeline(*policies):
    """A pipeline in no shared registry."""
    return Pipeline("inner", *policies, registry=Registry())


CASES = [
    ("same-policy-twice", lambda: [SHARED, SHARED], lambda: [SHARED, CircuitBreaker()]),
    (
        "timeout-outside-breaker",
        lambda: [limit(1), CircuitBreaker()],
        lambda: [limit(2), CircuitBreaker(), limit(1)],
    ),
    (
        "timeout-outside-breaker",
        lambda: [retry(attempt_timeout=1.0), CircuitBreaker()],
        lambda: [retry(), CircuitBreaker(), limit(1)],
    ),
    ("breaker-outside-retry", lambda: [CircuitBreaker(), retry()], lambda: [retry(), CircuitBreaker()]),
    ("bulkhead-outside-retry", lambda: [Bulkhead(3), retry()], lambda: [retry(), Bulkhead(3)]),
    ("rate-limit-inside-retry", lambda: [retry(), RateLimit(5)], lambda: [RateLimit(5), retry()]),
    ("hedge-outside-retry", lambda: [hedge(), retry()], lambda: [retry(), hedge()]),
    ("single-flight-inside-retry", lambda: [retry(), SingleFlight(key=len)], lambda: [SingleFlight(key=len), retry()]),
    (
        "fallback-not-outermost",
        lambda: [CircuitBreaker(), Fallback(value=1)],
        lambda: [Fallback(value=1), CircuitBreaker()],
    ),
    ("chaos-not-innermost", lambda: [chaos(), limit(1)], lambda: [limit(1), chaos()]),
    ("hedge-not-idempotent", lambda: [retry(idempotent=False), hedge()], lambda: [retry(), hedge()]),
    ("nested-retries", lambda: [retry(stand_down=False), retry()], lambda: [retry()]),
    ("nested-retries", lambda: [retry(), pipeline(retry())], lambda: [retry(), pipeline(Retry(1))]),
    ("no-timeout", lambda: [retry()], lambda: [retry(), limit(1)]),
    ("no-timeout", lambda: [CircuitBreaker()], list),
    ("no-timeout", lambda: [retry()], lambda: [retry(attempt_timeout=Timeout(1.0))]),
    (
        "retry-without-attempt-timeout",
        lambda: [limit(9), retry()],
        lambda: [limit(9), retry(), limit(1)],
    ),
    (
        "retry-without-attempt-timeout",
        lambda: [limit(9), retry()],
        lambda: [limit(9), retry(attempt_timeout=1.0)],
    ),
    (
        "attempts-exceed-deadline",
        lambda: [limit(2), retry(3), limit(1)],
        lambda: [limit(3), retry(3), limit(1)],
    ),
    ("limit-never-reached", lambda: [limit(2), limit(2)], lambda: [limit(2), limit(1)]),
    ("retry-without-budget", lambda: [retry(budget=False)], lambda: [retry()]),
    (
        "probe-lease-too-long",
        lambda: [CircuitBreaker(open_for=5.0, recovery=HalfOpen(probe_expires_after=6.0))],
        lambda: [CircuitBreaker(open_for=5.0, recovery=HalfOpen(probe_expires_after=5.0))],
    ),
    (
        "slow-calls-are-cut",
        lambda: [CircuitBreaker(trip=SlowCalls(0.5, slower_than=1.0, over_calls=10)), limit(1)],
        lambda: [CircuitBreaker(trip=SlowCalls(0.5, slower_than=0.5, over_calls=10)), limit(1)],
    ),
    ("chaos-is-enabled", lambda: [chaos()], lambda: [chaos(enabled=False)]),
    ("unbounded-wait", lambda: [Bulkhead(3)], lambda: [Bulkhead(3, max_wait=1.0)]),
    ("unbounded-wait", lambda: [Bulkhead(3)], lambda: [limit(1), Bulkhead(3)]),
    ("unbounded-wait", lambda: [Bulkhead(3)], lambda: [Bulkhead(3, max_waiting=0)]),
    ("idempotence-not-said", lambda: [Retry()], lambda: [Retry(idempotent=False)]),
    ("single-attempt", lambda: [Retry(1)], lambda: [retry(2)]),
]


def codes(policies):
    """The codes of the findings."""
    return [finding.code for finding in lint(policies)]


@pytest.mark.parametrize(("code", "wrong", "right"), CASES, ids=lambda case: case if isinstance(case, str) else "")
def test_rule_finds_what_is_wrong_and_nothing_else(code, wrong, right):
    """Each rule has a stack that it finds and a similar one that it lets pass."""
    assert code in codes(wrong())
    assert code not in codes(right())


def test_every_rule_has_a_case():
    """No rule is without a test."""
    found = {finding.code for _, wrong, _ in CASES for finding in lint(wrong())}

    assert len(ORDER_RULES) + len(AMOUNT_RULES) == len({code for code, _, _ in CASES})
    assert {code for code, _, _ in CASES} <= found


def test_usual_stack_is_clean():
    """The default order with sensible numbers has no finding at all."""
    stack = [Fallback(value=None), limit(9), retry(), CircuitBreaker(), Bulkhead(5), limit(0.8)]

    assert codes(stack) == []


def test_gravest_first_and_always_the_same_order():
    """Findings come sorted by severity, and in the same order every time."""
    stack = [Retry(idempotent=False), hedge(), retry(), chaos(), CircuitBreaker()]
    found = lint(stack)
    ranks = [tuple(Severity).index(finding.severity) for finding in found]

    assert ranks == sorted(ranks)
    assert ranks[0] == 0
    assert found == lint(stack)


def test_nested_retries_multiply_only_if_the_outer_goes_on():
    """Retries that do not stand down multiply, which is an error; else the finding is a warning."""
    (multiplied,) = [each for each in lint([retry(4, stand_down=False), retry(3)]) if each.code == "nested-retries"]
    (waits,) = [each for each in lint([retry(4), pipeline(retry(3))]) if each.code == "nested-retries"]

    assert (multiplied.severity, waits.severity) == (Severity.ERROR, Severity.WARNING)
    assert "4 x 3 = 12 calls" in multiplied.why


def test_finding_says_why_and_what_to_do():
    """A finding reads as two lines with the numbers of the stack."""
    (finding,) = [each for each in lint([limit(2), retry(3), limit(1)]) if each.code == "attempts-exceed-deadline"]

    assert str(finding) == (
        "warning attempts-exceed-deadline: timeout > retry: 3 attempts of up to 1 s need 3 s, and 2 s are given\n"
        "  -> allow fewer attempts, less time for each, or more time in all"
    )


def test_named_policies_are_named_in_findings():
    """A finding names what has a name."""
    breaker = CircuitBreaker("payments", registry=Registry())
    (finding,) = [each for each in lint([breaker, retry()]) if each.code == "breaker-outside-retry"]

    assert finding.where == "circuit_breaker 'payments' > retry"


def test_kind_of_a_subclass_is_that_of_ours():
    """A subclass of one of our policies is looked at as such; a policy of somebody else has its own kind."""

    class Deadline(Timeout):
        pass

    class Mark(Pipeline):
        pass

    assert kind_of(Deadline(1.0)) == "timeout"
    assert kind_of(Mark) == "pipeline"


def test_worst_within_a_layer():
    """What a stack costs can be asked for the part within a layer."""
    stack = Stack([limit(9), retry(2), limit(1)])

    assert stack.worst(stack.layers[1]).latency == 1
    assert stack.worst().calls == 2
