"""grit-toolkit behind the adapter."""

import grit
from adapter import Adapter, Guarded, only
from grit import exceptions


class Grit(Adapter):
    name, distribution = "grit", "grit-toolkit"
    refused = (exceptions.BreakerOpen, exceptions.BulkheadFull, exceptions.LimitExceeded)

    def breaker(
        self,
        stage,
        *,
        failures=3,
        open_for=0.15,
        probes=1,
        successes=1,
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
        only(
            {
                "failure_rate": rate,
                "slow_calls": slow,
                "ignored_exceptions": ignore,
                "results": failed_result,
                "predicates": failure_if,
                "growth_of_the_open_time": growth,
                "several_probes": None if probes in {1, successes} else probes,
            }
        )
        breaker = grit.breaker(fails=failures, reset_after=open_for, success_threshold=successes)
        if listener is not None:
            breaker.on_change(lambda *_: listener())
        return Guarded(breaker, breaker, streams=False)

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
                "a_total_time": total,
                "a_budget": budget,
                "retry_after": max_retry_after,
                "results": on_result,
            }
        )
        pause = grit.constant(wait) if not jitter else grit.decorr(base=wait, cap=cap)
        giveup = None if rule is None else (lambda error: not rule(error))
        return Guarded(grit.retry(tries=attempts, on=on, wait=pause, giveup=giveup), streams=False)

    def timeout(self, stage, seconds, *, cuts=True, most=None):
        only({"how_many_calls_may_be_left_running": most})
        return Guarded(grit.timeout(seconds), streams=False)

    def bare_timeout(self, stage, seconds):
        return self.timeout(stage, seconds)

    def bulkhead(self, stage, size, *, waiting=None, max_wait=None):
        only({"how_many_may_wait": waiting})
        return Guarded(grit.bulkhead(size, timeout=60.0 if max_wait is None else max_wait), streams=False)

    def rate_limit(self, stage, calls, per, *, burst=None, max_wait=0.0):
        only({"the_longest_wait_around_a_function": max_wait < 5 or None})
        return Guarded(grit.limiter(calls, per, burst=burst), streams=False)

    def hedge(self, stage, delay, *, hedges=1):
        only({"several_hedges": None if hedges == 1 else hedges})
        return Guarded(grit.hedge(delay), streams=False)

    def fallback(self, stage, value, *, on=Exception):
        return Guarded(grit.fallback(value=value, on=on), streams=False)

    def single_flight(self, stage):
        return Guarded(grit.singleflight(key=lambda *args: "key"), streams=False)


ADAPTER = Grit()
