"""The slots engine against a model of it: a plain list of those who wait, searched each time."""

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from outlast.engines import QueueOrder, SlotsConfig
from outlast.engines.slots import SlotsEngine, Waiter

ORDERS = st.sampled_from(QueueOrder)
SIZES = st.integers(1, 4)


class SlotsMachine(RuleBasedStateMachine):
    """Let callers come, wait, run, give up and end, while the settings change."""

    @initialize(size=SIZES, waiting=st.integers(0, 4), order=ORDERS)
    def build(self, size, waiting, order):
        """Make both."""
        self.engine = SlotsEngine(SlotsConfig(size, waiting, order=order))
        self.size, self.most, self.order = size, waiting, order
        self.running, self.rejected, self.highest = 0, 0, size
        self.queue = []  # in order of arrival
        self.held_back = 0  # tokens put back whose giver has not looked at the crowd yet

    def granted(self, waiters):
        """Take note of who was granted a slot; the model must have chosen the same."""
        for waiter in waiters:
            assert waiter is self.chosen()
            assert waiter.granted
            self.queue.remove(waiter)
            self.running += 1

    def chosen(self):
        """Say who is next."""
        match self.order:
            case QueueOrder.FIFO:
                return self.queue[0]
            case QueueOrder.LIFO:
                return self.queue[-1]
            case QueueOrder.PRIORITY:
                return max(self.queue, key=lambda waiter: (waiter.priority, -self.queue.index(waiter)))

    @rule(priority=st.integers(0, 2))
    def arrive(self, priority):
        """Let a caller come as the face does: by the quick way where there is no crowd, else by the queue."""
        engine = self.engine
        if not engine.crowded and engine.free:
            engine.free.pop()
            self.running += 1
            return
        waiter = Waiter(bool, priority)
        self.granted(engine.grant(0.0))
        full = engine.join(waiter, None)
        if waiter.granted:
            self.running += 1
        elif full is None:
            self.queue.append(waiter)
            self.granted(engine.grant(0.0))
        else:
            assert len(self.queue) >= self.most
            self.rejected += 1

    @precondition(lambda self: self.running)
    @rule(looks=st.booleans())
    def end(self, looks):
        """End a call; perhaps its thread is stopped before it looks whether somebody waits."""
        self.engine.free.append(None)
        self.running -= 1
        if self.engine.crowded and looks:
            self.granted(self.engine.grant(0.0))
        elif self.engine.crowded:
            self.held_back += 1

    @precondition(lambda self: self.held_back)
    @rule()
    def look(self):
        """Let a stopped thread go on."""
        self.held_back -= 1
        self.granted(self.engine.grant(0.0))

    @precondition(lambda self: self.queue)
    @rule(which=st.integers(0, 9))
    def give_up(self, which):
        """Let one that waits go away."""
        waiter = self.queue.pop(which % len(self.queue))

        assert self.engine.leave(waiter) is False

    @rule(size=SIZES, waiting=st.integers(0, 4), order=ORDERS)
    def change(self, size, waiting, order):
        """Change the settings."""
        self.size, self.most, self.order = size, waiting, order
        self.highest = max(self.running, size)  # those above it end before another begins
        self.engine.reconfigure(SlotsConfig(size, waiting, order=order))
        self.granted(self.engine.grant(0.0))

    @invariant()
    def no_overshoot(self):
        """No more run than there are slots, but for those that ran when their number was lowered."""
        if hasattr(self, "engine"):
            assert self.running <= self.highest
            self.highest = max(self.size, self.running)
            assert self.running == self.engine.running

    @invariant()
    def nobody_waits_for_nothing(self):
        """Unless a giver is about to look, nobody waits while a slot is free, and no slot is missing."""
        if not hasattr(self, "engine") or self.held_back:
            return
        assert not (self.queue and self.engine.free)
        assert len(self.engine.free) == max(0, self.size - self.running)

    @invariant()
    def counts_agree(self):
        """The engine counts what the model counts."""
        if hasattr(self, "engine"):
            snapshot = self.engine.snapshot()
            assert (snapshot.waiting, snapshot.rejected) == (len(self.queue), self.rejected)


TestSlots = SlotsMachine.TestCase
