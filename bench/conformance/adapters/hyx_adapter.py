"""hyx behind the adapter."""

import hyx.bulkhead
import hyx.circuitbreaker
import hyx.fallback
import hyx.retry
import hyx.timeout
from hyx.bulkhead.exceptions import BulkheadFull
from hyx.circuitbreaker.exceptions import BreakerFailing

from adapters.base import Adapter


class Hyx(Adapter):
    name = "hyx"
    colours = ("async",)
    refused = (BreakerFailing, BulkheadFull)
    any_callable = False
    settings = {"breaker": {"consecutive", "successes"}, "bulkhead": {"waiting"}}  # noqa: RUF012

    def make_breaker(self, stage, ask):
        return hyx.circuitbreaker.consecutive_breaker(
            failure_threshold=ask.failures, recovery_time_secs=ask.open_for, recovery_threshold=ask.successes
        )

    def make_retry(self, stage, ask):
        return hyx.retry.retry(on=ask.on, attempts=ask.attempts - 1, backoff=ask.wait)

    def make_timeout(self, stage, ask):
        return hyx.timeout.timeout(ask.seconds)

    def make_bulkhead(self, stage, ask):
        return hyx.bulkhead.bulkhead(ask.size, ask.size + (100 if ask.waiting is None else ask.waiting))

    def make_fallback(self, stage, ask):
        async def handler(*args, **kwargs):
            return ask.value

        return hyx.fallback.fallback(handler, on=ask.on)


ADAPTERS = (Hyx(),)
