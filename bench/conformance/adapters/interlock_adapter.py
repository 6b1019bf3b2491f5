"""interlock-cb behind the adapter: its breaker, and its pipeline's strategies."""

import interlock

from adapters.base import Adapter
from adapters.retries import tenacity_retry


class Classifier:
    def __init__(self, ask):
        self.ask = ask

    def is_failure(self, *, result, exception):
        if exception is None:
            return self.ask.failed_result is not None and self.ask.failed_result(result)
        if self.ask.failure_if is not None:
            return self.ask.failure_if(exception)
        return not isinstance(exception, self.ask.ignore)


class Listener:
    def __init__(self, listener):
        self.listener = listener

    def on_state_change(self, *, name, old, new):
        self.listener()


class Interlock(Adapter):
    name, distribution = "interlock", "interlock-cb"
    refused = (interlock.CircuitOpenError, interlock.BulkheadFullError)
    settings = {  # noqa: RUF012
        "breaker": {
            "rate", "window", "slow", "probes", "successes", "growth", "ignore", "failure_if", "failed_result",
            "listener",
        },
        "retry": {"rule", "on_result", "cap", "jitter"},
        "bulkhead": {"max_wait"},
    }  # fmt: skip

    def make_breaker(self, stage, ask):
        options = {"window_size": max(10, ask.failures)}
        if ask.window is not None:
            options = {"window_type": interlock.WindowType.TIME_BASED, "window_size": max(1, round(ask.window))}
        if ask.slow is not None:
            options |= {"slow_call_duration_threshold": ask.slow, "slow_call_rate_threshold": 0.5}
        config = interlock.Config(
            failure_rate_threshold=ask.rate or 0.5,
            minimum_number_of_calls=ask.failures,
            wait_duration_in_open=ask.open_for,
            permitted_calls_in_half_open=ask.successes,
            max_concurrent_probes=ask.probes,
            wait_duration_backoff_multiplier=ask.growth or 1.0,
            **options,
        )
        judges = ask.failed_result is not None or ask.failure_if is not None or ask.ignore
        return interlock.CircuitBreaker(
            name="conformance",
            config=config,
            classifier=Classifier(ask) if judges else None,
            listener=None if ask.listener is None else Listener(ask.listener),
        )

    def reset(self, stage, guarded):
        guarded.policy.reset()

    def make_retry(self, stage, ask):
        when, pause = tenacity_retry(ask)
        return interlock.Pipeline.builder().retry(attempts=ask.attempts, retry=when, wait=pause).build()

    def make_timeout(self, stage, ask):
        return interlock.Pipeline(interlock.TimeoutStrategy(ask.seconds))

    def make_bulkhead(self, stage, ask):
        max_wait = 60.0 if ask.max_wait is None else ask.max_wait
        return interlock.Pipeline(interlock.BulkheadStrategy(ask.size, max_wait=max_wait))

    def make_fallback(self, stage, ask):
        return interlock.Pipeline(interlock.FallbackStrategy(lambda _: ask.value, on=(ask.on,)))


ADAPTERS = (Interlock(),)
