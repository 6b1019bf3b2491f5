"""The rules of the linter about order: what must not stand inside, or outside, of what."""

from __future__ import annotations

from collections.abc import Iterator

from outlast.policies._lint import Finding, Layer, Rule, Severity, Stack


def _around(outer: Layer, inner: Layer) -> str:
    return f"{outer.label} > {inner.label}"


def timeout_outside_breaker(stack: Stack) -> Iterator[Finding]:
    """Warn of a limit around a breaker alone: it cancels calls, and a cancelled call counts for nothing."""
    for breaker in stack.of("circuit_breaker"):
        outer = stack.limits_outside(breaker)
        if outer and not stack.limits_inside(breaker):
            yield Finding(
                "timeout-outside-breaker",
                Severity.WARNING,
                _around(outer[-1], breaker),
                "calls that run out of time are cancelled around the breaker, which never learns of them",
                "put a Timeout for the single attempt inside the breaker",
            )


def breaker_outside_retry(stack: Stack) -> Iterator[Finding]:
    """Warn of a breaker around a retry: it sees one failure where there were several."""
    for breaker in stack.of("circuit_breaker"):
        for retry in stack.inside(breaker, "retry")[:1]:
            yield Finding(
                "breaker-outside-retry",
                Severity.WARNING,
                _around(breaker, retry),
                "the breaker counts only what is left after all attempts, opens late, and cannot stop the attempts",
                "put the breaker inside the retry",
            )


def bulkhead_outside_retry(stack: Stack) -> Iterator[Finding]:
    """Warn of a slot around a retry: it is held while the retry waits."""
    for bulkhead in stack.of("bulkhead", "adaptive_limit"):
        for retry in stack.inside(bulkhead, "retry")[:1]:
            yield Finding(
                "bulkhead-outside-retry",
                Severity.WARNING,
                _around(bulkhead, retry),
                "a call keeps its slot while it waits for its next attempt, so waiting calls lock working ones out",
                f"put the {bulkhead.kind.replace('_', ' ')} inside the retry",
            )


def rate_limit_inside_retry(stack: Stack) -> Iterator[Finding]:
    """Mention a rate limit inside a retry: attempts of one call compete with other calls."""
    for retry in stack.of("retry"):
        for limit in stack.inside(retry, "rate_limit")[:1]:
            yield Finding(
                "rate-limit-inside-retry",
                Severity.ADVICE,
                _around(retry, limit),
                "every attempt uses up the rate, and an attempt that the limit refuses is itself a failure to retry",
                "right if the limit protects the dependency; to limit your callers, put it outside the retry",
            )


def hedge_outside_retry(stack: Stack) -> Iterator[Finding]:
    """Warn of a hedge around a retry: each retries for itself."""
    for hedge in stack.of("hedge"):
        for retry in stack.inside(hedge, "retry")[:1]:
            yield Finding(
                "hedge-outside-retry",
                Severity.WARNING,
                _around(hedge, retry),
                "every hedge goes through all attempts of its own, which multiplies the load on a slow dependency",
                "put the hedge inside the retry",
            )


def fallback_not_outermost(stack: Stack) -> Iterator[Finding]:
    """Warn of what stands around a fallback: it sees the stand-in answers as successes."""
    for fallback in stack.of("fallback"):
        outer = stack.outside(fallback, "retry", "hedge", "circuit_breaker")
        for policy in outer[-1:]:
            yield Finding(
                "fallback-not-outermost",
                Severity.WARNING,
                _around(policy, fallback),
                f"a failure that the fallback answers is a success to the {policy.kind.replace('_', ' ')} around it",
                "put the fallback outermost",
            )


def chaos_not_innermost(stack: Stack) -> Iterator[Finding]:
    """Warn of chaos that is not innermost: its faults never test what stands inside."""
    for chaos in stack.of("chaos"):
        inner = stack.inside(chaos, *{layer.kind for layer in stack.layers} - {"chaos"})
        for policy in inner[:1]:
            yield Finding(
                "chaos-not-innermost",
                Severity.WARNING,
                _around(chaos, policy),
                f"the planted faults never reach the {policy.kind.replace('_', ' ')}, so nothing is learnt about it",
                "put the chaos innermost, around the function alone",
            )


def single_flight_inside_retry(stack: Stack) -> Iterator[Finding]:
    """Mention a retry around a single-flight: callers share a failure, and then all retry at once."""
    for flight in stack.of("single_flight"):
        for retry in stack.outside(flight, "retry")[-1:]:
            yield Finding(
                "single-flight-inside-retry",
                Severity.ADVICE,
                _around(retry, flight),
                "callers share one attempt but each waits and tries again for itself",
                "put the single-flight outside the retry, so that they share all attempts",
            )


def same_policy_twice(stack: Stack) -> Iterator[Finding]:
    """Refuse one object twice on the way: it counts each call twice, and a bulkhead may wait for itself."""
    for layer in stack.layers:
        if any(layer.policy is other.policy for other in stack.layers[: layer.place]):
            yield Finding(
                "same-policy-twice",
                Severity.ERROR,
                layer.label,
                "each call passes this very object twice: counts double, and a full bulkhead waits for itself",
                "name it once, or make a second one",
            )


ORDER_RULES: tuple[Rule, ...] = (
    same_policy_twice,
    timeout_outside_breaker,
    breaker_outside_retry,
    bulkhead_outside_retry,
    rate_limit_inside_retry,
    hedge_outside_retry,
    single_flight_inside_retry,
    fallback_not_outermost,
    chaos_not_innermost,
)
