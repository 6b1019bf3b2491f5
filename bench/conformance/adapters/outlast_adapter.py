"""outlast behind the adapter: every policy with the options that a user would write."""

from adapters.base import Adapter, BreakerAsked, BulkheadAsked, Guarded, HedgeAsked, RateAsked, RetryAsked, TimeoutAsked
from outlast.errors import RejectedError, ServerError
from outlast.events import EventBus
from outlast.policies import (
    Backoff,
    Bulkhead,
    CircuitBreaker,
    FailureRate,
    Fallback,
    HalfOpen,
    Hedge,
    Jitter,
    RateLimit,
    Retry,
    RetryBudget,
    SingleFlight,
    SlowCalls,
    Timeout,
    deadline,
)

ALL = {
    "breaker": set(BreakerAsked.__dataclass_fields__),
    "retry": set(RetryAsked.__dataclass_fields__),
    "timeout": set(TimeoutAsked.__dataclass_fields__),
    "bulkhead": set(BulkheadAsked.__dataclass_fields__),
    "rate_limit": set(RateAsked.__dataclass_fields__),
    "hedge": set(HedgeAsked.__dataclass_fields__),
}


class Outlast(Adapter):
    name = "outlast"
    refused = (RejectedError,)
    streams = True
    settings = ALL

    def make_breaker(self, stage, ask):
        bus = EventBus()
        if ask.listener is not None:
            bus.subscribe(lambda event: ask.listener())
        return CircuitBreaker(
            **self._trip(ask),
            open_for=ask.open_for,
            recovery=HalfOpen(max_calls=ask.probes, success_threshold=ask.successes),
            open_growth=None if ask.growth is None else Backoff.exponential(factor=ask.growth, cap=3600),
            ignore=ask.ignore,
            failed_result=ask.failed_result,
            failure_if=ask.failure_if,
            bus=bus,
        )

    def _trip(self, ask):
        if ask.rate is not None:
            return {"trip": FailureRate(ask.rate, over_seconds=ask.window or 30.0, min_calls=ask.failures)}
        if ask.slow is not None:
            return {"trip": SlowCalls(0.5, slower_than=ask.slow, over_calls=10, min_calls=ask.failures)}
        return {"failure_threshold": ask.failures}

    def reset(self, stage, guarded):
        guarded.policy.reset()

    def make_retry(self, stage, ask):
        backoff = Backoff.fixed(ask.wait)
        if ask.jitter:
            backoff = Backoff(base=ask.wait, cap=ask.cap, jitter=Jitter.PROPORTIONAL, amount=0.5)
        options = {
            "max_retry_after": ask.max_retry_after,
            "budget": ask.budget,
            "again_if": ask.on_result,
            "idempotent": False if ask.in_doubt else None,
        }
        options = {name: value for name, value in options.items() if value is not None}
        on = None if ask.unlisted else ask.rule or ask.on
        return Retry(ask.attempts, on=on, backoff=backoff, max_elapsed=ask.total, **options)

    def attempts(self, stage, *, attempts=3, wait=0.0):
        return Retry(attempts, on=Exception, backoff=Backoff.fixed(wait)).attempts()

    def asks(self, stage, seconds):
        return ServerError("busy", status_code=503, retry_after=seconds)

    def budget(self, stage, retries):
        return RetryBudget(ratio=0.0, per_second=0.0, reserve=retries)

    def make_timeout(self, stage, ask):
        options = {} if ask.most is None else {"max_abandoned": ask.most}
        return Timeout(ask.seconds, mode=None if stage.is_async else "thread", **options)

    def bare_timeout(self, stage, seconds):
        return Guarded(Timeout(seconds))

    def deadline(self, stage, seconds):
        return deadline(seconds)

    def make_bulkhead(self, stage, ask):
        return Bulkhead(ask.size, max_waiting=100 if ask.waiting is None else ask.waiting, max_wait=ask.max_wait)

    def make_rate_limit(self, stage, ask):
        return RateLimit(ask.calls, ask.per, burst=ask.burst, max_wait=ask.max_wait)

    def make_hedge(self, stage, ask):
        return Hedge(delay=ask.delay, max_hedges=ask.hedges, idempotent=True)

    def make_fallback(self, stage, ask):
        return Fallback(value=ask.value, on=ask.on)

    def make_single_flight(self, stage, ask):
        return SingleFlight(key=lambda *args: "key")


ADAPTERS = (Outlast(),)
