"""Leases: at any moment one holder at most believes that it may send, whatever happens to machines and processes."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outlast.engines import LeaseConfig
from outlast.engines.lease import Held, LeaseRow, Take, contend, must_stop

CONFIG = LeaseConfig(beat_every=10.0, ttl=30.0)
NAMES = st.sampled_from("abc")


class LeaseMachine(RuleBasedStateMachine):
    """Three contenders on one machine that freeze, die, restart and release."""

    def __init__(self):
        super().__init__()
        self.now, self.boot, self.row, self.lock = 1000.0, 1, None, None
        self.terms = {}
        self.fences = []

    @rule(seconds=st.sampled_from([0.125, 5.0, 10.0, 19.5, 20.0, 30.0, 100.0]))
    def wait(self, seconds):
        """Let time pass; who does not beat meanwhile is frozen."""
        self.now += seconds

    @rule(name=NAMES)
    def contend(self, name):
        """Ask for the lease; the lock is free when its holder is dead."""
        step = contend(self.row, now=self.now, boot_id=str(self.boot), lock_free=self.lock is None)
        match step:
            case Take(fence=fence):
                assert self.row is None or fence > self.row.fence
                self.row = LeaseRow(name, fence, str(self.boot), self.now, CONFIG.ttl)
                self.lock = name
                self.terms[name] = (fence, self.now)
                self.fences.append(fence)
            case Held(retry_after=seconds):
                assert 0 < seconds <= CONFIG.ttl
                again = contend(self.row, now=self.now + seconds, boot_id=str(self.boot), lock_free=False)
                assert isinstance(again, Take)

    @rule(name=NAMES)
    def beat(self, name):
        """Write a beat, which is refused once another term has begun."""
        if name in self.terms and self.terms[name][0] == self.row.fence and self.row.holder:
            self.row = LeaseRow(name, self.row.fence, str(self.boot), self.now, CONFIG.ttl)
            self.terms[name] = (self.row.fence, self.now)

    @rule(name=NAMES)
    def release(self, name):
        """Give the lease back."""
        fence, _ = self.terms.pop(name, (0, 0.0))
        if self.row is not None and fence == self.row.fence:
            self.row = LeaseRow("", fence, str(self.boot), self.now, CONFIG.ttl)
            self.lock = None

    @precondition(lambda self: self.lock is not None)
    @rule()
    def die(self):
        """Kill the process that has the lock."""
        self.terms.pop(self.lock, None)
        self.lock = None

    @rule()
    def restart(self):
        """Restart the machine: every process is gone, and the monotonic clock starts anew."""
        self.boot += 1
        self.now = 10.0
        self.lock, self.terms = None, {}

    @invariant()
    def one_sender(self):
        """No two processes that live believe that they may send."""
        senders = [name for name, (_, beat) in self.terms.items() if not must_stop(CONFIG, beat, self.now)]
        assert len(senders) <= 1

    @invariant()
    def fences_rise(self):
        """No two terms share a fence."""
        assert self.fences == sorted(set(self.fences))


LeaseMachine.TestCase.settings = settings(stateful_step_count=30)


class TestLease(LeaseMachine.TestCase):
    """Run the machine."""
