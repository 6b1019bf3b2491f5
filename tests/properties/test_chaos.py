"""Laws of chaos: never when stopped, never more or longer than allowed."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from outlast.engines.chaos import ChaosConfig, ChaosEngine

CHANCES = st.floats(0, 1, exclude_max=True)


class ChaosMachine(RuleBasedStateMachine):
    """Calls, time, switches and new settings, beside a model of a few variables."""

    @initialize(rate=st.floats(0, 1), most=st.none() | st.integers(1, 5), seconds=st.sampled_from([1.0, 10.0]))
    def begin(self, rate, most, seconds):
        """Make it, not enabled."""
        self.engine = ChaosEngine(ChaosConfig(rate, (0.5, 2.0), seconds, most))
        self.now, self.until, self.hits = 100.0, None, 0

    @rule(seconds=st.floats(0, 5))
    def wait(self, seconds):
        """Let time pass."""
        self.now += seconds

    @rule()
    def start(self):
        """Start it anew."""
        self.engine.start(self.now)
        self.until, self.hits = self.now + self.engine.config.expires_after, 0

    @rule()
    def stop(self):
        """Stop it."""
        assert self.engine.stop("by hand") == (self.until is not None)
        self.until = None

    @rule(rate=st.floats(0, 1), most=st.none() | st.integers(1, 5), seconds=st.sampled_from([1.0, 10.0]))
    def change(self, rate, most, seconds):
        """Change the settings."""
        if self.until is not None and seconds != self.engine.config.expires_after:
            self.until = self.now + seconds
        self.engine.reconfigure(ChaosConfig(rate, 0.0, seconds, most), self.now)

    @rule(chance=CHANCES, spread=CHANCES)
    def call(self, chance, spread):
        """Make a call, as the face does."""
        config = self.engine.config
        why = self.engine.ended(self.now)
        over = self.until is not None and (
            self.now >= self.until or (config.max_injections is not None and self.hits >= config.max_injections)
        )
        assert bool(why) == over
        if why:
            assert self.engine.stop(why)
            self.until = None
            return
        wait = self.engine.strike(chance, spread)
        assert (wait is not None) == (self.until is not None and chance < config.rate)
        if wait is not None:
            self.hits += 1
            assert config.span[0] <= wait <= config.span[1]

    @invariant()
    def it_tells(self):
        """The snapshot says what is so."""
        if hasattr(self, "engine"):
            shot = self.engine.snapshot()
            assert shot.active == self.engine.active == (self.until is not None)
            assert bool(shot.why) != shot.active
            assert shot.injected == self.hits
            assert shot.rate == self.engine.config.rate


ChaosMachine.TestCase.settings = settings(stateful_step_count=30)


class TestChaos(ChaosMachine.TestCase):
    """Run the machine."""
