"""The libraries that are circuit breakers and little else."""

import datetime as dt

import aiobreaker
import circuitbreaker
import purgatory
import pybreaker
from demand import NotApplicable
from purgatory.domain.model import OpenedState

from adapters.base import Adapter, types


class Circuitbreaker(Adapter):
    name = "circuitbreaker"
    refused = (circuitbreaker.CircuitBreakerError,)
    streams = True
    settings = {"breaker": {"consecutive", "ignore", "failure_if"}}  # noqa: RUF012

    def make_breaker(self, stage, ask):
        expected = Exception
        if ask.ignore:

            def expected(kind, value):
                return not issubclass(kind, ask.ignore)

        if ask.failure_if:

            def expected(kind, value):
                return ask.failure_if(value)

        return circuitbreaker.CircuitBreaker(ask.failures, ask.open_for, expected, name="conformance")

    def reset(self, stage, guarded):
        guarded.policy.reset()

    def retry_after(self, error):
        raise NotApplicable("says in whole seconds when to come again")


def excluded(ask):
    """Return what aiobreaker and pybreaker take as `exclude`."""
    if ask.failure_if:
        return [lambda error: not ask.failure_if(error)]
    return list(types(ask.ignore))


def listeners(base, ask):
    """Return what aiobreaker and pybreaker take as `listeners`."""
    if ask.listener is None:
        return []

    class Listener(base):
        def state_change(self, *args):
            ask.listener()

    return [Listener()]


class Aiobreaker(Adapter):
    name = "aiobreaker"
    colours = ("async",)
    refused = (aiobreaker.CircuitBreakerError,)
    any_callable = False
    settings = {"breaker": {"consecutive", "ignore", "failure_if", "listener"}}  # noqa: RUF012

    def make_breaker(self, stage, ask):
        breaker = aiobreaker.CircuitBreaker(
            ask.failures,
            dt.timedelta(seconds=ask.open_for),
            exclude=excluded(ask),
            listeners=listeners(aiobreaker.CircuitBreakerListener, ask),
        )

        def wrap(fn):
            async def called(*args, **kwargs):
                return await breaker.call_async(fn, *args, **kwargs)

            return called

        return wrap, breaker

    def reset(self, stage, guarded):
        guarded.policy.close()

    def retry_after(self, error):
        return error.time_remaining.total_seconds()


class Purgatory(Adapter):
    name = "purgatory"
    refused = (OpenedState,)
    any_callable = False
    settings = {"breaker": {"consecutive", "ignore"}}  # noqa: RUF012

    def make_breaker(self, stage, ask):
        kind = purgatory.AsyncCircuitBreakerFactory if stage.is_async else purgatory.SyncCircuitBreakerFactory
        factory = kind(default_threshold=ask.failures, default_ttl=ask.open_for, exclude=list(types(ask.ignore)))
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

        return wrap, factory


class Pybreaker(Adapter):
    name = "pybreaker"
    colours = ("sync",)  # its async form needs Tornado
    one_at_a_time = True
    refused = (pybreaker.CircuitBreakerError,)
    streams = True
    settings = {"breaker": {"consecutive", "successes", "ignore", "failure_if", "listener"}}  # noqa: RUF012

    def make_breaker(self, stage, ask):
        return pybreaker.CircuitBreaker(
            ask.failures,
            ask.open_for,
            success_threshold=ask.successes,
            exclude=excluded(ask),
            listeners=listeners(pybreaker.CircuitBreakerListener, ask),
            throw_new_error_on_trip=False,
        )

    def reset(self, stage, guarded):
        guarded.policy.close()


ADAPTERS = (Circuitbreaker(), Aiobreaker(), Purgatory(), Pybreaker())
