"""One deliberate fault for each invariant: a suite that passes with the fault planted does not hold the invariant."""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from unmeasured import UNMEASURED

# What Hypothesis tries changes with the source, so the tables stand beside it.
BREAKER = ("tests/properties/test_breaker.py", "tests/unit/engines/test_breaker_recovery.py")
TRIP = ("tests/properties/test_trip.py", "tests/unit/engines/test_trip.py")
PRESETS = "tests/unit/policies/test_circuit_breaker.py::test_presets"
BUDGET = ("tests/properties/test_budget.py",)
FUZZ = ("tests/properties/test_timeout_fuzz.py",)
RETRY_NESTED = ("tests/unit/policies/test_retry_nested.py",)
RETRY_SETTINGS = ("tests/unit/policies/test_retry_settings.py",)
KEYED = ("tests/properties/test_keyed.py",)
HEDGE = ("tests/properties/test_hedge.py",)
LATENCY = ("tests/properties/test_latency.py",)
CALLS = ("tests/properties/test_calls.py",)
METER = ("tests/unit/policies/test_pipeline_calls.py",)
STRAIGHT = ("tests/properties/test_straight.py",)
FALLBACK = ("tests/properties/test_fallback.py",)
FLIGHT = ("tests/properties/test_single_flight.py",)
CHAOS = ("tests/properties/test_chaos.py", "tests/unit/policies/test_chaos.py")
HEDGE_FACE = ("tests/unit/policies/test_hedge.py",)
HEDGE_LOSERS = ("tests/unit/policies/test_hedge_losers.py",)
FALLBACK_FACE = ("tests/unit/policies/test_fallback.py",)
FLIGHT_LEAVING = ("tests/unit/policies/test_single_flight_leaving.py",)
CHAOS_FACE = ("tests/unit/policies/test_chaos.py",)
SLOTS = ("tests/properties/test_slots.py",)
RATE = ("tests/properties/test_rate.py",)
THROTTLE = (
    "tests/unit/engines/test_adaptive_throttle.py",
    "tests/properties/test_adaptive_throttle.py::test_it_is_the_formula",
)
LIMIT = ("tests/unit/engines/test_adaptive_limit.py",)
TRANSPORT = ("tests/unit/http/test_transport.py",)
IN_DOUBT = ("tests/unit/http/test_transport_in_doubt.py",)
MIDDLEWARE = ("tests/unit/http/test_middleware.py",)
MULTI = ("tests/unit/errors/test_multi.py",)
LADDER = ("tests/unit/engines/test_feed_ladder.py",)
LADDER_LAWS = ("tests/properties/test_feed_ladder.py",)
ORDER = ("tests/properties/test_feed_order.py",)
SSE = ("tests/properties/test_sse.py",)
COALESCE = ("tests/properties/sync/test_coalesce.py",)
COALESCE_TABLE = ("tests/unit/engines/test_coalesce.py",)
PATCHES = ("tests/properties/sync/test_merge_patch.py",)
MERGE = ("tests/properties/sync/test_merge.py",)
MERGE_TABLE = ("tests/unit/engines/test_merge.py",)
RECONCILE = ("tests/unit/engines/test_reconcile.py",)
DELIVERY = ("tests/unit/engines/test_delivery.py",)
BATCHES = ("tests/properties/sync/test_batches.py",)
OVERLAY = ("tests/properties/sync/test_overlay.py",)
BOUNDS = ("tests/unit/engines/test_bounds.py",)


@dataclass
class Mutant:
    """A fault: in which module which text becomes which, and the tests that must notice."""

    name: str
    module: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = [
    Mutant(
        "what-takes-no-room-is-refused",
        "engines/bounds.py",
        "would > limit and would > was",
        "would > limit",
        BOUNDS,
    ),
    Mutant(
        "one-more-is-taken-beside-as-many-parked-as-allowed",
        "engines/bounds.py",
        "before.parked >= limits.max_parked",
        "before.parked > limits.max_parked",
        BOUNDS,
    ),
    Mutant(
        "whoever-waits-is-never-told-that-time-is-up",
        "engines/bounds.py",
        "or left == 0.0",
        "",
        BOUNDS,
    ),
    Mutant(
        "what-was-sent-is-merged-into",
        "engines/coalesce.py",
        "if queued.sealed:",
        "if False:",
        COALESCE,
    ),
    Mutant(
        "a-transaction-is-folded",
        "engines/coalesce.py",
        "queued.group is not None or new.group is not None",
        "False",
        COALESCE,
    ),
    Mutant(
        "a-dependent-loses-what-it-waits-for",
        "engines/coalesce.py",
        '"another op waits for the queued one": queued.awaited',
        '"another op waits for the queued one": False',
        COALESCE,
    ),
    Mutant(
        "an-older-wish-is-given-up-with-the-new-one",
        "engines/coalesce.py",
        "(new.expires or math.inf) < (queued.expires or math.inf)",
        "False",
        COALESCE_TABLE,
    ),
    Mutant(
        "the-precondition-is-lost",
        "engines/coalesce.py",
        "replace(queued, verb=new.verb,",
        "replace(queued, if_match=new.if_match, verb=new.verb,",
        COALESCE,
    ),
    Mutant(
        "what-waits-is-folded-into-what-does-not",
        "engines/coalesce.py",
        "not in {None, queued.seq, queued.after}",
        "in {object()}",
        COALESCE_TABLE,
    ),
    Mutant(
        "a-lane-is-overtaken",
        "engines/coalesce.py",
        "queued.followed",
        "False",
        COALESCE_TABLE,
    ),
    Mutant(
        "patches-compose-by-guess",
        "engines/merge_patch.py",
        "        return Inexpressible(path, _REPLACES)",
        "        first = {}",
        PATCHES,
    ),
    Mutant(
        "null-is-dropped",
        "engines/merge_patch.py",
        "            result.pop(name, None)",
        "            pass",
        PATCHES,
    ),
    Mutant(
        "two-way-merge",
        "engines/merge.py",
        "if base is not UNKNOWN and same(ours, base):",
        "if False:",
        MERGE,
    ),
    Mutant(
        "an-unknown-base-is-an-empty-one",
        "engines/merge.py",
        "absent = UNKNOWN if whole.base is UNKNOWN else ABSENT",
        "absent = ABSENT",
        MERGE_TABLE,
    ),
    Mutant(
        "union-brings-back",
        "engines/merge_rules.py",
        "in in_ours and identity(item) in in_theirs]",
        "in in_ours or identity(item) in in_theirs]",
        MERGE_TABLE,
    ),
    Mutant(
        "conflicts-go-round-for-ever",
        "engines/reconcile.py",
        "    if dispute.rounds >= policy.max_rounds:\n        return _spent(dispute, step, merged)\n",
        "",
        RECONCILE,
    ),
    Mutant(
        "a-merge-overwrites-blindly",
        "engines/reconcile.py",
        "if version is None and not policy.unguarded:",
        "if False:",
        RECONCILE,
    ),
    Mutant(
        "one-budget-for-all",
        "engines/failure_budgets.py",
        "count = getattr(spent, failure.value) + 1",
        "count = sum(asdict(spent).values()) + 1",
        ("tests/properties/sync/test_failure_budgets.py",),
    ),
    Mutant(
        "what-is-based-on-nothing-is-sent",
        "engines/delivery.py",
        "Course.MERGE if history.rebased else Course.SEND",
        "Course.SEND",
        DELIVERY,
    ),
    Mutant(
        "a-doubt-is-forgotten",
        "engines/delivery.py",
        "            return doubt\n",
        "            return False\n",
        DELIVERY,
    ),
    Mutant(
        "what-may-have-been-done-expires-unseen",
        "engines/delivery.py",
        "unseen = history.doubt or history.accepted is not None",
        "unseen = False",
        DELIVERY,
    ),
    Mutant(
        "a-key-is-trusted-for-ever",
        "engines/delivery.py",
        "if history.doubt and wall - history.first_sent > policy.key_ttl:",
        "if False:",
        DELIVERY,
    ),
    Mutant(
        "the-rest-of-an-origin-ends-with-one-op",
        "engines/delivery.py",
        "not step.pause_origin and ",
        "",
        DELIVERY,
    ),
    Mutant(
        "a-busy-server-outlives-the-op",
        "engines/delivery.py",
        "if isinstance(step, Postpone) and not step.pause_origin and history.expires is not None:",
        "if False:",
        DELIVERY,
    ),
    Mutant(
        "what-is-not-mentioned-was-applied",
        "engines/batches.py",
        'answers.get(item.seq) or InDoubt("the answer does not mention it")',
        "answers.get(item.seq) or Applied()",
        BATCHES,
    ),
    Mutant(
        "a-consequence-is-judged",
        "engines/batches.py",
        "if earlier is not None and not _stands(answer):",
        "if False:",
        BATCHES,
    ),
    Mutant(
        "a-clock-stretches-a-pause",
        "engines/origin_pause.py",
        "min(max(0.0, self.until - wall), self.length)",
        "max(0.0, self.until - wall)",
        ("tests/properties/sync/test_origin_pause.py",),
    ),
    Mutant(
        "a-delivered-write-flickers",
        "engines/overlay.py",
        "if seq in self._echoed or passed or _contains(known, version):",
        "if True:",
        OVERLAY,
    ),
    Mutant(
        "what-came-and-went-before-the-answer-is-not-known",
        "engines/overlay.py",
        "self._passed.setdefault(entity, {})",
        "{}",
        OVERLAY,
    ),
    Mutant(
        "a-delete-hides-what-is-made-anew", "engines/overlay.py", "if gone and op.version is None", "if False", OVERLAY
    ),
    Mutant(
        "a-delivered-patch-hides-those-before-it",
        "engines/overlay.py",
        "elif op.verb in WHOLE:",
        "else:",
        OVERLAY,
    ),
    Mutant(
        "an-older-pull-lands",
        "engines/overlay.py",
        "        if older:",
        "        if False:",
        OVERLAY,
    ),
    Mutant(
        "a-permit-settles-twice", "engines/breaker_core.py", "if permit.settled or permit.era", "if permit.era", BREAKER
    ),
    Mutant("any-era-counts", "engines/breaker_core.py", " or permit.era is not present:", ":", BREAKER),
    Mutant(
        "one-probe-too-many",
        "engines/breaker_phases.py",
        "return len(self.leases) < self.rule.max_calls",
        "return len(self.leases) <= self.rule.max_calls",
        BREAKER,
    ),
    Mutant(
        "hung-probes-keep-their-slots",
        "engines/breaker_phases.py",
        "items() if end <= now]",
        "items() if not end]",
        BREAKER,
    ),
    Mutant(
        "a-lost-slot-still-counts",
        "engines/breaker_core.py",
        "or permit.probe in permit.era.leases",
        "or bool(permit.era.leases.setdefault(permit.probe, 1.0))",
        BREAKER,
    ),
    Mutant(
        "ignored-closes",
        "engines/breaker_core.py",
        "            case Verdict.IGNORED:\n                return None",
        "            case Verdict.IGNORED:\n                era.successes += 1",
        BREAKER,
    ),
    Mutant(
        "a-recorded-failure-prolongs",
        "engines/breaker.py",
        "case Open() | Disabled():\n                change = None",
        "case Open() | Disabled():\n                change = self._open(now, why, chance)",
        BREAKER,
    ),
    Mutant(
        "a-dead-era-is-still-read",
        "engines/breaker_core.py",
        "self.closed = phase if isinstance(phase, Closed) else None",
        "self.closed = phase if isinstance(phase, Closed) else self.closed",
        BREAKER,
    ),
    Mutant(
        "a-failed-probe-is-borne",
        "engines/recovery.py",
        "needed, bearable = self.success_threshold, 0",
        "needed, bearable = self.success_threshold, 1",
        BREAKER,
    ),
    Mutant(
        "the-ramp-admits-everything",
        "engines/breaker_core.py",
        "if chance < admission_of(phase, now):",
        "if True:",
        BREAKER,
    ),
    Mutant(
        "the-ramp-never-ends",
        "engines/breaker_core.py",
        "as phase if now >= phase.until",
        "as phase if now < 0",
        BREAKER,
    ),
    Mutant(
        "growth-starts-over-without-a-success",
        "engines/breaker_core.py",
        "self.phase is era and era.ok:",
        "True:",
        BREAKER,
    ),
    Mutant("success-does-not-break-the-row", "engines/trip_count.py", "if ok != self.ok_seen:", "if ok < 0:", TRIP),
    Mutant(
        "success-pays-back-nothing",
        "engines/trip_count.py",
        "max(0.0, self.level - (ok - self.ok_seen))",
        "self.level",
        TRIP,
    ),
    Mutant(
        "old-failures-stay",
        "engines/trip_count.py",
        "while self.failures[0][0] <= now - self.seconds:",
        "while False:",
        TRIP,
    ),
    Mutant(
        "successes-are-dated-when-looked-at",
        "engines/window.py",
        "self.grains[-1].calls += max(0, calls - self.seen)\n        self.seen = calls",
        "pass",
        TRIP,
    ),
    Mutant("old-grains-stay", "engines/window.py", "number <= number - BUCKETS", "number <= -BUCKETS", TRIP),
    Mutant(
        "a-share-of-few-calls-counts",
        "engines/trip_share.py",
        "if calls < self.min_calls or not reached(hits, self.rate * calls):\n            return",
        "if not reached(hits, self.rate * calls):\n            return",
        TRIP,
    ),
    Mutant(
        "slow-failures-are-not-slow",
        "engines/trip_share.py",
        "return self._count(ok, now, took)\n\n    def slow",
        "return self._count(ok, now, 0.0)\n\n    def slow",
        TRIP,
    ),
    Mutant(
        "reconfiguring-drops-the-window",
        "engines/trip.py",
        "kept.append(part.start(ok) if old is None else old)",
        "kept.append(part.start(ok))",
        TRIP,
    ),
    Mutant(
        "a-slow-probe-closes",
        "engines/breaker_core.py",
        "case Verdict.SUCCESS if result.took <= limit:",
        "case Verdict.SUCCESS if result.took >= 0:",
        BREAKER,
    ),
    Mutant(
        "shadow-refuses",
        "policies/_breaker_gate.py",
        "if self.settings.shadow:\n                    return Permit(Disabled())",
        "if False:\n                    return Permit(Disabled())",
        ("tests/unit/policies/test_circuit_breaker_settings.py",),
    ),
    Mutant(
        "a-failed-result-is-a-success",
        "policies/_judge.py",
        "if self.failed_result is None or not self.failed_result(result):",
        "if True:",
        ("tests/unit/policies/test_circuit_breaker_rules.py",),
    ),
    Mutant(
        "a-refusal-keeps-its-frames-alive",
        "policies/_breaker_gate.py",
        "raise refusal(self._name, _OPEN, phase.reason, wait, self._wall())",
        "error = refusal(self._name, _OPEN, phase.reason, wait, self._wall())\n                raise error",
        ("tests/unit/policies/test_circuit_breaker_refusals.py",),
    ),
    Mutant(
        "a-fence-is-used-again",
        "engines/lease.py",
        'Take(row.fence + 1, "released")',
        'Take(row.fence, "released")',
        ("tests/properties/test_lease.py",),
    ),
    Mutant(
        "a-frozen-holder-goes-on",
        "engines/lease.py",
        "return self.ttl * 2 / 3",
        "return self.ttl * 4 / 3",
        ("tests/properties/test_lease.py",),
    ),
    Mutant(
        "jitter-after-the-cap",
        "engines/backoff.py",
        "return min(self.cap, self._spread(self._planned(attempt), chance))",
        "return self._spread(self._planned(attempt), chance)",
        ("tests/properties/test_backoff.py",),
    ),
    Mutant(
        "one-attempt-too-many",
        "engines/retry.py",
        "if failure.attempt >= config.attempts:",
        "if failure.attempt > config.attempts:",
        ("tests/properties/test_retry.py",),
    ),
    Mutant(
        "doubt-is-repeated",
        "engines/retry.py",
        "Outcome.IN_DOUBT and config.idempotent is False",
        "Outcome.IN_DOUBT and config.idempotent is True",
        ("tests/properties/test_retry.py",),
    ),
    Mutant(
        "retry-after-is-no-floor",
        "engines/retry.py",
        "max(wait, failure.meaning",
        "min(wait, failure.meaning",
        ("tests/unit/engines/test_retry.py", "tests/properties/test_retry.py"),
    ),
    Mutant(
        "a-bad-date-raises",
        "errors/_retry_after.py",
        "except (ValueError, TypeError, OverflowError):",
        "except TypeError:",
        ("tests/properties/test_retry_after.py",),
    ),
    Mutant(
        "an-expired-value-comes-back",
        "engines/freshness.py",
        "if age < ttl + self.stale_if_error",
        "if age > ttl + self.stale_if_error",
        ("tests/properties/test_freshness.py",),
    ),
    Mutant(
        "cancellation-is-judged",
        "policies/_judge.py",
        "if not isinstance(error, Exception) or isinstance(error, (CancelledError, *self.ignore)):",
        "if isinstance(error, self.ignore):",
        ("tests/issues/test_cancelled_call_counts_as_failure.py",),
    ),
    Mutant(
        "cancellation-is-retried",
        "policies/_retry_run.py",
        "return isinstance(kind, type) and issubclass(kind, Exception)",
        "return isinstance(kind, type) and issubclass(kind, BaseException)",
        RETRY_SETTINGS,
    ),
    Mutant(
        "a-returned-coroutine-is-a-success",
        "policies/_breaker_calls.py",
        "if type(result) not in PLAIN and is_awaitable(result):",
        "if False:",
        ("tests/issues/test_lambda_returning_coroutine_goes_unseen.py",),
    ),
    Mutant(
        "listeners-run-under-the-lock",
        "policies/_announcer.py",
        "                        self._emit(bus, change",
        "                        with self._lock:\n                            self._emit(bus, change",
        ("tests/unit/policies/test_circuit_breaker_events.py::test_listener_runs_without_the_lock",),
    ),
    Mutant(
        "an-outer-deadline-is-lengthened",
        "policies/_deadline.py",
        "self._limit = min(self._limit, least(self.outer, spared=task))",
        "self._limit = max(self._limit, least(self.outer, spared=task))",
        ("tests/unit/policies/test_deadline.py",),
    ),
    Mutant(
        "what-a-hedge-hides-is-not-learnt",
        "engines/hedge.py",
        "        if not race.primary_failed:",
        "        if race.winner == 0:",
        HEDGE,
    ),
    Mutant("one-hedge-too-many", "engines/hedge.py", "self._left = max_hedges", "self._left = max_hedges + 1", HEDGE),
    Mutant("one-failure-ends-the-race", "engines/hedge.py", "return self.running == 0", "return True", HEDGE),
    Mutant(
        "losers-are-not-waited-for",
        "policies/_hedge_race.py",
        "await reap(self._tasks)",
        "[task.cancel() for task in self._tasks]",
        HEDGE_LOSERS,
    ),
    Mutant(
        "a-spent-budget-hedges-on",
        "policies/_hedge_run.py",
        "if not room or (parts.budget is not None and not parts.budget.take()):",
        "if not room:",
        HEDGE_FACE,
    ),
    Mutant(
        "a-second-cancel-stops-the-reaping",
        "policies/_reap.py",
        "            interrupted = error\n",
        "            interrupted = error\n            break\n",
        HEDGE_LOSERS,
    ),
    Mutant(
        "abandoned-calls-count-for-ever",
        "policies/_worker.py",
        "            if job.abandoned:",
        "            if job is None:",
        HEDGE_LOSERS,
    ),
    Mutant(
        "the-past-never-fades",
        "engines/latency.py",
        "if self._total >= 2 * self._memory:",
        "if self._total < 0:",
        LATENCY,
    ),
    Mutant(
        "buckets-are-twice-as-wide",
        "engines/latency.py",
        "int((fraction - 0.5) * 2 * STEPS)",
        "int((fraction - 0.5) * STEPS) * 2",
        LATENCY,
    ),
    Mutant(
        "a-call-is-quicker-than-it-was",
        "engines/calls.py",
        "divmod(number + 1, _STEPS)",
        "divmod(number, _STEPS)",
        CALLS,
    ),
    Mutant(
        "folding-loses-the-last-call", "engines/calls.py", 'array("d", self.log[:])', 'array("d", self.log[:-1])', CALLS
    ),
    Mutant(
        "folding-counts-twice", "engines/calls.py", "del self.log[: len(taken)]", "del self.log[1 : len(taken)]", CALLS
    ),
    Mutant("before-the-clock-is-for-ever", "engines/calls.py", "number if number < _NEGATIVE else 0", "number", CALLS),
    Mutant("a-rejection-is-a-failure", "policies/_meter.py", "return Ending.REJECTED", "return Ending.FAILURE", METER),
    Mutant(
        "a-closed-stream-is-cancelled",
        "policies/_meter.py",
        "None if isinstance(error, GeneratorExit) else error",
        "error",
        METER,
    ),
    Mutant("blocks-are-never-sorted", "policies/_meter.py", "if len(self.engine.log) > LUMP:", "if False:", METER),
    Mutant(
        "further-attempts-go-past-the-breaker",
        "policies/_straight.py",
        "await async_rest(attempt())(run",
        "await async_rest(fn)(run",
        STRAIGHT,
    ),
    Mutant(
        "a-stranger-goes-straight", "policies/_straight.py", "and retry.is_simple", "and retry is not None", STRAIGHT
    ),
    Mutant(
        "the-loop-waits-for-a-slot",
        "policies/_gate.py",
        "held_up = _runs_a_loop()",
        "held_up = False",
        ("tests/issues/test_full_bulkhead_blocks_the_loop.py",),
    ),
    Mutant(
        "a-fallback-answers-a-cancelled-call",
        "policies/_fallback.py",
        "if isinstance(error, CancelledError):",
        "if error is None:",
        FALLBACK_FACE,
    ),
    Mutant(
        "a-wrong-call-falls-back",
        "policies/_fallback.py",
        "classify(error).category is not Category.INVALID_INPUT if listed",
        "True if listed",
        FALLBACK_FACE,
    ),
    Mutant(
        "a-cancelled-rescue-counts",
        "engines/fallback.py",
        "self.answered: bool | None = None",
        "self.answered: bool | None = False",
        FALLBACK,
    ),
    Mutant(
        "one-fallback-too-many",
        "engines/fallback.py",
        "if self.link < self._links:",
        "if self.link <= self._links:",
        FALLBACK,
    ),
    Mutant(
        "a-landed-flight-is-kept",
        "engines/single_flight.py",
        "if self._flights.get(flight.key) is flight:",
        "if flight.key is None:",
        FLIGHT,
    ),
    Mutant(
        "circles-of-flights",
        "engines/single_flight.py",
        "elif _reaches(flight, inside):",
        "elif flight in inside:",
        FLIGHT,
    ),
    Mutant(
        "a-cancelled-leader-takes-all",
        "policies/_single_flight.py",
        "if last and not task.done():",
        "if not task.done():",
        FLIGHT_LEAVING,
    ),
    Mutant(
        "work-without-callers-goes-on",
        "policies/_single_flight.py",
        "if last and not task.done():",
        "if task is None:",
        FLIGHT_LEAVING,
    ),
    Mutant(
        "shared-tracebacks-grow",
        "policies/_landing.py",
        "raise error.with_traceback(self._trace)",
        "raise error",
        ("tests/unit/policies/test_single_flight.py",),
    ),
    Mutant(
        "an-interrupted-leader-leaves-none",
        "policies/_single_flight.py",
        "return landing.landed",
        "return True",
        FLIGHT_LEAVING,
    ),
    Mutant(
        "one-disturbance-too-many",
        "engines/chaos.py",
        "self._injected >= config.max_injections",
        "self._injected > config.max_injections",
        CHAOS,
    ),
    Mutant(
        "chaos-does-not-expire",
        "engines/chaos.py",
        "case Active(until=until) if now >= until:",
        "case Active(until=until) if now >= 2 * until:",
        CHAOS,
    ),
    Mutant(
        "stop-all-forgets-the-next",
        "policies/_chaos.py",
        "        if _switch.thrown:",
        "        if self is None:",
        CHAOS_FACE,
    ),
    Mutant(
        "a-rule-that-fails-is-ignored",
        "policies/_chaos.py",
        'self.stop(f"{asked} raised {type(error).__name__}")',
        "str(error)",
        CHAOS_FACE,
    ),
    Mutant(
        "a-slot-without-a-token",
        "engines/slots.py",
        "while self.waiting and self._take():",
        "while self.waiting:",
        SLOTS,
    ),
    Mutant("who-left-is-granted-a-slot", "engines/slots.py", "        del self._queues[key][waiter]\n", "", SLOTS),
    Mutant(
        "the-last-is-never-first", "engines/slots.py", "last=self.config.order == QueueOrder.LIFO", "last=False", SLOTS
    ),
    Mutant(
        "fewer-slots-are-as-many", "engines/slots.py", "while self._surplus and self._take():", "while False:", SLOTS
    ),
    Mutant(
        "a-free-slot-needs-a-place-to-wait",
        "engines/slots.py",
        "if not self.crowded and self._take():",
        "if False:",
        ("tests/unit/engines/test_slots.py",),
    ),
    Mutant(
        "a-slot-is-not-handed-on",
        "policies/_bulkhead.py",
        "finally:\n                give(None)\n                if engine.crowded:",
        "finally:\n                give(None)\n                if False:",
        ("tests/unit/policies/test_bulkhead_queue.py::test_tasks_take_turns",),
    ),
    Mutant(
        "a-cancelled-grant-is-lost",
        "policies/_gate.py",
        "        if holds:\n",
        "        if not holds and holds:\n",
        ("tests/unit/policies/test_bulkhead_queue.py::test_granted_and_cancelled_at_once",),
    ),
    Mutant("those-behind-are-not-woken", "engines/rate.py", "if turn < ticket.turn:", "if turn > ticket.turn:", RATE),
    Mutant(
        "a-pause-saves-without-limit",
        "engines/rate.py",
        "self._last = max(arrival, now) +",
        "self._last = arrival +",
        RATE,
    ),
    Mutant(
        "a-place-is-not-given-back",
        "engines/rate.py",
        "        self._passed -= 1\n        return self._plan(now)",
        "        self._passed -= 1\n        return []",
        RATE,
    ),
    Mutant(
        "refused-calls-are-no-requests",
        "engines/adaptive_throttle.py",
        "        self._count(now, level)\n        self._rejected",
        "        self._rejected",
        THROTTLE,
    ),
    Mutant(
        "the-important-are-shed-first",
        "engines/adaptive_throttle.py",
        "if other < level)",
        "if other > level)",
        THROTTLE,
    ),
    Mutant(
        "old-calls-are-remembered",
        "engines/adaptive_throttle.py",
        "number <= number - _BUCKETS",
        "number < number - _BUCKETS",
        THROTTLE,
    ),
    Mutant(
        "time-outs-are-a-stable-round-trip",
        "engines/adaptive_limit.py",
        "window.failures += 1",
        "window.latencies.append(now - began)",
        LIMIT,
    ),
    Mutant(
        "the-unloaded-latency-drifts-up",
        "engines/adaptive_limit.py",
        "min(self._measured, self.unloaded + _PULL * (median - self.unloaded))",
        "self.unloaded + _PULL * (median - self.unloaded)",
        LIMIT,
    ),
    Mutant(
        "an-unused-limit-climbs",
        "engines/adaptive_limit.py",
        "elif used and window.failed",
        "elif window.failed",
        LIMIT,
    ),
    Mutant(
        "one-lucky-call-is-a-minimum",
        "engines/adaptive_limit.py",
        "sorted(window.latencies)[len(window.latencies) // 2]",
        "min(window.latencies)",
        LIMIT,
    ),
    Mutant(
        "calls-of-another-limit-count",
        "engines/adaptive_limit.py",
        "case Verdict.SUCCESS if began >= window.began:",
        "case Verdict.SUCCESS if began > -1e9:",
        LIMIT,
    ),
    Mutant("a-limit-ends-early", "policies/_lanes.py", "+ lane.seconds", "+ 0.9 * lane.seconds", FUZZ),
    Mutant("an-outer-cancel-is-swallowed", "policies/_lanes.py", "() > cancelling:", "() > cancelling + 1:", FUZZ),
    Mutant(
        "cancels-from-before-are-forgotten",
        "policies/_lanes.py",
        "cancelling = task.cancelling()",
        "cancelling = 0",
        FUZZ,
    ),
    Mutant("the-next-limit-is-forgotten", "policies/_lanes.py", "self.arm(entry[0])", "pass", FUZZ),
    Mutant("a-cancel-outlives-its-limit", "policies/_lanes.py", "        task.uncancel()\n", "        pass\n", FUZZ),
    Mutant(
        "a-timer-for-each-call",
        "policies/_lanes.py",
        "if not lane.armed:",
        "if True:",
        ("tests/integration/policies/test_timeout_loops.py::test_no_handle_is_left",),
    ),
    Mutant(
        "a-loop-is-kept-alive",
        "policies/_lanes.py",
        "weakref.ref(loop, lambda _: by_loop.pop(key, None))",
        "lambda: loop",
        ("tests/integration/policies/test_timeout_loops.py::test_loops_are_not_kept_alive",),
    ),
    Mutant("a-retry-is-half-price", "engines/budget.py", "self._balance -= 1.0", "self._balance -= 0.5", BUDGET),
    Mutant(
        "a-calm-saves-up-a-storm",
        "engines/budget.py",
        "min(self.config.reserve, self._balance + paid)",
        "self._balance + paid",
        BUDGET,
    ),
    Mutant(
        "calls-pay-again-and-again",
        "engines/budget.py",
        "self._seen, self._at = calls, at",
        "self._at = at",
        BUDGET,
    ),
    Mutant(
        "a-spent-budget-retries-on",
        "policies/_retry_run.py",
        "not parts.budget.take()",
        "parts.budget.take() is None",
        ("tests/unit/policies/test_retry_budget.py",),
    ),
    Mutant("nested-retries-multiply", "policies/_retry_run.py", "MARKS.put(error)", "pass", RETRY_NESTED),
    Mutant("old-marks-count", "policies/_stand_down.py", "number > begun", "number > 0", RETRY_NESTED),
    Mutant(
        "the-wait-before-is-forgotten",
        "policies/_retry_run.py",
        "self._previous, self._begun = wait, MARKS.latest",
        "self._begun = MARKS.latest",
        RETRY_SETTINGS,
    ),
    Mutant("a-post-in-doubt-goes-twice", "http/_call.py", "(self._repeatable or not self._open) and", "", IN_DOUBT),
    Mutant("a-read-stream-goes-twice", "http/_call.py", " and not self.body_taken", "", IN_DOUBT),
    Mutant("a-running-post-is-hedged", "http/_call.py", "self._open += 1", "self._open += 0", IN_DOUBT),
    Mutant("unread-answers-stay-open", "http/_call.py", "        return rest", "        return []", TRANSPORT),
    Mutant(
        "retry-after-of-answers-is-lost",
        "http/_call.py",
        "retry_after=meaning.retry_after",
        "retry_after=None",
        TRANSPORT,
    ),
    Mutant(
        "an-open-circuit-is-forgotten",
        "http/_hosts.py",
        "policy.state is CircuitState.CLOSED",
        "policy.state is not None",
        ("tests/unit/http/test_hosts.py",),
    ),
    Mutant(
        "all-expired-work-is-refused",
        "http/_expired.py",
        "            return False\n",
        "            pass\n",
        MIDDLEWARE,
    ),
    Mutant("a-caller-sets-any-deadline", "http/_limits.py", "min(asked, self._max_timeout)", "asked", MIDDLEWARE),
    Mutant(
        "cut-work-is-called-not-done",
        "http/_shed.py",
        "error.outcome is Outcome",
        "error.outcome is not Outcome",
        MIDDLEWARE,
    ),
    Mutant("a-group-is-as-good-as-its-best", "errors/_classify.py", "max((m.category", "min((m.category", MULTI),
    Mutant(
        "half-applied-counts-as-applied",
        "errors/_classify.py",
        "if len(outcomes) == 1 else Outcome.IN_DOUBT",
        "if outcomes else Outcome.IN_DOUBT",
        MULTI,
    ),
    Mutant(
        "parts-of-a-group-are-not-judged-anew",
        "errors/_multi.py",
        "operation=self.operation,",
        "operation=self.operation, category=self.category,",
        MULTI,
    ),
    Mutant(
        "an-open-circuit-is-forgotten",
        "policies/_keyed.py",
        "return self.inside == 0 and self.pipeline.idle()",
        "return self.inside == 0",
        KEYED,
    ),
    Mutant(
        "a-busy-key-is-forgotten",
        "policies/_keyed.py",
        "return self.inside == 0 and self.pipeline.idle()",
        "return self.pipeline.idle()",
        KEYED,
    ),
    Mutant(
        "one-key-too-many", "policies/_keyed.py", "if len(self._members) < self", "if len(self._members) <= self", KEYED
    ),
    Mutant(
        "the-latest-key-goes-first", "policies/_keyed.py", ".move_to_end(key)", ".move_to_end(key, last=False)", KEYED
    ),
    Mutant(
        "a-wrong-configuration-changes-half",
        "policies/_change.py",
        "in reversed(undo):",
        "in undo[:0]:",
        ("tests/unit/policies/test_pipeline_changes.py",),
    ),
    Mutant(
        "pipelines-hide-their-policies",
        "policies/_lint.py",
        "yield from flat(members)",
        "yield policy",
        ("tests/unit/policies/test_lint.py",),
    ),
    Mutant(
        "a-file-makes-objects",
        "config/_yaml.py",
        'if node.id != "scalar" and node.tag not in _TAGS:',
        "if False:",
        ("tests/unit/config/test_yaml.py",),
    ),
    Mutant(
        "refused-tokens-are-asked-for-again", "engines/feed_ladder.py", "and not self._asked", "and True", LADDER_LAWS
    ),
    Mutant(
        "a-refusal-is-forgotten-by-a-wake",
        "engines/feed_ladder.py",
        "self._phase = self._phase.then",
        "self._phase = _Ready()",
        LADDER,
    ),
    Mutant("a-ladder-hammers", "engines/feed_ladder.py", "max(asked, self._wait(chance))", "asked", LADDER_LAWS),
    Mutant(
        "a-climb-spends-attempts",
        "engines/feed_ladder.py",
        "if self._home is not None:",
        "if self._home is not None and not self._config.max_attempts:",
        LADDER,
    ),
    Mutant("nobody-climbs-after-an-outage", "engines/feed_ladder.py", "0.0 if self._outage else ", "", LADDER),
    Mutant(
        "a-busy-listener-is-silence",
        "engines/feed_ladder.py",
        "self._phase.quiet = 0.0",
        "self._phase.quiet += 0.0",
        LADDER,
    ),
    Mutant("flaps-are-forgiven", "engines/feed_ladder.py", ">= self._config.stable_after", ">= 0.0", LADDER),
    Mutant("silence-is-life", "engines/feed_ladder.py", "self._phase.since - silent", "self._phase.since", LADDER),
    Mutant("refreshes-storm", "engines/feed_ladder.py", "if refresh and self._hasty:", "if False:", LADDER),
    Mutant("a-gap-is-leapt", "engines/feed_order.py", "or event.seq > last + 1", "", ORDER),
    Mutant("a-double-is-applied", "engines/feed_order.py", "if event.seq <= last:", "if event.seq < last:", ORDER),
    Mutant(
        "a-page-is-applied-twice", "engines/feed_order.py", "and event.seq <= last:", "and event.seq < last:", ORDER
    ),
    Mutant("a-cut-line-end-ends-two-lines", "engines/sse.py", 'chunk = chunk.removeprefix(b"\\n")', "pass", SSE),
    Mutant("any-line-may-have-a-mark", "engines/sse.py", "self._fresh = False", "self._fresh = True", SSE),
    Mutant(
        "a-type-outlives-its-event",
        "engines/sse.py",
        'self._data, self._type, self._held = [], "", 0',
        "self._data, self._held = [], 0",
        SSE,
    ),
    Mutant("no-data-is-an-event", "engines/sse.py", "if self._data:", "if self._data or self._type:", SSE),
    Mutant(
        "other-settings-of-a-name-are-taken",
        "policies/_by_name.py",
        "if key in have and have[key] != value]",
        "if key not in have]",
        ("tests/unit/policies/test_by_name.py",),
    ),
]
NOTHING = Mutant("nothing", "", "", "", ("tests/properties/test_freshness.py", PRESETS))


@pytest.fixture(scope="module")
def played():
    """What pytest said to each mutant: its exit code (0 passed, 1 failed, else it could not run) and its last words."""
    environment = {name: value for name, value in UNMEASURED.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("play.py")],
        input=json.dumps([asdict(mutant) for mutant in [NOTHING, *MUTANTS]]),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(900)
def test_the_tests_pass_without_a_fault(played):
    """On the source as it is tests pass, so that it is the fault that fails them."""
    code, output = played["nothing"]

    assert code == 0, output


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_fault_is_noticed(played, mutant):
    """With the fault planted, its tests fail."""
    code, output = played[mutant.name]

    if code == 0 and "passed" not in output and "skipped" in output:
        pytest.skip("this Python runs none of its tests")
    assert code == 1, output
