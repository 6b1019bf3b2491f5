"""outlast behind the adapter: every policy with the options that a user would write."""

from adapter import Adapter, Guarded

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


class Outlast(Adapter):
    name = "outlast"
    distribution = "outlast"
    refused = (RejectedError,)

    def breaker(
        self,
        stage,
        *,
        failures=3,
        open_for=0.15,
        probes=1,
        successes=1,
        lease=None,
        rate=None,
        slow=None,
        ignore=(),
        listener=None,
        failed_result=None,
        failure_if=None,
        growth=None,
        window=30.0,
    ):
        bus = EventBus()
        if listener is not None:
            bus.subscribe(lambda event: listener())
        trip = {"failure_threshold": failures}
        if rate is not None:
            trip = {"trip": FailureRate(rate, over_seconds=window, min_calls=failures)}
        if slow is not None:
            trip = {"trip": SlowCalls(0.5, slower_than=slow, over_calls=10, min_calls=failures)}
        breaker = CircuitBreaker(
            **trip,
            open_for=open_for,
            recovery=HalfOpen(max_calls=probes, success_threshold=successes, probe_expires_after=lease),
            open_growth=None if growth is None else Backoff.exponential(factor=growth, cap=3600),
            ignore=ignore,
            failed_result=failed_result,
            failure_if=failure_if,
            bus=bus,
        )
        return Guarded(breaker, breaker)

    def reset(self, stage, guarded):
        guarded.policy.reset()

    def retry(
        self,
        stage,
        *,
        attempts=3,
        on=Exception,
        wait=0.0,
        cap=None,
        jitter=False,
        total=None,
        budget=None,
        max_retry_after=None,
        rule=None,
        on_result=None,
        in_doubt=None,
    ):
        backoff = (
            Backoff.fixed(wait) if not jitter else Backoff(base=wait, cap=cap, jitter=Jitter.PROPORTIONAL, amount=0.5)
        )
        options = {}
        if max_retry_after is not None:
            options["max_retry_after"] = max_retry_after
        if budget is not None:
            options["budget"] = budget
        if on_result is not None:
            options["again_if"] = on_result
        if in_doubt is not None:
            options["idempotent"] = not in_doubt
        on = rule or on
        retry = Retry(attempts, on=None if on == "default" else on, backoff=backoff, max_elapsed=total, **options)
        return Guarded(retry, retry)

    def attempts(self, stage, *, attempts=3, wait=0.0):
        return Retry(attempts, on=Exception, backoff=Backoff.fixed(wait)).attempts()

    def asks(self, stage, seconds):
        return ServerError("busy", status_code=503, retry_after=seconds)

    def budget(self, stage, retries):
        return RetryBudget(ratio=0.0, per_second=0.0, reserve=retries)

    def timeout(self, stage, seconds, *, cuts=True, most=None):
        options = {} if most is None else {"max_abandoned": most}
        mode = None if stage.is_async else "thread" if cuts else "cooperative"
        timeout = Timeout(seconds, mode=mode, **options)
        return Guarded(timeout, timeout)

    def bare_timeout(self, stage, seconds):
        return Guarded(Timeout(seconds))

    def deadline(self, stage, seconds):
        return deadline(seconds)

    def bulkhead(self, stage, size, *, waiting=None, max_wait=None):
        bulkhead = Bulkhead(size, max_waiting=100 if waiting is None else waiting, max_wait=max_wait)
        return Guarded(bulkhead, bulkhead)

    def rate_limit(self, stage, calls, per, *, burst=None, max_wait=0.0):
        limit = RateLimit(calls, per, burst=burst, max_wait=max_wait)
        return Guarded(limit, limit)

    def hedge(self, stage, delay, *, hedges=1):
        return Guarded(Hedge(delay=delay, max_hedges=hedges, idempotent=True))

    def fallback(self, stage, value, *, on=Exception):
        return Guarded(Fallback(value=value, on=on))

    def single_flight(self, stage):
        return Guarded(SingleFlight(key=lambda *args: "key"), streams=False)


ADAPTER = Outlast()
