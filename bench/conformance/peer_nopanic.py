"""nopanic behind the adapter."""

import nopanic
from adapter import Adapter, Guarded, only
from nopanic import backoff as waits


class Asks(ConnectionError):
    def __init__(self, seconds):
        super().__init__(f"come again in {seconds} s")
        self.retry_after = seconds


class Nopanic(Adapter):
    name = distribution = "nopanic"
    refused = (nopanic.CircuitOpen, nopanic.BulkheadFull, nopanic.RateLimited)

    def breaker(
        self,
        stage,
        *,
        failures=3,
        open_for=0.15,
        probes=1,
        successes=None,
        lease=None,
        rate=None,
        slow=None,
        ignore=None,
        listener=None,
        failed_result=None,
        failure_if=None,
        growth=None,
        window=30.0,
        consecutive=None,
    ):
        only(
            {
                "success_threshold": None if successes in {None, probes} else successes,
                "results": failed_result,
                "growth_of_the_open_time": growth,
                "consecutive_failures": consecutive,
            }
        )
        on = Exception
        if ignore:

            def on(error):
                return not isinstance(error, ignore)

        if failure_if is not None:
            on = failure_if
        changed = None if listener is None else (lambda *_: listener())
        options = {} if slow is None else {"slow_call_duration": slow, "slow_call_threshold": 0.5}
        breaker = nopanic.circuit_breaker(
            failure_threshold=rate or 0.5,
            min_calls=failures,
            window=window,
            reset_timeout=open_for,
            half_open_max_calls=probes,
            on=on,
            on_state_change=changed,
            name="conformance",
            **options,
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
        only({"effects_in_doubt": in_doubt, "a_default_classification": on if on == "default" else None})
        options = {} if max_retry_after is None else {"retry_after_cap": max_retry_after}
        chosen = waits.exponential(wait, cap=cap) if jitter and hasattr(waits, "exponential") else wait
        if jitter:
            chosen = waits.full_jitter(wait, cap=cap)
        retry = nopanic.retry(
            attempts, on=rule or on, backoff=chosen, max_time=total, budget=budget, on_result=on_result, **options
        )
        return Guarded(retry, retry)

    def asks(self, stage, seconds):
        return Asks(seconds)

    def budget(self, stage, retries):
        return nopanic.RetryBudget(0.0, min_retries_per_sec=retries / 10.0, window=10.0)

    def timeout(self, stage, seconds, *, cuts=True, most=None):
        options = {} if most is None else {"max_abandoned": most}
        timeout = nopanic.timeout(seconds, **options)
        return Guarded(timeout, timeout)

    def bare_timeout(self, stage, seconds):
        return self.timeout(stage, seconds)

    def bulkhead(self, stage, size, *, waiting=None, max_wait=None):
        only({"how_many_may_wait": waiting})
        bulkhead = nopanic.bulkhead(size, max_wait=max_wait)
        return Guarded(bulkhead, bulkhead)

    def rate_limit(self, stage, calls, per, *, burst=None, max_wait=0.0):
        return Guarded(nopanic.rate_limit(calls, per, burst=burst, max_wait=max_wait))

    def hedge(self, stage, delay, *, hedges=1):
        if not stage.is_async:
            only({"sync_hedges": True})
        return Guarded(nopanic.hedge(delay=delay, max_hedges=hedges))

    def fallback(self, stage, value, *, on=Exception):
        return Guarded(nopanic.fallback(lambda *_, **__: value, on=on), streams=False)

    def single_flight(self, stage):
        return Guarded(nopanic.cache(0.001, key=lambda *args: "key", single_flight=True), streams=False)

    def deadline(self, stage, seconds):
        return nopanic.deadline(seconds)


ADAPTER = Nopanic()
