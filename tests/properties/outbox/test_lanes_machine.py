from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule

from outlast.outbox._lanes import LaneIndex

LANES = st.integers(1, 4)


class Lanes(RuleBasedStateMachine):
    """Play any story of a queue against a model that keeps plain sorted lists and looks at all of them."""

    flying = Bundle("flying")

    def __init__(self):
        super().__init__()
        self.index = LaneIndex()
        self.now = 0.0
        self.next_seq = 0
        self.ops = {}  # place -> lane
        self.up = {}  # lane -> place that flies
        self.waits = {}  # place -> (due, patient)
        self.held = set()
        self.parked = {}  # place -> lane

    def lane(self, number):
        return sorted(seq for seq, lane in self.ops.items() if lane == number)

    def ready(self):
        """Return the heads that may go now."""
        found = set()
        for number in set(self.ops.values()) - self.held - set(self.up):
            head = self.lane(number)[0]
            if head not in self.waits or self.waits[head][0] <= self.now:
                found.add(head)
        return found

    @rule(lane=LANES)
    def enqueue(self, lane):
        self.next_seq += 1
        self.ops[self.next_seq] = lane
        self.index.add(self.next_seq, lane)

    @rule(target=flying, most=st.integers(0, 5))
    def take(self, most):
        allowed = self.ready()
        taken = self.index.take(self.now, most)
        assert len(taken) == min(most, len(allowed))
        assert set(taken) <= allowed
        for seq in taken:
            self.up[self.ops[seq]] = seq
        for seq in [seq for seq, (due, _) in self.waits.items() if due <= self.now]:
            if self.lane(self.ops[seq])[0] == seq and self.ops[seq] not in self.held:
                del self.waits[seq]
        return multiple(*taken)

    @rule(seq=consumes(flying))
    def deliver(self, seq):
        assert self.index.follower(seq) == next((s for s in self.lane(self.ops[seq]) if s > seq), None)
        self.index.remove(seq)
        del self.up[self.ops.pop(seq)]

    @rule(seq=consumes(flying), keep=st.booleans())
    def park(self, seq, keep):
        self.index.remove(seq, hold=keep)
        lane = self.parked[seq] = self.ops.pop(seq)
        del self.up[lane]
        if keep:
            self.held.add(lane)

    @rule(seq=consumes(flying))
    def fail(self, seq):
        self.index.give_back(seq)
        del self.up[self.ops[seq]]

    @rule(seq=consumes(flying), wait=st.integers(0, 5), patient=st.booleans())
    def postpone(self, seq, wait, patient):
        self.index.postpone(seq, self.now + wait, patient=patient)
        self.waits[seq] = (self.now + wait, patient)
        del self.up[self.ops[seq]]

    @precondition(lambda self: self.parked)
    @rule(data=st.data())
    def replay(self, data):
        seq = data.draw(st.sampled_from(sorted(self.parked)))
        lane = self.ops[seq] = self.parked.pop(seq)
        self.index.add(seq, lane)
        if lane not in self.parked.values():
            self.index.free(lane)
            self.held.discard(lane)

    @rule(lane=LANES)
    def free(self, lane):
        self.index.free(lane)
        self.held.discard(lane)

    @rule(seconds=st.integers(1, 4))
    def pass_time(self, seconds):
        self.now += seconds

    @rule()
    def hurry(self):
        self.index.hurry()
        self.waits = {seq: wait for seq, wait in self.waits.items() if wait[1]}

    @invariant()
    def counts_agree(self):
        assert len(self.index) == len(self.ops)
        assert self.index.deliverable == sum(lane not in self.held for lane in self.ops.values())
        assert self.index.held == self.held

    @invariant()
    def the_next_moment_is_not_missed(self):
        heads = [self.lane(number)[0] for number in set(self.ops.values()) - self.held - set(self.up)]
        dues = [self.waits[head][0] for head in heads if head in self.waits]
        if dues:
            assert self.index.next_due() == min(dues)
        else:
            assert self.index.next_due() is None


Lanes.TestCase.__doc__ = "Whatever happens, the index lets exactly the heads go that a naive model lets go."
TestLanes = Lanes.TestCase
