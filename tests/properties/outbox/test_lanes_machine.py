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
        self.after = {}  # place -> place
        self.passable = set()

    def lane(self, number):
        return sorted(seq for seq, lane in self.ops.items() if lane == number)

    def blocked(self, seq):
        """Tell whether what an op comes after is still there."""
        return self.after.get(seq) in self.ops or self.after.get(seq) in self.parked

    def front(self, number):
        """Return the ops of a lane that wait and let others pass or are in front, and the one that is ready or None."""
        waiting = []
        for seq in self.lane(number):
            if self.blocked(seq):
                break
            if seq not in self.waits or self.waits[seq][0] <= self.now:
                return waiting, seq
            waiting.append(seq)
            if seq not in self.passable:
                break
        return waiting, None

    def idle(self):
        """Return the lanes that are neither held nor flying."""
        return set(self.ops.values()) - self.held - set(self.up)

    def ready(self):
        """Return the ops that may go now."""
        return {self.front(number)[1] for number in self.idle()} - {None}

    @rule(lane=LANES, passable=st.booleans(), data=st.data())
    def enqueue(self, lane, passable, data):
        self.next_seq += 1
        after = data.draw(st.sampled_from([None, None, *self.ops, *self.parked]))
        self.ops[self.next_seq] = lane
        self.index.add(self.next_seq, lane, after, passable=passable)
        if after is not None:
            self.after[self.next_seq] = after
        if passable:
            self.passable.add(self.next_seq)

    @rule(target=flying, most=st.integers(0, 5))
    def take(self, most):
        allowed = self.ready()
        taken = self.index.take(self.now, most)
        assert len(taken) == min(most, len(allowed))
        assert set(taken) <= allowed
        for seq in taken:
            self.up[self.ops[seq]] = seq
            self.waits.pop(seq, None)
        return multiple(*taken)

    @rule(seq=consumes(flying), together=st.booleans())
    def deliver(self, seq, together):
        assert self.index.followers(seq, 3) == [s for s in self.lane(self.ops[seq]) if s > seq][:3]
        if together:
            self.index.remove_delivered([seq])
        else:
            self.index.remove(seq)
        del self.up[self.ops.pop(seq)]
        self.passable.discard(seq)

    @rule(seq=consumes(flying), keep=st.booleans())
    def park(self, seq, keep):
        self.index.remove(seq, hold=keep, parked=True)
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
        self.passable.discard(seq)
        self.index.add(seq, lane, self.after[seq] if self.blocked(seq) else None)
        if lane not in self.parked.values():
            self.index.free(lane)
            self.held.discard(lane)

    @precondition(lambda self: self.parked)
    @rule(data=st.data())
    def discard(self, data):
        seq = data.draw(st.sampled_from(sorted(self.parked)))
        del self.parked[seq]
        for other in [other for other, before in self.after.items() if before == seq and other in self.ops]:
            self.index.add(other, self.ops[other])

    @rule(data=st.data())
    def withdraw(self, data):
        """Take an op out that was folded into another before it was sent."""
        lying = sorted(set(self.ops) - set(self.up.values()))
        if lying:
            seq = data.draw(st.sampled_from(lying))
            self.index.remove(seq)
            del self.ops[seq]
            self.waits.pop(seq, None)
            self.passable.discard(seq)

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
        blocked = {number for number in self.idle() if self.blocked(self.lane(number)[0])}
        assert self.index.deliverable == len(set(self.ops.values()) - self.held - blocked)
        assert self.index.held == self.held

    @invariant()
    def whoever_keeps_others_back_is_doubted(self):
        for number in self.idle():
            ahead = self.front(number)[0]
            reached = next((seq for seq in self.lane(number) if seq not in ahead), None)
            if reached is not None and self.blocked(reached) and self.passable.issuperset(ahead):
                assert (reached in self.index.doubted) or reached == self.lane(number)[-1]

    @invariant()
    def the_next_moment_is_not_missed(self):
        dues = [self.waits[seq][0] for number in self.idle() for seq in self.front(number)[0]]
        told = self.index.next_due()
        assert told is None or told in {due for due, _ in self.waits.values()}
        if dues:
            assert told is not None
            assert told <= min(dues)


Lanes.TestCase.__doc__ = "Whatever happens, the index lets exactly the heads go that a naive model lets go."
TestLanes = Lanes.TestCase
