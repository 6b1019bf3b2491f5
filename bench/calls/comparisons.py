"""What is compared with what, and the most that ours may cost of theirs."""

import asyncio

import circuitbreaker
import nopanic
from calls.wrapping import (
    BUS,
    RATE,
    SLOW,
    asyncio_timeout,
    breaker,
    old_open_breaker,
    open_breaker,
    plain,
    quick,
    retry,
    stack,
    suspends,
    their_open_breaker,
    their_stack,
    uncounted,
)

from outlast.events import CircuitOpened, Event
from outlast.policies import (
    Bulkhead,
    Fallback,
    Hedge,
    RateLimit,
    SingleFlight,
    Timeout,
)


class Row:
    """One comparison.

    Args:
        name: What is compared.
        fn: The bare function.
        ours: Puts our policy around it, and returns the function and what counts its calls.
        theirs: Puts the other library's around it.
        peer: The other library.
        bar: The most that our overhead may be of theirs, or None.
        how: `sync`, `async`, `tasks`, `threads`, or `refused` and `arefused`.
        kwargs: Keyword arguments of the call.
    """

    def __init__(self, name, fn, ours, theirs, peer="nopanic", bar=None, how=None, kwargs=None):
        self.name, self.fn, self.ours, self.theirs, self.peer, self.bar = name, fn, ours, theirs, peer, bar
        self.how = how or ("async" if asyncio.iscoroutinefunction(fn) else "sync")
        self.kwargs = kwargs or {}


def rows():
    """Return the table: first what has a bar, then what is for information."""
    slow = {"slow_call_duration": 1.0, "slow_call_threshold": 0.5}
    found = []
    for fn, colour in ((plain, "sync"), (quick, "async")):
        found += [
            Row(f"breaker, failure rate over 30 s, {colour}", fn, breaker(**RATE), nopanic.circuit_breaker(), bar=0.25),
            Row(f"same with slow-call rule, {colour}", fn, breaker(**SLOW), nopanic.circuit_breaker(**slow), bar=0.30),
            Row(
                f"breaker, consecutive failures, {colour}",
                fn,
                breaker(),
                circuitbreaker.CircuitBreaker(5, 30, name=f"bench {colour}"),
                "circuitbreaker",
                0.40,
            ),
            Row(f"retry, {colour}", fn, retry, nopanic.retry(4), bar=0.80),
            Row(
                f"bulkhead, {colour}", fn, uncounted(lambda: Bulkhead(1000, bus=BUS)), nopanic.bulkhead(1000), bar=0.20
            ),
        ]
    limit = uncounted(lambda: Timeout(5.0, bus=BUS))
    found += [
        Row("timeout, callee does not suspend", quick, limit, asyncio_timeout, "asyncio.timeout", 0.30),
        Row("timeout, callee suspends", suspends, limit, asyncio_timeout, "asyncio.timeout", 0.30),
        Row(
            "retry + breaker + bulkhead + timeout, async",
            quick,
            stack(timeout=True),
            their_stack(timeout=True),
            bar=0.20,
        ),
        Row("same without timeout, sync", plain, stack(timeout=False), their_stack(timeout=False), bar=0.25),
    ]
    opening = open_breaker(CircuitOpened)
    found += [
        Row("rejection by an open circuit, sync", plain, opening, their_open_breaker, bar=0.45, how="refused"),
        Row("rejection by an open circuit, async", quick, opening, their_open_breaker, bar=0.45, how="arefused"),
    ]
    words = {"order": 1, "amount": 2}
    return [
        *found,
        Row("rejection, each one heard, sync", plain, open_breaker(Event), their_open_breaker, how="refused"),
        Row("rejection, each one heard, async", quick, open_breaker(Event), their_open_breaker, how="arefused"),
        Row("rejection, sync", plain, opening, old_open_breaker, "circuitbreaker", how="refused"),
        Row("retry, theirs with a budget too, sync", plain, retry, nopanic.retry(4, budget=nopanic.RetryBudget())),
        Row("retry, theirs with a budget too, async", quick, retry, nopanic.retry(4, budget=nopanic.RetryBudget())),
        Row("breaker, rate, callee suspends", suspends, breaker(**RATE), nopanic.circuit_breaker()),
        Row("the four, callee suspends", suspends, stack(timeout=True), their_stack(timeout=True)),
        Row("breaker, rate, sync, keyword arguments", plain, breaker(**RATE), nopanic.circuit_breaker(), kwargs=words),
        Row("the four, keyword arguments", quick, stack(timeout=True), their_stack(timeout=True), kwargs=words),
        Row("breaker, rate, 1,000 tasks", suspends, breaker(**RATE), nopanic.circuit_breaker(), how="tasks"),
        Row("timeout, 1,000 tasks", suspends, limit, asyncio_timeout, "asyncio.timeout", how="tasks"),
        Row("the four, 1,000 tasks", suspends, stack(timeout=True), their_stack(timeout=True), how="tasks"),
        Row("breaker, rate, 4 threads", plain, breaker(**RATE), nopanic.circuit_breaker(), how="threads"),
        Row("the three, 4 threads", plain, stack(timeout=False), their_stack(timeout=False), how="threads"),
        Row("rate limit, sync", plain, uncounted(lambda: RateLimit(1e9, bus=BUS)), nopanic.rate_limit(1e9)),
        Row("rate limit, async", quick, uncounted(lambda: RateLimit(1e9, bus=BUS)), nopanic.rate_limit(1e9)),
        Row("fallback, sync", plain, uncounted(lambda: Fallback(value=0, bus=BUS)), nopanic.fallback(0)),
        Row("fallback, async", quick, uncounted(lambda: Fallback(value=0, bus=BUS)), nopanic.fallback(0)),
        Row(
            "hedge that is not needed",
            quick,
            uncounted(lambda: Hedge(delay=5.0, idempotent=True, bus=BUS)),
            nopanic.hedge(delay=5.0),
        ),
        Row(
            "single-flight, alone",
            quick,
            uncounted(lambda: SingleFlight(key=lambda *_: 0, bus=BUS)),
            nopanic.cache(1e-9, key=lambda *_: 0),
        ),
    ]
