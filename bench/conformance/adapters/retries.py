"""The libraries that retry and do nothing else."""

import stamina
import tenacity

from adapters.base import Adapter


def tenacity_retry(ask):
    """Return when to try again and how long to wait, in tenacity's terms."""
    when = tenacity.retry_if_exception(ask.rule) if ask.rule else tenacity.retry_if_exception_type(ask.on)
    if ask.on_result is not None:
        when |= tenacity.retry_if_result(ask.on_result)
    if ask.jitter:
        return when, tenacity.wait_random_exponential(multiplier=ask.wait, max=ask.cap)
    return when, tenacity.wait_fixed(ask.wait)


class Tenacity(Adapter):
    name = "tenacity"
    settings = {"retry": {"rule", "on_result", "cap", "jitter", "total"}}  # noqa: RUF012

    def make_retry(self, stage, ask):
        when, pause = tenacity_retry(ask)
        stop = tenacity.stop_after_attempt(ask.attempts)
        if ask.total is not None:
            stop |= tenacity.stop_before_delay(ask.total)
        return tenacity.retry(stop=stop, wait=pause, retry=when, reraise=True)

    def attempts(self, stage, *, attempts=3, wait=0.0):
        kind = tenacity.AsyncRetrying if stage.is_async else tenacity.Retrying
        return kind(stop=tenacity.stop_after_attempt(attempts), wait=tenacity.wait_fixed(wait), reraise=True)


class Stamina(Adapter):
    name = "stamina"
    streams = True
    settings = {"retry": {"rule", "cap", "jitter", "total"}}  # noqa: RUF012

    def make_retry(self, stage, ask):
        return stamina.retry(
            on=ask.rule or ask.on,
            attempts=ask.attempts,
            timeout=ask.total,
            wait_initial=ask.wait,
            wait_max=ask.cap or max(ask.wait, 0.001),
            wait_jitter=ask.wait if ask.jitter else 0.0,
            wait_exp_base=2 if ask.jitter else 1,
        )

    def attempts(self, stage, *, attempts=3, wait=0.0):
        return stamina.retry_context(on=Exception, attempts=attempts, wait_initial=wait, wait_max=wait, wait_jitter=0)


ADAPTERS = (Tenacity(), Stamina())
