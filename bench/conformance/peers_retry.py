"""The libraries that retry and do nothing else."""

import stamina
import tenacity
from adapter import Adapter, Guarded, only


class Tenacity(Adapter):
    name = distribution = "tenacity"

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
        only(
            {
                "effects_in_doubt": in_doubt,
                "a_default_classification": on if on == "default" else None,
                "a_budget": budget,
                "retry_after": max_retry_after,
            }
        )
        when = tenacity.retry_if_exception(rule) if rule else tenacity.retry_if_exception_type(on)
        if on_result is not None:
            when |= tenacity.retry_if_result(on_result)
        stop = tenacity.stop_after_attempt(attempts)
        if total is not None:
            stop |= tenacity.stop_before_delay(total)
        pause = tenacity.wait_random_exponential(multiplier=wait, max=cap) if jitter else tenacity.wait_fixed(wait)
        return Guarded(tenacity.retry(stop=stop, wait=pause, retry=when, reraise=True), streams=False)

    def attempts(self, stage, *, attempts=3, wait=0.0):
        kind = tenacity.AsyncRetrying if stage.is_async else tenacity.Retrying
        return kind(stop=tenacity.stop_after_attempt(attempts), wait=tenacity.wait_fixed(wait), reraise=True)


class Stamina(Adapter):
    name = distribution = "stamina"

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
        only(
            {
                "effects_in_doubt": in_doubt,
                "a_default_classification": on if on == "default" else None,
                "a_budget": budget,
                "retry_after": max_retry_after,
                "results": on_result,
            }
        )
        return Guarded(
            stamina.retry(
                on=rule or on,
                attempts=attempts,
                timeout=total,
                wait_initial=wait,
                wait_max=cap or max(wait, 0.001),
                wait_jitter=wait if jitter else 0.0,
                wait_exp_base=2 if jitter else 1,
            )
        )

    def attempts(self, stage, *, attempts=3, wait=0.0):
        return stamina.retry_context(on=Exception, attempts=attempts, wait_initial=wait, wait_max=wait, wait_jitter=0)


ADAPTERS = (Tenacity(), Stamina())
