"""The functions that are called, and what puts policies around them: ours, which say what they count, and theirs."""

import asyncio
import time

import circuitbreaker
import nopanic

from outlast.events import Event, EventBus
from outlast.policies import (
    Bulkhead,
    CircuitBreaker,
    FailureRate,
    Pipeline,
    Retry,
    SlowCalls,
    Timeout,
)
from outlast.registry import Registry

BUS = EventBus()
BUS.subscribe(lambda event: None, Event)
nopanic.subscribe(lambda event: None)

RATE = {"trip": FailureRate(0.5, over_seconds=30.0)}
SLOW = {
    "trip": FailureRate(0.5, over_seconds=30.0) | SlowCalls(0.5, slower_than=1.0, over_seconds=30.0),
}


def plain(*args, **kwargs):
    return None


async def quick(*args, **kwargs):
    return None


async def suspends(*args, **kwargs):
    await asyncio.sleep(0)


def breaker(**options):
    """Return what decorates with our breaker and says how many calls it has counted."""

    def decorate(fn):
        made = CircuitBreaker(bus=BUS, **options)
        return made(fn), lambda: made.snapshot().calls

    return decorate


def uncounted(make):
    """Return what decorates with one of our policies that keeps no count of successes."""
    return lambda fn: (make()(fn), None)


def retry(fn):
    made = Retry(4, bus=BUS)
    return made(fn), lambda: made.budget.snapshot().calls


def stack(*, timeout):
    """Retry with its budget, breaker, bulkhead and, in async code, timeout; the pipeline counts and times its calls."""

    def decorate(fn):
        inner = CircuitBreaker(trip=FailureRate(0.5, over_seconds=30.0), bus=BUS)
        limits = (Timeout(5.0, bus=BUS),) if timeout else ()
        made = Pipeline("bench", Retry(4, bus=BUS), inner, Bulkhead(1000, bus=BUS), *limits, registry=Registry())
        return made(fn), lambda: agreed(made, inner)

    return decorate


def four():
    """Return a pipeline of the four, unregistered."""
    policies = (Retry(4, bus=BUS), CircuitBreaker(bus=BUS, **RATE), Bulkhead(10, bus=BUS), Timeout(5.0, bus=BUS))
    return Pipeline("bench", *policies, registry=Registry())


def agreed(pipeline, inner):
    """Return how many calls were counted, or -1 when those who count do not agree."""
    stats = pipeline.snapshot().calls
    counts = {inner.snapshot().calls, stats.success, stats.latencies.calls}
    return counts.pop() if len(counts) == 1 else -1


def their_stack(*, timeout):
    limits = (nopanic.timeout(5.0),) if timeout else ()
    return nopanic.compose(nopanic.retry(4), nopanic.circuit_breaker(), nopanic.bulkhead(1000), *limits)


def open_breaker(*heard):
    """Return what decorates with an open breaker, one listener to events of these types attached."""

    def decorate(fn):
        bus = EventBus()
        bus.subscribe(lambda event: None, *heard)
        made = CircuitBreaker(open_for=3600.0, bus=bus)
        made.force_open()
        return made(fn), lambda: made.snapshot().rejected

    return decorate


def their_open_breaker(fn):
    made = nopanic.circuit_breaker(reset_timeout=3600.0)
    made.force_open()
    return made(fn)


def old_open_breaker(fn):
    made = circuitbreaker.CircuitBreaker(1, 3600, name="open")
    wrapped = made(fn)
    made._state, made._opened = "open", time.monotonic()  # noqa: SLF001 - it has no way to open it by hand
    return wrapped


def asyncio_timeout(fn):
    async def limited(*args, **kwargs):
        async with asyncio.timeout(5.0):
            return await fn(*args, **kwargs)

    return limited
