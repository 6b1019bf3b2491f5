"""The libraries that are circuit breakers and little else."""

import datetime as dt

import aiobreaker
import circuitbreaker
import hyx.bulkhead
import hyx.circuitbreaker
import hyx.fallback
import hyx.retry
import hyx.timeout
import purgatory
import pybreaker
from adapter import Adapter, Guarded, only
from hyx.bulkhead.exceptions import BulkheadFull
from hyx.circuitbreaker.exceptions import BreakerFailing
from purgatory.domain.model import OpenedState
from stage import NotApplicable


def basics(options, *also):
    """Refuse what a breaker of consecutive failures has no setting for."""
    names = {
        "rate": "failure_rate",
        "slow": "slow_calls",
        "failed_result": "results",
        "growth": "growth_of_the_open_time",
        "failure_if": "predicates",
        "ignore": "ignored_exceptions",
        "listener": "listeners",
    }
    for key, name in names.items():
        if key not in also and options.get(key):
            raise NotApplicable(f"has no setting for {name.replace('_', ' ')}")
    if options.get("probes", 1) != 1:
        raise NotApplicable("has no setting for several probes")
    if options.get("successes", 1) != 1 and "successes" not in also:
        raise NotApplicable("has no setting for a success threshold")


class Circuitbreaker(Adapter):
    name = distribution = "circuitbreaker"
    refused = (circuitbreaker.CircuitBreakerError,)

    def breaker(self, stage, *, failures=3, open_for=0.15, **options):
        basics(options, "failure_if", "ignore")
        expected = Exception
        if options.get("ignore"):

            def expected(kind, value):
                return not issubclass(kind, options["ignore"])

        if options.get("failure_if"):

            def expected(kind, value):
                return options["failure_if"](value)

        breaker = circuitbreaker.CircuitBreaker(failures, open_for, expected, name="conformance")
        return Guarded(breaker, breaker)

    def reset(self, stage, guarded):
        guarded.policy.reset()

    def retry_after(self, error):
        raise NotApplicable("says in whole seconds when to come again")


class Aiobreaker(Adapter):
    name = distribution = "aiobreaker"
    refused = (aiobreaker.CircuitBreakerError,)

    def breaker(self, stage, *, failures=3, open_for=0.15, **options):
        if not stage.is_async:
            raise NotApplicable("is for async code")
        basics(options, "ignore", "listener", "failure_if")
        listeners = []
        if options.get("listener"):

            class Listener(aiobreaker.CircuitBreakerListener):
                def state_change(self, *args):
                    options["listener"]()

            listeners = [Listener()]
        exclude = list(_types(options.get("ignore")))
        if options.get("failure_if"):
            exclude = [lambda error: not options["failure_if"](error)]
        breaker = aiobreaker.CircuitBreaker(
            failures, dt.timedelta(seconds=open_for), exclude=exclude, listeners=listeners
        )

        def wrap(fn):
            async def called(*args, **kwargs):
                return await breaker.call_async(fn, *args, **kwargs)

            return called

        return Guarded(wrap, breaker, streams=False, any_callable=False)

    def reset(self, stage, guarded):
        guarded.policy.close()

    def retry_after(self, error):
        return error.time_remaining.total_seconds()


class Purgatory(Adapter):
    name = distribution = "purgatory"
    refused = (OpenedState,)

    def breaker(self, stage, *, failures=3, open_for=0.15, **options):
        basics(options, "ignore")
        kind = purgatory.AsyncCircuitBreakerFactory if stage.is_async else purgatory.SyncCircuitBreakerFactory
        factory = kind(default_threshold=failures, default_ttl=open_for, exclude=list(_types(options.get("ignore"))))
        if stage.is_async:

            def wrap(fn):
                async def called(*args, **kwargs):
                    async with await factory.get_breaker("conformance"):
                        return await fn(*args, **kwargs)

                return called
        else:

            def wrap(fn):
                def called(*args, **kwargs):
                    with factory.get_breaker("conformance"):
                        return fn(*args, **kwargs)

                return called

        return Guarded(wrap, factory, streams=False, any_callable=False)

    def retry_after(self, error):
        raise NotApplicable("says nothing about when to come again")


class Pybreaker(Adapter):
    name = distribution = "pybreaker"
    one_at_a_time = True
    refused = (pybreaker.CircuitBreakerError,)

    def breaker(self, stage, *, failures=3, open_for=0.15, **options):
        if stage.is_async:
            raise NotApplicable("is for sync code (its async form needs Tornado)")
        basics(options, "ignore", "listener", "successes", "failure_if")
        listeners = []
        if options.get("listener"):

            class Listener(pybreaker.CircuitBreakerListener):
                def state_change(self, *args):
                    options["listener"]()

            listeners = [Listener()]
        exclude = list(_types(options.get("ignore")))
        if options.get("failure_if"):
            exclude = [lambda error: not options["failure_if"](error)]
        breaker = pybreaker.CircuitBreaker(
            failures,
            open_for,
            success_threshold=options.get("successes", 1),
            exclude=exclude,
            listeners=listeners,
            throw_new_error_on_trip=False,
        )
        return Guarded(breaker, breaker)

    def reset(self, stage, guarded):
        guarded.policy.close()

    def retry_after(self, error):
        raise NotApplicable("says nothing about when to come again")


class Hyx(Adapter):
    name = distribution = "hyx"
    refused = (BreakerFailing, BulkheadFull)

    def _async(self, stage):
        if not stage.is_async:
            raise NotApplicable("is for async code")

    def breaker(self, stage, *, failures=3, open_for=0.15, **options):
        self._async(stage)
        basics(options, "successes")
        breaker = hyx.circuitbreaker.consecutive_breaker(
            failure_threshold=failures, recovery_time_secs=open_for, recovery_threshold=options.get("successes", 1)
        )
        return Guarded(breaker, breaker, streams=False, any_callable=False)

    def retry_after(self, error):
        raise NotApplicable("says nothing about when to come again")

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
        self._async(stage)
        only(
            {
                "effects_in_doubt": in_doubt,
                "a_default_classification": on if on == "default" else None,
                "a_total_time": total,
                "a_budget": budget,
                "retry_after": max_retry_after,
                "results": on_result,
                "predicates": rule,
                "capped_jitter": jitter or None,
            }
        )
        return Guarded(hyx.retry.retry(on=on, attempts=attempts - 1, backoff=wait), streams=False, any_callable=False)

    def timeout(self, stage, seconds, *, cuts=True, most=None):
        self._async(stage)
        return Guarded(hyx.timeout.timeout(seconds), streams=False, any_callable=False)

    def bulkhead(self, stage, size, *, waiting=None, max_wait=None):
        self._async(stage)
        only({"how_long_to_wait": max_wait})
        bulkhead = hyx.bulkhead.bulkhead(size, size + (100 if waiting is None else waiting))
        return Guarded(bulkhead, streams=False, any_callable=False)

    def fallback(self, stage, value, *, on=Exception):
        self._async(stage)

        async def handler(*args, **kwargs):
            return value

        return Guarded(hyx.fallback.fallback(handler, on=on), streams=False, any_callable=False)


def _types(ignore):
    return (ignore,) if isinstance(ignore, type) else tuple(ignore or ())


ADAPTERS = (Circuitbreaker(), Aiobreaker(), Purgatory(), Pybreaker(), Hyx())
