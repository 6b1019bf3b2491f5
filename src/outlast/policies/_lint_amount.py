"""The rules of the linter about amounts: how long a call may take, and how often it may be made."""

from __future__ import annotations

import math
from collections.abc import Iterator

from outlast.policies._lint import Finding, Layer, Rule, Severity, Stack


def no_timeout(stack: Stack) -> Iterator[Finding]:
    """Warn of a stack without any limit: one hung call hangs its caller."""
    if stack.layers and all(layer.limit == math.inf for layer in stack.of("timeout", "retry")):
        yield Finding(
            "no-timeout",
            Severity.WARNING,
            "the whole stack",
            "nothing limits how long a call may take, so a dependency that hangs hangs its callers too",
            "put a Timeout innermost, for the single attempt",
        )


def retry_without_attempt_timeout(stack: Stack) -> Iterator[Finding]:
    """Warn of a limit around all attempts alone: the first one may use up everything."""
    for retry in _retries(stack):
        outer = stack.outside(retry, "timeout")
        if outer and retry.limit == math.inf and not stack.limits_inside(retry):
            yield Finding(
                "retry-without-attempt-timeout",
                Severity.WARNING,
                f"{outer[-1].label} > {retry.label}",
                f"one attempt that hangs uses up all of {_seconds(outer[-1])}, and no other is made",
                "put a Timeout for the single attempt inside the retry",
            )


def attempts_exceed_deadline(stack: Stack) -> Iterator[Finding]:
    """Warn of attempts that do not fit in the time around them: they are never made, or are cut."""
    for retry in _retries(stack):
        outer, single = stack.outside(retry, "timeout"), min(stack.worst(retry).latency, retry.limit)
        limit = min((timeout.limit for timeout in outer), default=math.inf)
        attempts = retry.settings["attempts"]
        if limit < attempts * single < math.inf:
            yield Finding(
                "attempts-exceed-deadline",
                Severity.WARNING,
                f"{outer[-1].label} > {retry.label}",
                f"{attempts} attempts of up to {single:g} s need {attempts * single:g} s, and {limit:g} s are given",
                "allow fewer attempts, less time for each, or more time in all",
            )


def limit_never_reached(stack: Stack) -> Iterator[Finding]:
    """Warn of a limit that is longer than one around it: it never ends anything."""
    for outer in stack.of("timeout"):
        for inner in stack.inside(outer, "timeout"):
            if inner.limit >= outer.limit:
                yield Finding(
                    "limit-never-reached",
                    Severity.WARNING,
                    f"{outer.label} > {inner.label}",
                    f"the inner {_seconds(inner)} can never pass before the outer {_seconds(outer)}",
                    "make the inner limit the shorter one",
                )


def nested_retries(stack: Stack) -> Iterator[Finding]:
    """Warn of retries inside of retries: they multiply, just when the dependency can bear it least."""
    retries = list(_retries(stack))
    if len(retries) > 1:
        counts = [retry.settings["attempts"] for retry in retries]
        stands_down = all(retry.settings["stand_down"] for retry in retries[:-1])
        product = f"{' x '.join(map(str, counts))} = {math.prod(counts)}"
        yield Finding(
            "nested-retries",
            Severity.WARNING if stands_down else Severity.ERROR,
            " > ".join(retry.label for retry in retries),
            f"what the inner one gave up the outer leaves alone, so its {counts[0]} attempts rarely come about"
            if stands_down
            else f"attempts multiply to {product} calls of a dependency that fails",
            "retry in one place only, the outermost that knows whether it makes sense",
        )


def retry_without_budget(stack: Stack) -> Iterator[Finding]:
    """Warn of a retry without a budget: every caller of a dependency that is down multiplies its load."""
    for retry in _retries(stack):
        if retry.settings.get("budget", True) is False:
            yield Finding(
                "retry-without-budget",
                Severity.WARNING,
                retry.label,
                f"in an outage every call becomes {retry.settings['attempts']} calls, which keeps the dependency down",
                "leave the budget on, or share a RetryBudget among what calls the same server",
            )


def idempotence_not_said(stack: Stack) -> Iterator[Finding]:
    """Ask whether a call may be repeated: it may take effect twice."""
    for retry in _retries(stack):
        if retry.settings["idempotent"] is None:
            yield Finding(
                "idempotence-not-said",
                Severity.ADVICE,
                retry.label,
                "a call that timed out may have taken effect, and is sent again",
                "say idempotent=True if repeating it does no harm, or idempotent=False to have it not repeated then",
            )


def hedge_not_idempotent(stack: Stack) -> Iterator[Finding]:
    """Refuse a hedge around what may not be repeated: it runs the call twice at once."""
    for hedge in stack.of("hedge"):
        for retry in stack.of("retry"):
            if retry.settings["idempotent"] is False:
                yield Finding(
                    "hedge-not-idempotent",
                    Severity.ERROR,
                    f"{retry.label}, {hedge.label}",
                    "the retry must not repeat the call when in doubt, and the hedge runs it twice at once",
                    "leave out the hedge, or say idempotent=True in both",
                )


def single_attempt(stack: Stack) -> Iterator[Finding]:
    """Mention a retry of one attempt: it does nothing, because attempts are counted in total."""
    for retry in stack.of("retry"):
        if retry.settings["attempts"] == 1:
            yield Finding(
                "single-attempt",
                Severity.ADVICE,
                retry.label,
                "attempts are counted in total, so attempts=1 never tries again",
                "leave out the retry, or allow at least 2 attempts",
            )


def probe_lease_too_long(stack: Stack) -> Iterator[Finding]:
    """Warn of a probe that may keep its slot for longer than the open time: when it hangs, recovery waits."""
    for breaker in stack.of("circuit_breaker"):
        lease = getattr(breaker.settings.get("recovery"), "probe_expires_after", None)
        open_for: float = breaker.settings["open_for"]
        if lease is not None and lease > open_for:
            yield Finding(
                "probe-lease-too-long",
                Severity.WARNING,
                breaker.label,
                f"a probe that hangs keeps its slot for {lease:g} s, longer than the open time of {open_for:g} s",
                "make probe_expires_after at most open_for",
            )


def slow_calls_are_cut(stack: Stack) -> Iterator[Finding]:
    """Warn of a limit inside a breaker that cuts calls before they count as slow."""
    for breaker in stack.of("circuit_breaker"):
        limit = stack.worst(breaker).latency
        slow = getattr(breaker.settings.get("trip"), "slower_than", None)
        if slow is not None and slow >= limit:
            yield Finding(
                "slow-calls-are-cut",
                Severity.WARNING,
                breaker.label,
                f"calls count as slow above {slow:g} s, but are cut at {limit:g} s before, so none is ever slow",
                "make slower_than clearly less than the limit inside",
            )


def unbounded_queue(stack: Stack) -> Iterator[Finding]:
    """Mention a queue whose waiters nothing limits: they stay for as long as the dependency hangs."""
    for bulkhead in stack.of("bulkhead"):
        waits = bulkhead.settings["max_waiting"] > 0 and bulkhead.settings["max_wait"] is None
        if waits and not stack.outside(bulkhead, "timeout"):
            yield Finding(
                "unbounded-wait",
                Severity.ADVICE,
                bulkhead.label,
                "a call waits for a slot for as long as it takes, unless its caller has set a deadline",
                "set max_wait, or put a Timeout for the whole call outermost",
            )


def chaos_is_enabled(stack: Stack) -> Iterator[Finding]:
    """Warn of chaos that is on: left on by mistake, it is an outage of one's own making."""
    for chaos in stack.of("chaos"):
        rate: float = chaos.settings["rate"]
        if rate > 0 and chaos.policy.snapshot().active:
            yield Finding(
                "chaos-is-enabled",
                Severity.WARNING,
                chaos.label,
                f"{rate:.3g} of all calls are disturbed on purpose",
                "fine in a test; elsewhere leave enabled at False, or take it out",
            )


def _retries(stack: Stack) -> Iterator[Layer]:
    return (retry for retry in stack.of("retry") if retry.settings["attempts"] > 1)


def _seconds(layer: Layer) -> str:
    return f"{layer.limit:g} s"


AMOUNT_RULES: tuple[Rule, ...] = (
    hedge_not_idempotent,
    nested_retries,
    no_timeout,
    retry_without_attempt_timeout,
    attempts_exceed_deadline,
    limit_never_reached,
    retry_without_budget,
    probe_lease_too_long,
    slow_calls_are_cut,
    chaos_is_enabled,
    unbounded_queue,
    idempotence_not_said,
    single_attempt,
)
