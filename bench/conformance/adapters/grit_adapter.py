"""grit-toolkit behind the adapter."""

import grit
from demand import NotApplicable
from grit import exceptions

from adapters.base import Adapter


class Grit(Adapter):
    name, distribution = "grit", "grit-toolkit"
    refused = (exceptions.BreakerOpen, exceptions.BulkheadFull, exceptions.LimitExceeded)
    settings = {  # noqa: RUF012
        "breaker": {"consecutive", "probes", "successes", "listener"},
        "retry": {"rule", "cap", "jitter"},
        "bulkhead": {"max_wait"},
        "rate_limit": {"burst", "max_wait"},
    }

    def make_breaker(self, stage, ask):
        if ask.probes not in {1, ask.successes}:
            raise NotApplicable("has no setting for probes")
        breaker = grit.breaker(fails=ask.failures, reset_after=ask.open_for, success_threshold=ask.successes)
        if ask.listener is not None:
            breaker.on_change(lambda *_: ask.listener())
        return breaker

    def make_retry(self, stage, ask):
        pause = grit.decorr(base=ask.wait, cap=ask.cap) if ask.jitter else grit.constant(ask.wait)
        giveup = None if ask.rule is None else (lambda error: not ask.rule(error))
        return grit.retry(tries=ask.attempts, on=ask.on, wait=pause, giveup=giveup)

    def make_timeout(self, stage, ask):
        return grit.timeout(ask.seconds)

    def make_bulkhead(self, stage, ask):
        return grit.bulkhead(ask.size, timeout=60.0 if ask.max_wait is None else ask.max_wait)

    def make_rate_limit(self, stage, ask):
        if ask.max_wait < 5:
            raise NotApplicable("has no setting for the longest wait around a function")
        return grit.limiter(ask.calls, ask.per, burst=ask.burst)

    def make_hedge(self, stage, ask):
        return grit.hedge(ask.delay)

    def make_fallback(self, stage, ask):
        return grit.fallback(value=ask.value, on=ask.on)

    def make_single_flight(self, stage, ask):
        return grit.singleflight(key=lambda *args: "key")


ADAPTERS = (Grit(),)
