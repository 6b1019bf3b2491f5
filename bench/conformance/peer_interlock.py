"""interlock-cb behind the adapter: its breaker, and its pipeline's strategies."""

import interlock
from adapter import Adapter, Guarded, only


class Classifier:
    def __init__(self, ignore, failed_result, failure_if):
        self.ignore, self.failed_result, self.failure_if = ignore, failed_result, failure_if

    def is_failure(self, *, result, exception):
        if exception is None:
            return self.failed_result is not None and self.failed_result(result)
        if self.failure_if is not None:
            return self.failure_if(exception)
        return not isinstance(exception, self.ignore)


class Listener:
    def __init__(self, listener):
        self.listener = listener

    def on_state_change(self, *, name, old, new):
        self.listener()


class Interlock(Adapter):
    name, distribution = "interlock", "interlock-cb"
    refused = (interlock.CircuitOpenError, interlock.BulkheadFullError)

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
        window=None,
        consecutive=None,
    ):
        only({"consecutive_failures": consecutive})
        options = {} if slow is None else {"slow_call_duration_threshold": slow, "slow_call_rate_threshold": 0.5}
        if window is not None:
            options |= {"window_type": interlock.WindowType.TIME_BASED, "window_size": max(1, round(window))}
        else:
            options["window_size"] = max(10, failures)
        config = interlock.Config(
            failure_rate_threshold=rate or 0.5,
            minimum_number_of_calls=failures,
            wait_duration_in_open=open_for,
            permitted_calls_in_half_open=successes or probes,
            max_concurrent_probes=probes,
            wait_duration_backoff_multiplier=growth or 1.0,
            **options,
        )
        judges = failed_result is not None or failure_if is not None or ignore
        breaker = interlock.CircuitBreaker(
            name="conformance",
            config=config,
            classifier=Classifier(ignore or (), failed_result, failure_if) if judges else None,
            listener=None if listener is None else Listener(listener),
        )
        return Guarded(breaker, breaker, streams=False)

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
        import tenacity

        only(
            {
                "effects_in_doubt": in_doubt,
                "a_default_classification": on if on == "default" else None,
                "a_total_time": total,
                "a_budget": budget,
                "retry_after": max_retry_after,
            }
        )
        when = tenacity.retry_if_exception(rule) if rule else tenacity.retry_if_exception_type(on)
        if on_result is not None:
            when |= tenacity.retry_if_result(on_result)
        pause = tenacity.wait_random_exponential(multiplier=wait, max=cap) if jitter else tenacity.wait_fixed(wait)
        return Guarded(
            interlock.Pipeline.builder().retry(attempts=attempts, retry=when, wait=pause).build(), streams=False
        )

    def timeout(self, stage, seconds, *, cuts=True, most=None):
        only({"how_many_calls_may_be_left_running": most})
        return Guarded(interlock.Pipeline(interlock.TimeoutStrategy(seconds)), streams=False)

    def bare_timeout(self, stage, seconds):
        return self.timeout(stage, seconds)

    def bulkhead(self, stage, size, *, waiting=None, max_wait=None):
        only({"how_many_may_wait": waiting})
        strategy = interlock.BulkheadStrategy(size, max_wait=60.0 if max_wait is None else max_wait)
        return Guarded(interlock.Pipeline(strategy), streams=False)

    def fallback(self, stage, value, *, on=Exception):
        return Guarded(interlock.Pipeline(interlock.FallbackStrategy(lambda _: value, on=(on,))), streams=False)


ADAPTER = Interlock()
