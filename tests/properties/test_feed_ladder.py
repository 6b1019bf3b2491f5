"""The ladder of a feed: it never hammers, never uses refused credentials, and never forgets the upper rungs."""

import math

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from outlast.engines.backoff import Backoff, Jitter
from outlast.engines.feed_ladder import FeedLadder
from outlast.engines.feed_records import (
    Due,
    GiveUp,
    LadderConfig,
    Listen,
    Paused,
    Refresh,
    Rung,
    Trouble,
    Try,
    Wait,
)

CHANCES = st.sampled_from([0.25, 0.5, 0.999])
OUTCOMES = st.sampled_from([*Trouble, "opens", "refuses"])
RECONNECT = Backoff(base=3.0, cap=60.0, jitter=Jitter.FULL)


class LadderMachine(RuleBasedStateMachine):
    """A server that offers what it likes, a clock that moves as it likes."""

    @initialize(
        rungs=st.sampled_from([tuple(Rung), (Rung.POLL,), (Rung.WEBSOCKET, Rung.POLL), (Rung.SSE, Rung.LONG_POLL)]),
        most=st.sampled_from([None, None, 1, 3]),
    )
    def start(self, rungs, most):
        """Begin with some of the rungs."""
        self.config = LadderConfig(rungs=rungs, reconnect=RECONNECT, max_attempts=most, heartbeat_timeout=40.0)
        self.ladder = FeedLadder(self.config)
        self.now = 0.0
        self.at_once = 0  # attempts that followed each other without any wait
        self.refused = False  # the present credentials were refused
        self.asked = 0  # refreshes since a connection was open
        self.attempts = 0
        self.quiet = 0.0

    @rule(seconds=st.sampled_from([0.0, 0.5, 5.0, 61.0, 1000.0]))
    def pass_time(self, seconds):
        """Let time pass in which nobody listens."""
        self.now += seconds
        self.at_once = 0 if seconds else self.at_once

    @rule(outcomes=st.lists(st.tuples(OUTCOMES, CHANCES), min_size=5, max_size=12))
    def follow_on(self, outcomes):
        """Do what the ladder says again and again."""
        for outcome, chance in outcomes:
            self.follow(outcome, chance, 0.0)
            self.never_hammers()

    @rule(trouble=OUTCOMES, chance=CHANCES, asked=st.sampled_from([0.0, 0.0, 20.0]))
    def step(self, trouble, chance, asked):
        """Do once what the ladder says."""
        self.follow(trouble, chance, asked)

    def follow(self, trouble, chance, asked):
        """Do what the ladder says, with some outcome."""
        match self.ladder.step(self.now):
            case Try(rung):
                assert rung in self.config.rungs
                assert not self.refused
                self.at_once += 1
                self.try_it(trouble, chance, asked)
            case Wait(seconds):
                assert 0 < seconds <= max(60.0, 20.0)
                self.now += seconds
                self.at_once = 0
            case Listen(rung, seconds, due):
                self.listen(rung, seconds, due, trouble, chance)
            case Refresh():
                self.asked += 1
                assert self.asked <= 1 or trouble is Trouble.UNREACHABLE or not self.refused
                self.refresh(trouble, chance)
            case Paused():
                assert self.refused
            case GiveUp(attempts):
                assert self.config.max_attempts is not None
                assert attempts >= self.config.max_attempts

    def try_it(self, trouble, chance, asked):
        """Let an attempt end somehow."""
        if trouble == "opens":
            self.ladder.opened(self.now, chance)
            self.asked, self.attempts, self.quiet = 0, 0, 0.0
        elif trouble == "refuses":
            self.refused = True
            self.ladder.refused(self.now, chance, refreshable=True)
        else:
            self.attempts += 1
            self.ladder.failed(self.now, chance, trouble, at_least=asked)
            step = self.ladder.step(self.now)
            assert not asked or isinstance(step, GiveUp) or step.seconds >= asked

    def listen(self, rung, seconds, due, trouble, chance):
        """Listen, and hear something, or nothing for as long as was said."""
        assert seconds >= 0.0
        if trouble == "opens":
            self.ladder.heard()
            self.quiet = 0.0
        elif trouble == "refuses":
            self.refused = True
            self.ladder.refused(self.now, chance, refreshable=True)
        elif trouble is Trouble.UNSUPPORTED or seconds == math.inf:
            self.ladder.failed(self.now, chance, Trouble.LOST)
        else:
            self.now += seconds
            self.at_once = 0 if seconds else self.at_once
            self.ladder.listened(seconds)
            self.quiet += seconds
            self.come_due(rung, due, chance)

    def come_due(self, rung, due, chance):
        """Do what is due."""
        match due:
            case Due.SILENT:
                assert rung is Rung.SSE
                assert self.quiet >= 39.999
                self.ladder.failed(self.now, chance, Trouble.LOST)
            case Due.PULL:
                self.ladder.pulled(self.now)
                after = self.ladder.step(self.now)
                assert (after.due, after.seconds > 0) != (Due.PULL, False)
            case Due.CLIMB:
                assert rung is not self.config.rungs[0]
                self.ladder.climb()
                assert self.ladder.step(self.now) == Try(self.config.rungs[0])

    def refresh(self, trouble, chance):
        """Ask for new credentials, which may fail."""
        if trouble is Trouble.UNREACHABLE:
            self.ladder.refresh_failed(self.now, chance)
            self.asked -= 1
        else:
            self.refused = False
            self.ladder.renewed(asked=True)

    @rule()
    def bring(self):
        """Bring new credentials by hand."""
        self.refused, self.asked, self.attempts = False, 0, 0
        self.ladder.renewed(asked=False)

    @rule()
    def wake(self):
        """Say that the network is back."""
        self.ladder.wake()
        self.at_once = 0

    @invariant()
    def never_hammers(self):
        """Without a wait each rung is tried once at most, on the way down, and once more after a climb."""
        if hasattr(self, "ladder"):
            assert self.at_once <= 2 * len(self.config.rungs) + 2

    @invariant()
    def shows_itself(self):
        """The whole state can be read."""
        if hasattr(self, "ladder"):
            assert self.ladder.rung.value in repr(self.ladder)


LadderMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=20)


class TestLadder(LadderMachine.TestCase):
    """Run the machine."""
