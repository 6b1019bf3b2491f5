"""For each row a fault that it is there to catch: (module, old text, new text), planted in a copy of the source."""

END = "<end>"
"""Stands for the end of the file."""

CORE = "engines/breaker_core.py"
GATE = "policies/_breaker_gate.py"
FACE = "policies/_circuit_breaker.py"
CALLS = "policies/_breaker_calls.py"
PERMIT = "policies/_permit.py"
JUDGE = "policies/_judge.py"
SHARE = "engines/trip_share.py"
RETRY = "engines/retry.py"
LOOPS = "policies/_retry_loops.py"
LANES = "policies/_lanes.py"
SLOTS = "engines/slots.py"
SLOT_GATE = "policies/_gate.py"
RATE = "engines/rate.py"

_COUNTS = "        counts = self.stands(permit)\n        permit.settled = True\n"
_FAILED = "        ruling = self._judge.of_error(error)\n        if ruling.verdict is not Verdict.IGNORED:\n            self.settle(Permit(era, 0, began), ruling)\n"
_SETTLED = "            self._breaker.settle(self._permit, ruling)\n\n    def judge_result"
_JUDGED = "            ruling = SUCCESS if error is None else self._breaker.of_error(error)\n"
_BUMP = "        era.ok += 1  # no lock: see BreakerCore\n        return result\n\n    return guarded\n"


def late(condition, action):
    """Let a result of a dead era do something after all."""
    return [(CORE, _COUNTS, f"{_COUNTS}        if not counts and {condition}:\n            {action}\n")]


def landed(condition, action):
    """Let a success of a dead era do something, in both colours."""
    text = f"        if {condition}:\n            {action}\n{_BUMP}"
    return [(CALLS, _BUMP + "\n\ndef _call_admitted", text + "\n\ndef _call_admitted"), (CALLS, _BUMP + END, text)]


def judged_closed(condition, action):
    """Let an exception of a call in a closed circuit mean something else."""
    return [(GATE, _FAILED, f"{_FAILED}        elif {condition}:\n            {action}\n")]


_CLOSED_ERA = "isinstance(permit.era, Closed)"
_FAILURE = "verdict is Verdict.FAILURE"
_RESULT = "Result(verdict, now, why, weight, 0.0, chance)"

_WALL = (
    "now = staticmethod(lambda base=time.time() - time.monotonic():"
    " time.monotonic() + {}(0.0, time.time() - time.monotonic() - base))"
)

MUTANTS = {
    "breaker/threshold": [
        (
            "engines/trip_count.py",
            'failures in a row" if reached(self.streak, self.threshold)',
            'failures in a row" if reached(self.streak, max(2, self.threshold))',
        )
    ],
    "breaker/success-breaks-the-row": [("engines/trip_count.py", "if ok != self.ok_seen:", "if ok < 0:")],
    "breaker/retry-after-is-what-remains": [
        (
            GATE,
            "raise refusal(self._name, _OPEN, phase.reason, wait, self._wall())",
            "raise refusal(self._name, _OPEN, phase.reason, self.settings.open_for, self._wall())",
        )
    ],
    "breaker/rejections-do-not-prolong": [
        (
            GATE,
            "self.engine.rejected += 1  # no lock: see BreakerCore",
            "phase.until = self.now() + self.settings.open_for",
        )
    ],
    "breaker/recovers": [
        (
            CORE,
            "        return self._enter(era or Closed.fresh(self.config), now, reason)",
            "        era = era or Closed.fresh(self.config)\n        era.window.failure(0, now, 2.0)\n"
            "        return self._enter(era, now, reason)",
        )
    ],
    "breaker/failed-probe-reopens": [
        (CORE, 'return self._open(result.now, f"a probe failed', 'return self._open(result.now - 0.1, f"a probe failed')
    ],
    "breaker/success-threshold": [
        ("engines/recovery.py", "return True if successes >= needed else None", "return True if successes else None")
    ],
    "breaker/flood": [
        (
            "engines/breaker_phases.py",
            "return len(self.leases) < self.rule.max_calls",
            "return len(self.leases) < self.rule.max_calls + 2",
        )
    ],
    "breaker/hung-probe": [("engines/breaker_phases.py", "items() if end <= now]", "items() if not end]")],
    "breaker/hung-probe-comes-back-late": [
        (
            CORE,
            "        return not isinstance(permit.era, Probing) or permit.probe in permit.era.leases",
            "        return True",
        ),
        (CORE, "del era.leases[probe]", "era.leases.pop(probe, None)"),
    ],
    "breaker/stale-failures-after-recovery": [
        (
            CORE,
            "if permit.settled or permit.era is not present:",
            "if permit.settled or (permit.era is not present and not isinstance(present, type(permit.era))):",
        ),
        (
            CORE,
            "                return self._settle_closed(era, result)\n            case Probing() as era:\n                return self._settle_probe(era, permit.probe, result)",
            "                return self._settle_closed(era, result)\n            case Probing() as era:\n                return self._settle_probe(era, permit.probe, result) if era is self.phase else None",
        ),
    ],
    "breaker/stale-success-while-half-open": landed(
        "engine.closed is None", "from outlast.policies._judge import SUCCESS; gate.record(SUCCESS, 0.0)"
    ),
    "breaker/stale-failure-while-half-open": late(
        f"{_FAILURE} and isinstance(self.phase, Probing) and {_CLOSED_ERA}", "return self._open(now, why, chance)"
    ),
    "breaker/stale-success-while-open": landed(
        'type(engine.phase).__name__ == "Open"', "gate.move(engine.force_closed)"
    ),
    "breaker/stale-failure-while-open": late(
        f"{_FAILURE} and isinstance(self.phase, Open)", "self.phase.until = now + self.config.open_for"
    ),
    "breaker/stale-probe-of-an-earlier-round": late(
        "isinstance(permit.era, Probing) and permit.era is not self.phase and isinstance(self.phase, Probing)",
        "self.phase.leases and self.phase.leases.popitem()",
    ),
    "breaker/stale-probe-after-closing": late(
        f"{_FAILURE} and isinstance(permit.era, Probing) and isinstance(self.phase, Closed)",
        f"return self._settle_closed(self.phase, {_RESULT})",
    ),
    "breaker/stale-results-after-reset": [
        (
            "engines/breaker.py",
            'self._close(now, "reset")',
            'self._close(now, "reset", self.phase if isinstance(self.phase, Closed) else None)',
        )
    ],
    "breaker/cancel-while-closed": judged_closed(
        "not isinstance(error, Exception)", 'self.settle(Permit(era, 0, began), Ruling(Verdict.FAILURE, "cancelled"))'
    ),
    "breaker/cancel-is-no-success": judged_closed("not isinstance(error, Exception)", "era.ok += 1"),
    "breaker/cancelled-probe-returns-the-slot": [
        (
            PERMIT,
            "        ruling = IGNORED  # stands if",
            "        if error is not None and not isinstance(error, Exception):\n            return\n        ruling = IGNORED  # stands if",
        )
    ],
    "breaker/cancelled-probe-does-not-close": [
        (PERMIT, _JUDGED, _JUDGED.replace("error is None", "error is None or not isinstance(error, Exception)"))
    ],
    "breaker/cancel-while-open": judged_closed(
        "not isinstance(error, Exception) and type(self.engine.phase) is Open",
        "self.engine.phase.until = self.now() + self.settings.open_for",
    ),
    "breaker/ignored-is-no-success": judged_closed("isinstance(error, Exception)", "era.ok += 1"),
    "breaker/ignored-is-no-failure": [(JUDGE, "(CancelledError, *self.ignore)", "CancelledError")],
    "breaker/ignored-probe-returns-the-slot": [
        (
            PERMIT,
            _SETTLED,
            "            if ruling is not IGNORED or not isinstance(error, Exception):\n    " + _SETTLED,
        )
    ],
    "breaker/rule-of-the-user": [
        (JUDGE, "failed = None if self.failure_if is None else self.failure_if(error)", "failed = None")
    ],
    "breaker/rule-that-raises": [
        (
            PERMIT,
            "        try:\n" + _JUDGED + "        finally:\n" + _SETTLED,
            _JUDGED[4:] + _SETTLED[4:],
        )
    ],
    "breaker/failed-results": [
        (JUDGE, "if self.failed_result is None or not self.failed_result(result):", "if self.failed_result != result:")
    ],
    "breaker/error-passes-unchanged": [
        (
            CALLS,
            "            failed(era, began, error)\n            raise\n        if type(result)",
            "            failed(era, began, error)\n            raise type(error)(*error.args) from error\n"
            "        if type(result)",
        )
    ],
    "breaker/stream-that-breaks-off": [
        (
            PERMIT,
            "            permit.success()\n        else:\n            permit.judge(error)",
            "            permit.success()\n        else:\n            permit.judge(None)",
        )
    ],
    "breaker/stream-closed-early": [
        (PERMIT, "            permit.success()\n        else:", "            permit.failure()\n        else:")
    ],
    "breaker/stream-probe-closed-early": [
        (
            PERMIT,
            "            permit.success()\n        else:",
            "            permit._permit.probe or permit.success()\n        else:",
        )
    ],
    "breaker/stream-is-closed-behind": [
        (
            "policies/_relay.py",
            "            finally:\n                await items.aclose()",
            "            finally:\n                pass",
        )
    ],
    "breaker/stream-throw-and-send": [("policies/_relay.py", "partial(items.send, sent)", "partial(items.send, None)")],
    "breaker/open-refuses-streams": [
        (
            FACE,
            "        permit = self.gate.admit()\n        permit.began",
            "        try:\n            permit = self.gate.admit()\n        except Exception:\n            permit = Permit(None)\n"
            "        permit.began",
        )
    ],
    "breaker/lambda-returning-a-coroutine": [
        (PERMIT, "    return judged(permit, lambda: result, (), {})", "    permit.success()\n    return result")
    ],
    "breaker/function-returning-a-future": [
        (
            PERMIT,
            "        elif (error := future.exception()) is not None:\n            self.judge(error)",
            "        elif (error := future.exception()) is not None:\n            self.judge(None)",
        )
    ],
    "breaker/future-that-nobody-awaits": [
        (
            PERMIT,
            "        result.add_done_callback(permit.judge_future)\n        return result",
            "        return judged(permit, lambda: result, (), {})",
        )
    ],
    "breaker/partial-of-a-coroutine-function": [
        (
            "policies/_policy.py",
            "        wrapped = wrap(self, fn)\n",
            '        wrapped = wrap(self, getattr(fn, "func", fn))\n',
        )
    ],
    "breaker/decorated-stays-what-it-was": [
        (
            "policies/_policy.py",
            "return fn if wrapped is fn else functools.update_wrapper(wrapped, fn)",
            "return wrapped",
        )
    ],
    "breaker/clock-step-forward": [
        ("clock.py", "now = staticmethod(time.monotonic)", _WALL.format("max")),
    ],
    "breaker/clock-step-back": [
        ("clock.py", "now = staticmethod(time.monotonic)", _WALL.format("min")),
    ],
    "breaker/threads-lose-nothing": [
        (
            GATE,
            "        with self._lock:\n            failed = failed and self.engine.stands(permit)\n",
            "        if self._lock.locked():\n            return\n        with self._lock:\n            failed = failed and self.engine.stands(permit)\n",
        )
    ],
    "breaker/many-loops": [
        (
            GATE,
            _FAILED,
            "        import asyncio\n        if asyncio._get_running_loop() and threading.current_thread() is not threading.main_thread():\n"
            "            return\n" + _FAILED,
        )
    ],
    "breaker/listener-may-call-back": [
        (
            GATE,
            "        if failed:\n            self._bus.emit(CallFailed",
            "        if failed:\n          with self._lock:\n            self._bus.emit(CallFailed",
        )
    ],
    "breaker/listener-that-raises": [
        (
            "events/_bus.py",
            "                subscription.listener(event)\n            except Exception:",
            "                subscription.listener(event)\n            except LookupError:",
        )
    ],
    "breaker/refusal-can-be-pickled": [
        ("policies/_refusal.py", "return (_public, (self.message, vars(self)))", "return (type(self), self.args)")
    ],
    "breaker/rate-needs-calls": [
        (
            SHARE,
            'if calls < self.min_calls or not reached(hits, self.rate * calls):\n            return ""\n        return f"{hits / calls:.0%} of {self.over} failed"',
            'if not reached(hits, self.rate * calls):\n            return ""\n        return f"{hits / calls:.0%} of {self.over} failed"',
        )
    ],
    "breaker/rate-counts-successes": [
        (
            SHARE,
            "hits, calls = self.share.count(ok - self.left_out + self.failed, now, weight)",
            "hits, calls = self.share.count(self.failed, now, weight)",
        )
    ],
    "breaker/rate-forgets": [("engines/window.py", "number <= number - BUCKETS:", "number <= number - 10 * BUCKETS:")],
    "breaker/slow-calls": [(SHARE, "slow = took > self.slower_than", "slow = False")],
    "breaker/quick-calls-are-not-slow": [
        (SHARE, "slow = took > self.slower_than", "slow = took > self.slower_than / 100"),
        (
            "engines/breaker_phases.py",
            "self.limit = math.inf if limit is None else limit",
            "self.limit = math.inf if limit is None else limit / 100",
        ),
    ],
    "breaker/open-time-grows": [(CORE, "        self._reopened += 1\n", "")],
    "breaker/refusals-of-policies-inside": [
        (JUDGE, "isinstance(error, (RejectedError, RateLimitError))", "isinstance(error, RateLimitError)")
    ],
    "retry/attempts-in-total": [
        (RETRY, "if failure.attempt >= config.attempts:", "if failure.attempt > config.attempts:")
    ],
    "retry/last-exception-as-raised": [
        (
            LOOPS,
            "                    raise\n            else:\n                if is_awaitable(result):",
            "                    raise type(error)(*error.args) from error\n            else:\n                if is_awaitable(result):",
        )
    ],
    "retry/note-of-attempts": [
        (
            "policies/_retry_run.py",
            '                note(error, f"outlast',
            '                (lambda *_: None)(error, f"outlast',
        )
    ],
    "retry/other-exceptions-pass": [
        ("policies/_retry_run.py", "return lambda error: isinstance(error, kinds)", "return lambda error: True")
    ],
    "retry/cancellation-is-not-retried": [
        (
            LOOPS,
            "            return await attempt(*args, **kwargs)\n        except Exception as",
            "            return await attempt(*args, **kwargs)\n        except BaseException as",
        )
    ],
    "retry/cancel-during-the-wait": [
        (
            LOOPS,
            "                await run.clock.asleep(wait)\n",
            "                import asyncio, contextlib\n                with contextlib.suppress(asyncio.CancelledError):\n"
            "                    await run.clock.asleep(wait)\n",
        )
    ],
    "retry/cap-after-jitter": [
        (
            "engines/backoff.py",
            "return min(self.cap, self._spread(self._planned(attempt), chance))",
            "return self._spread(self._planned(attempt), chance)",
        )
    ],
    "retry/hint-is-a-floor": [(RETRY, "max(wait, failure.meaning.retry_after or 0.0)", "wait")],
    "retry/hint-above-the-cap": [(RETRY, "after > config.max_retry_after", "after < 0")],
    "retry/hint-as-a-date": [("errors/_retry_after.py", "now = wall if now is None else now", "now = wall")],
    "retry/hint-in-other-forms": [("errors/_retry_after.py", "return millis / 1000.0", "return millis")],
    "retry/total-time": [
        (RETRY, "failure.elapsed + wait >= config.max_elapsed", "failure.elapsed >= config.max_elapsed")
    ],
    "retry/deadline": [(RETRY, "wait >= failure.remaining", "wait < 0")],
    "retry/opening-of-a-stream": [
        ("policies/_retry.py", "return relay(fn, opening=self._sync(open_stream, judged=False))", "return relay(fn)")
    ],
    "retry/no-item-twice": [
        (
            "policies/_retry.py",
            "        return relay(fn, opening=self._sync(open_stream, judged=False))",
            "        def again(*args: Any, **kwargs: Any) -> Any:\n            for number in range(3):\n                try:\n"
            "                    return (yield from fn(*args, **kwargs))\n                except Exception:\n"
            "                    if number == 2:\n                        raise\n\n        return again",
        )
    ],
    "retry/lambda-returning-a-coroutine": [
        (
            LOOPS,
            "                if is_awaitable(result):\n                    return later(result, args, kwargs)\n                usual",
            "                usual",
        )
    ],
    "retry/failed-results": [
        (
            "policies/_retry_run.py",
            "return self.again is not None or self.config.max_elapsed is not None",
            "return self.config.max_elapsed is not None",
        )
    ],
    "retry/loop-form": [("policies/_attempts.py", "return self.wait is not None", "return True")],
    "retry/budget": [("engines/budget.py", "if self._balance < 1.0:", "if self._balance < -1e9:")],
    "retry/budget-through-the-wait": [
        (
            "policies/_retry_run.py",
            "        self._earlier.append(kind)\n",
            "        self._earlier.append(kind)\n        if wait > 0 and self._parts.budget is not None:\n"
            "            self._parts.budget.meter._balance += 1  # given back until the wait is over\n",
        )
    ],
    "retry/nested-retries": [(RETRY, "if config.stand_down and failure.given_up:", "if False:")],
    "retry/open-circuit-is-not-hammered": [
        (RETRY, "if failure.rejected and failure.listed is None", "if False and failure.listed is None")
    ],
    "retry/unknown-errors": [
        (
            RETRY,
            "return failure.meaning.retryable if failure.listed is None",
            "return failure.meaning.category is not Category.FATAL if failure.listed is None",
        )
    ],
    "retry/effects-in-doubt": [
        (RETRY, "Outcome.IN_DOUBT and config.idempotent is False", "Outcome.IN_DOUBT and config.idempotent is True")
    ],
    "timeout/own-is-a-timeout-error": [
        (
            "errors/_tree.py",
            "class DeadlineExceededError(OutlastError, TimeoutError):",
            "class DeadlineExceededError(OutlastError):",
        )
    ],
    "timeout/users-timeout-error": [
        (
            LANES,
            "            if lane.failed(task, cancelling, error):",
            "            if lane.failed(task, cancelling, error) or type(error) is TimeoutError:",
        )
    ],
    "timeout/not-early": [(LANES, "due = lane.read() + lane.seconds", "due = lane.read() + lane.seconds * 0.9")],
    "timeout/each-its-own-time": [(LANES, "                self.arm(entry[0])\n", "")],
    "timeout/outer-cancel": [
        (
            LANES,
            "        if self.live.pop(task, None) is not None:\n            return False",
            "        if self.live.pop(task, None) is not None:\n            return isinstance(error, asyncio.CancelledError)",
        )
    ],
    "timeout/cancel-wins-over-the-limit": [(LANES, "if task.uncancel() > cancelling:", "if task.uncancel() < 0:")],
    "timeout/inner-expiry-leaves-the-task-alone": [
        (LANES, "if task.uncancel() > cancelling:", "if task.cancelling() - 1 > cancelling:")
    ],
    "timeout/late-return": [
        (LANES, "        del self._expired[task]\n        task.uncancel()\n", "        del self._expired[task]\n")
    ],
    "timeout/nested": [
        (
            LANES,
            "        due = lane.read() + lane.seconds\n",
            "        if outer is not None:\n            return await fn(*args, **kwargs)\n        due = lane.read() + lane.seconds\n",
        )
    ],
    "timeout/sync-is-not-silently-endless": [
        (
            "policies/_timeout.py",
            '            case "cooperative":\n                run',
            '            case None:\n                return fn\n            case "cooperative":\n                run',
        )
    ],
    "timeout/items-of-a-stream": [
        (
            "policies/_timeout.py",
            "return arelay(fn, opening=self.wrap_async(aopen_stream), step=self.limit)",
            "return arelay(fn, opening=self.wrap_async(aopen_stream))",
        )
    ],
    "timeout/counts-for-the-breaker": [
        (
            JUDGE,
            "isinstance(error, DeadlineExceededError) and error.outcome is Outcome.NOT_APPLIED",
            "isinstance(error, DeadlineExceededError)",
        )
    ],
    "timeout/threads-left-behind": [
        (
            "policies/_worker.py",
            "        if self.full:\n            raise",
            "        if self.abandoned < 0:\n            raise",
        )
    ],
    "timeout/error-can-be-pickled": [
        (
            "errors/_base.py",
            "return (_rebuild, (type(self), self.args, dict(self.__dict__)))",
            "return (type(self), ())",
        )
    ],
    "bulkhead/failures-return-the-slot": [
        (
            "policies/_bulkhead.py",
            "            except BaseException:\n                gate.give()",
            "            except Exception:\n                gate.give()",
        )
    ],
    "bulkhead/fifo": [(SLOTS, "queue.popitem(last=self.config.order == QueueOrder.LIFO)", "queue.popitem(last=True)")],
    "bulkhead/cancelled-waiter": [
        (SLOT_GATE, "            holds = self.engine.leave(waiter)\n", "            holds = waiter.granted\n")
    ],
    "bulkhead/cancelled-in-the-moment-of-the-grant": [
        (SLOT_GATE, "        if holds:\n            self.give()", "        if holds:\n            pass")
    ],
    "bulkhead/wait-that-runs-out": [
        (SLOT_GATE, "            if not self.engine.leave(waiter):\n", "            if not waiter.granted:\n")
    ],
    "bulkhead/wait-storm": [
        (
            SLOT_GATE,
            "            if not self.engine.leave(waiter):\n",
            "            if not self.engine.leave(waiter) or (self.engine.config.max_wait or 1e9) <= self._clock.now() - began:\n",
        )
    ],
    "bulkhead/queue-limit": [(SLOTS, "if self.waiting >= self.config.max_waiting:", "if self.waiting < 0:")],
    "bulkhead/stream-holds-the-slot": [
        ("policies/_bulkhead.py", "return relay(fn, whole=self.guard)", "return relay(fn)")
    ],
    "bulkhead/lambda-returning-a-coroutine": [
        (
            "policies/_bulkhead.py",
            "        return self.wrap_async(after_first(result, fn))(*args, **kwargs)",
            "        return result",
        )
    ],
    "bulkhead/one-cap-over-colours": [
        (
            "policies/_bulkhead.py",
            'is known to return coroutines; empty until then. See `later`.\n        """\n        gate, engine, rule = self.gate, self.gate.engine, self._rule\n',
            'is known to return coroutines; empty until then. See `later`.\n        """\n'
            "        gate = SlotGate(self.name, self.gate.engine.config, self._clock, self._bus)\n        engine, rule = gate.engine, self._rule\n",
        )
    ],
    "rate-limit/burst": [
        (
            RATE,
            "return max(1.0, self.calls if self.burst is None else self.burst)",
            "return max(1.0, (self.calls if self.burst is None else self.burst) * 1.2 // 1)",
        )
    ],
    "rate-limit/pace": [(RATE, "return self.per / self.calls", "return 0.9 * self.per / self.calls")],
    "rate-limit/says-when": [(RATE, "return Refusal(wait)", "return Refusal(self.config.per)")],
    "rate-limit/cancelled-waiter": [
        ("policies/_rate_limit.py", "earlier = self._engine.give_back(ticket, now)", "earlier = []")
    ],
    "rate-limit/behind-a-cancelled-one": [
        (
            "policies/_rate_limit.py",
            "        for other in earlier:\n            other.wake()\n\n    def _waited",
            "        del earlier\n\n    def _waited",
        )
    ],
    "rate-limit/refused-takes-nothing": [
        (
            RATE,
            "            self._rejected += 1\n",
            "            self._rejected += 1\n            self._arrival = self._last = self._after(self._last, ticket)\n",
        )
    ],
    "hedge/losers-are-reaped": [
        (
            "policies/_hedge_race.py",
            "                await reap(self._tasks)",
            "                for task in self._tasks:\n                    task.cancel()",
        )
    ],
    "hedge/cancelled-caller": [
        (
            "policies/_hedge_race.py",
            "            del end  # no cycle between an error and the frames that raise it\n            self._run.end()\n            if self._tasks:",
            "            answered = end is not None\n            del end\n            self._run.end()\n            if answered and self._tasks:",
        )
    ],
    "hedge/failure-does-not-win": [
        ("policies/_hedge_run.py", "return self._verdict() if over else None", "return self._verdict()")
    ],
    "hedge/not-more-than-asked": [("engines/hedge.py", "        self._left -= 1\n", "")],
    "fallback/cancellation": [
        (
            "policies/_fallback.py",
            "            except Exception as error:\n                rescue = self._begin(error)\n                if rescue is None:\n                    raise\n                return self._rescue(rescue, args, kwargs, plain)",
            "            except BaseException as error:\n                return self._rescue(Rescue(len(self._links), error), args, kwargs, plain)",
        )
    ],
    "fallback/other-exceptions-pass": [
        (
            "policies/_fallback.py",
            "is not Category.INVALID_INPUT if listed is None else listed",
            "is not Category.INVALID_INPUT if listed is None else True",
        )
    ],
    "fallback/refusals": [
        (
            "policies/_fallback.py",
            "if isinstance(error, CancelledError):",
            'if isinstance(error, CancelledError) or type(error).__name__ == "CircuitOpenError":',
        )
    ],
    "single-flight/one-execution": [("policies/_single_flight.py", "return (loop, key)", "return (loop, object())")],
    "single-flight/cancelled-leader": [
        ("policies/_single_flight.py", "if last and not task.done():", "if not task.done():")
    ],
    "single-flight/failure-is-shared": [
        (
            "policies/_landing.py",
            "        if self._error is None:\n            return self._value",
            "        if self.landed:\n            return self._value",
        )
    ],
    "single-flight/interrupted-leader": [
        ("policies/_single_flight.py", "            landing.end()", "            landing.landed and landing.end()")
    ],
}
