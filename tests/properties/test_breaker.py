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
    HalfOpen,
    Permit,
    Refusal,
    Verdict,
)

VERDICTS = st.sampled_from(Verdict)


class Model:
    """What the breaker should do, in its plainest form."""

    def __init__(self, threshold, max_calls, success_threshold, open_for, lease, growth):
        self.threshold, self.max_calls, self.success_threshold = threshold, max_calls, success_threshold
        self.open_for, self.lease, self.growth = open_for, lease, growth
        self.era, self.state = 0, "closed"
        self.row = self.failures = self.ok = self.rejected = self.reopened = self.successes = 0
        self.until = 0.0
        self.running = {}

    def enter(self, state):
        """Begin an era."""
        self.era += 1
        self.state, self.row, self.successes, self.running = state, 0, 0, {}

    def open(self, now):
        """Open for as long as it is due."""
        self.enter("open")
        self.until = now + min(self.growth.cap, self.open_for * self.growth.factor**self.reopened)
        self.reopened += 1

    def close(self):
        """Close."""
        self.enter("closed")
        self.reopened = 0

    def admit(self, number, now):
        """Return whether a call is admitted; it then belongs to the present era."""
        if self.state == "open" and now >= self.until:
            self.enter("half_open")
        if self.state == "half_open" and len(self.running) >= self.max_calls:
            self.running = {call: end for call, end in self.running.items() if end > now}
        admitted = self.state == "closed" or (self.state == "half_open" and len(self.running) < self.max_calls)
        if admitted and self.state == "half_open":
            self.running[number] = now + self.lease
        self.rejected += not admitted
        return admitted

    def settle(self, number, era, verdict, now):
        """Count a result that was not counted before."""
        if era != self.era or (self.state == "half_open" and self.running.pop(number, None) is None):
            return
        self.count(verdict, now)

    def record(self, verdict, now):
        """Count a result without a call."""
        if self.state == "open" and now >= self.until:
            self.enter("half_open")
        if self.state != "open":
            self.count(verdict, now)

    def count(self, verdict, now):
        """Let a result take effect."""
        if verdict is Verdict.IGNORED:
            return
        if verdict is Verdict.SUCCESS:
            self.ok, self.row, self.successes = self.ok + 1, 0, self.successes + 1
            if self.state == "half_open" and self.successes >= self.success_threshold:
                self.close()
            return
        self.failures, self.row = self.failures + 1, self.row + 1
        if self.state == "half_open" or self.row >= self.threshold:
            self.open(now)


class BreakerMachine(RuleBasedStateMachine):
    """Play calls that end late, twice or never against the engine and its model."""

    calls = Bundle("calls")

    @initialize(
        threshold=st.integers(1, 3),
        max_calls=st.integers(1, 3),
        success_threshold=st.integers(1, 3),
        lease=st.sampled_from([None, 2.0, 25.0]),
        factor=st.sampled_from([1.0, 2.0]),
    )
    def build(self, threshold, max_calls, success_threshold, lease, factor):
        """Make both."""
        growth = Backoff(factor=factor, cap=35.0)
        self.engine = BreakerEngine(
            BreakerConfig(ConsecutiveFailures(threshold), HalfOpen(max_calls, success_threshold, lease), 10.0, growth)
        )
        self.model = Model(threshold, max_calls, success_threshold, 10.0, lease or 10.0, growth)
        self.now, self.number = 100.0, 0

    @rule(target=calls)
    def admit(self):
        """Ask for a permit."""
        self.number += 1
        before = self.engine.refuses(self.now)
        answer, change = self.engine.admit(self.now)
        admitted = self.model.admit(self.number, self.now)

        assert isinstance(answer, Permit) == admitted
        assert before is not admitted
        assert change is None or change.after is CircuitState.HALF_OPEN
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
        if isinstance(permit, Permit) and not permit.probe:
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

    @rule(dice=st.integers(0, 3), force=st.sampled_from(["force_open", "force_closed", "reset"]))
    def by_hand(self, dice, force):
        """Change the state by hand, now and then."""
        if dice:
            return
        getattr(self.engine, force)(self.now)
        if force == "force_open":
            self.model.enter("open")
            self.model.until = math.inf
        else:
            self.model.close()
        if force == "reset":
            self.model.ok = self.model.failures = self.model.rejected = 0

    @invariant()
    def agree(self):
        """Compare all that can be seen."""
        if hasattr(self, "engine"):
            shot, model = self.engine.snapshot(self.now), self.model
            assert shot.state.value == model.state
            assert (shot.failures, shot.rejected, shot.probes) == (model.failures, model.rejected, len(model.running))
            assert shot.calls == model.ok + model.failures
            expected = max(0.0, model.until - self.now) if model.state == "open" else 0.0
            assert shot.cooldown_remaining == expected

    @invariant()
    def probes_are_limited(self):
        """No more probes hold a slot than are allowed."""
        if hasattr(self, "engine"):
            assert self.engine.snapshot(self.now).probes <= self.engine.config.recovery.max_calls

    @invariant()
    def the_success_path_sees_the_state(self):
        """The reference that faces read is there exactly while it is closed."""
        if hasattr(self, "engine"):
            assert (self.engine.closed is not None) == (self.engine.state is CircuitState.CLOSED)


BreakerMachine.TestCase.settings = settings(stateful_step_count=40)


class TestBreaker(BreakerMachine.TestCase):
    """Run the machine."""
