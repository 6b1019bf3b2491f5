"""The breaker engine against a small model of it: numbered eras instead of objects, sets instead of leases in place."""

import math

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from outlast.engines import (
    Backoff,
    BreakerConfig,
    BreakerEngine,
    CircuitState,
    ConsecutiveFailures,
    GradedRecovery,
    HalfOpen,
    Permit,
    Refusal,
    ResetAfterCooldown,
    Verdict,
)
from outlast.engines.breaker import Closed

VERDICTS = st.sampled_from(Verdict)


class Model:
    """What the breaker should do, in its plainest form."""

    def __init__(self, threshold, recovery, open_for, growth):
        self.threshold, self.recovery, self.open_for, self.growth = threshold, recovery, open_for, growth
        self.era, self.state = 0, "closed"
        self.row = self.failures = self.ok = self.rejected = self.reopened = 0
        self.good = self.bad = 0
        self.until = 0.0
        self.running = {}

    def enter(self, state):
        """Begin an era."""
        self.era += 1
        self.state, self.row, self.good, self.bad, self.running = state, 0, 0, 0, {}

    def open(self, now):
        """Open for as long as it is due."""
        if self.state == "closed" and self.good:
            self.reopened = 0
        self.enter("open")
        self.until = now + min(self.growth.cap, self.open_for * self.growth.factor**self.reopened)
        self.reopened += 1

    def close(self):
        """Close."""
        self.enter("closed")
        self.reopened = 0

    def wake(self, now):
        """Let time take effect."""
        if self.state == "open" and now >= self.until:
            match self.recovery:
                case HalfOpen():
                    self.enter("half_open")
                case ResetAfterCooldown():
                    self.enter("closed")
                case GradedRecovery():
                    self.enter("ramping")
                    self.since = now
        if self.state == "ramping" and now >= self.since + self.recovery.over_seconds:
            self.state, self.reopened = "closed", 0  # the era goes on

    def share(self, now):
        """Return the share of calls admitted by degrees."""
        return self.recovery.start + (1 - self.recovery.start) * (now - self.since) / self.recovery.over_seconds

    def has_slot(self, now):
        """Tell whether one more probe may run; hung ones lose their slots if it needs one."""
        if len(self.running) >= self.recovery.max_calls:
            self.running = {call: end for call, end in self.running.items() if end > now}
        return len(self.running) < self.recovery.max_calls

    def admit(self, number, now, chance):
        """Return whether a call is admitted; it then belongs to the present era."""
        self.wake(now)
        match self.state:
            case "half_open":
                admitted = self.has_slot(now)
            case "ramping":
                admitted = chance < self.share(now)
            case state:
                admitted = state in {"closed", "disabled"}
        if admitted and self.state == "half_open":
            self.running[number] = now + (self.recovery.probe_expires_after or self.open_for)
        self.rejected += not admitted
        return admitted

    def settle(self, number, era, verdict, now):
        """Count a result that was not counted before."""
        if era != self.era or (self.state == "half_open" and self.running.pop(number, None) is None):
            return
        self.count(verdict, now)

    def record(self, verdict, now):
        """Count a result without a call."""
        self.wake(now)
        self.count(verdict, now)

    def count(self, verdict, now):
        """Let a result take effect."""
        if verdict is Verdict.IGNORED or self.state in {"open", "disabled"}:
            return
        good = verdict is Verdict.SUCCESS
        self.ok, self.failures = self.ok + good, self.failures + (not good)
        self.good, self.bad = self.good + good, self.bad + (not good)
        self.row = 0 if good else self.row + 1
        if self.state == "half_open":
            self.judge_probes(now)
        elif self.row >= self.threshold:
            self.open(now)

    def judge_probes(self, now):
        """Close or reopen if what the rule says is certain."""
        rule = self.recovery
        if rule.success_ratio is None:
            lost, won = self.bad > 0, self.good >= rule.success_threshold
        else:
            lost = (self.good + rule.probes - self.good - self.bad) / rule.probes < rule.success_ratio
            won = self.good / rule.probes >= rule.success_ratio
        if lost:
            self.open(now)
        elif won:
            self.close()


RECOVERIES = st.one_of(
    st.builds(
        HalfOpen,
        max_calls=st.integers(1, 3),
        success_threshold=st.integers(1, 3),
        probe_expires_after=st.sampled_from([None, 2.0, 25.0]),
    ),
    st.builds(
        HalfOpen, max_calls=st.integers(1, 3), success_ratio=st.sampled_from([0.25, 0.5, 1.0]), probes=st.just(4)
    ),
    st.just(ResetAfterCooldown()),
    st.builds(GradedRecovery, over_seconds=st.sampled_from([5.0, 20.0]), start=st.sampled_from([0.25, 1.0])),
)


class BreakerMachine(RuleBasedStateMachine):
    """Play calls that end late, twice or never against the engine and its model."""

    calls = Bundle("calls")

    @initialize(threshold=st.integers(1, 3), recovery=RECOVERIES, factor=st.sampled_from([1.0, 2.0]))
    def build(self, threshold, recovery, factor):
        """Make both."""
        growth = Backoff(factor=factor, cap=35.0)
        self.engine = BreakerEngine(BreakerConfig(ConsecutiveFailures(threshold), recovery, 10.0, growth))
        self.model = Model(threshold, recovery, 10.0, growth)
        self.now, self.number = 100.0, 0

    @rule(target=calls, chance=st.sampled_from([0.0, 0.0, 0.5, 0.99]))
    def admit(self, chance=0.0):
        """Ask for a permit."""
        self.number += 1
        before = self.engine.refuses(self.now)
        answer, change = self.engine.admit(self.now, chance)
        admitted = self.model.admit(self.number, self.now, chance)

        assert isinstance(answer, Permit) == admitted
        assert before is not admitted or self.model.state == "ramping"
        assert change is None or change.after is not CircuitState.OPEN
        if isinstance(answer, Refusal):
            assert answer.retry_after > 0
        return (answer, self.number, self.model.era)

    @rule(call=consumes(calls), verdict=VERDICTS, again=st.none() | VERDICTS)
    def settle(self, call, verdict, again):
        """Let a call end, late or in time; and perhaps report it a second time."""
        permit, number, era = call
        if isinstance(permit, Permit):
            self.engine.settle(permit, verdict, self.now, "down")
            self.model.settle(number, era, verdict, self.now)
            if again is not None:
                self.engine.settle(permit, again, self.now, "down")

    @rule(call=consumes(calls))
    def succeed_without_the_lock(self, call):
        """Do as the face does on its success path: bump the era's counter, whether it is alive or dead."""
        permit, number, era = call
        if isinstance(permit, Permit) and isinstance(permit.era, Closed):
            permit.era.ok += 1
            self.model.settle(number, era, Verdict.SUCCESS, self.now)

    @rule()
    def trip(self):
        """Fail in a row until nothing is admitted any more."""
        for _ in range(5):
            call = self.admit()
            if isinstance(call[0], Permit):
                self.settle(call, Verdict.FAILURE, None)

    @rule()
    def cool_down(self):
        """Let the open time pass."""
        self.now += self.model.until - self.now if self.model.state == "open" and math.isfinite(self.model.until) else 0

    @rule(verdict=VERDICTS)
    def record(self, verdict):
        """Report a result by hand."""
        self.engine.record(verdict, self.now, "down")
        self.model.record(verdict, self.now)

    @rule(seconds=st.sampled_from([0.5, 2.0, 9.5, 10.0, 40.0]))
    def wait(self, seconds):
        """Let time pass."""
        self.now += seconds

    @rule(dice=st.integers(0, 3), force=st.sampled_from(["force_open", "force_closed", "disable", "reset"]))
    def by_hand(self, dice, force):
        """Change the state by hand, now and then."""
        if dice:
            return
        getattr(self.engine, force)(self.now)
        if force == "force_open":
            self.model.enter("open")
            self.model.until = math.inf
        elif force == "disable":
            self.model.enter("disabled")
        else:
            self.model.close()
        if force == "reset":
            self.model.ok = self.model.failures = self.model.rejected = 0

    @invariant()
    def agree(self):
        """Compare all that can be seen."""
        if hasattr(self, "engine"):
            shot, model = self.engine.snapshot(self.now), self.model
            assert shot.state.value == {"ramping": "half_open"}.get(model.state, model.state)
            assert (shot.failures, shot.rejected, shot.probes) == (model.failures, model.rejected, len(model.running))
            assert shot.calls == model.ok + model.failures
            expected = max(0.0, model.until - self.now) if model.state == "open" else 0.0
            assert shot.cooldown_remaining == expected

    @invariant()
    def probes_are_limited(self):
        """No more probes hold a slot than are allowed."""
        if hasattr(self, "engine"):
            most = getattr(self.engine.config.recovery, "max_calls", 0)
            assert self.engine.snapshot(self.now).probes <= most

    @invariant()
    def the_success_path_sees_the_state(self):
        """The reference that faces read is there exactly while it is closed."""
        if hasattr(self, "engine"):
            assert (self.engine.closed is not None) == (self.engine.state is CircuitState.CLOSED)


BreakerMachine.TestCase.settings = settings(stateful_step_count=40)


class TestBreaker(BreakerMachine.TestCase):
    """Run the machine."""
