"""nopanic behind the adapter."""

import nopanic
from demand import NotApplicable
from nopanic import backoff as waits

from adapters.base import Adapter


class Asks(ConnectionError):
    def __init__(self, seconds):
        super().__init__(f"come again in {seconds} s")
        self.retry_after = seconds


class Nopanic(Adapter):
    name = "nopanic"
    refused = (nopanic.CircuitOpen, nopanic.BulkheadFull, nopanic.RateLimited)
    streams = True
    settings = {  # noqa: RUF012
        "breaker": {"rate", "window", "slow", "probes", "successes", "ignore", "failure_if", "listener"},
        "retry": {"rule", "on_result", "cap", "jitter", "total", "budget", "max_retry_after"},
        "timeout": {"most"},
        "bulkhead": {"max_wait"},
        "rate_limit": {"burst", "max_wait"},
        "hedge": {"hedges"},
    }

    def make_breaker(self, stage, ask):
        if ask.successes not in {1, ask.probes}:
            raise NotApplicable("has no setting for successes")
        options = {} if ask.slow is None else {"slow_call_duration": ask.slow, "slow_call_threshold": 0.5}
        return nopanic.circuit_breaker(
            failure_threshold=ask.rate or 0.5,
            min_calls=ask.failures,
            window=ask.window or 30.0,
            reset_timeout=ask.open_for,
            half_open_max_calls=ask.probes,
            on=self._on(ask),
            on_state_change=None if ask.listener is None else (lambda *_: ask.listener()),
            name="conformance",
            **options,
        )

    def _on(self, ask):
        if ask.ignore:
            return lambda error: not isinstance(error, ask.ignore)
        return ask.failure_if or Exception

    def reset(self, stage, guarded):
        guarded.policy.reset()

    def make_retry(self, stage, ask):
        options = {} if ask.max_retry_after is None else {"retry_after_cap": ask.max_retry_after}
        return nopanic.retry(
            ask.attempts,
            on=ask.rule or ask.on,
            backoff=waits.full_jitter(ask.wait, cap=ask.cap) if ask.jitter else ask.wait,
            max_time=ask.total,
            budget=ask.budget,
            on_result=ask.on_result,
            **options,
        )

    def asks(self, stage, seconds):
        return Asks(seconds)

    def budget(self, stage, retries):
        return nopanic.RetryBudget(0.0, min_retries_per_sec=retries / 10.0, window=10.0)

    def make_timeout(self, stage, ask):
        options = {} if ask.most is None else {"max_abandoned": ask.most}
        return nopanic.timeout(ask.seconds, **options)

    def make_bulkhead(self, stage, ask):
        return nopanic.bulkhead(ask.size, max_wait=ask.max_wait)

    def make_rate_limit(self, stage, ask):
        return nopanic.rate_limit(ask.calls, ask.per, burst=ask.burst, max_wait=ask.max_wait)

    def make_hedge(self, stage, ask):
        if not stage.is_async:
            raise NotApplicable("has no sync hedges")
        return nopanic.hedge(delay=ask.delay, max_hedges=ask.hedges)

    def make_fallback(self, stage, ask):
        return nopanic.fallback(lambda *_, **__: ask.value, on=ask.on)

    def make_single_flight(self, stage, ask):
        return nopanic.cache(0.001, key=lambda *args: "key", single_flight=True)

    def deadline(self, stage, seconds):
        return nopanic.deadline(seconds)


ADAPTERS = (Nopanic(),)
