"""Know in memory which op may go next: one at a time in each lane, in the order of their places."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

LaneState = Literal["ready", "flying", "waiting", "held"]


class Wait(NamedTuple):
    """Hold until when an op waits.

    Args:
        due: Monotonic seconds at which it may go.
        patient: Whether the wait was asked for by the server, so that a recovery does not cut it short.
    """

    due: float
    patient: bool


@dataclass(slots=True)
class Lane:
    """Hold the places of one lane, oldest first, and what it does.

    Args:
        number: The number of the lane.
        seqs: The places of its ops.
        state: `ready` to go, `flying`, `waiting` until its head is due, or `held` until somebody decides.
        flying: The place of the op that flies, 0 when none does. A replay may put another before it.
    """

    number: int
    seqs: deque[int] = field(default_factory=deque[int])
    state: LaneState = "ready"
    flying: int = 0


class LaneIndex:
    """Choose heads of lanes. Pure and not thread-safe: the delivery loop owns it.

    Complexity: every step is O(log n), except `hurry` and an op that comes back to its old place.
    """

    def __init__(self) -> None:
        self._lanes: dict[int, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._by_seq: dict[int, Lane] = {}
        self._waits: dict[int, Wait] = {}
        self._due: list[tuple[float, int]] = []
        self._held_ops = 0
        self.last_seq = 0

    def __len__(self) -> int:
        """Return how many ops are known and not settled."""
        return len(self._by_seq)

    def __contains__(self, seq: int) -> bool:
        """Tell whether an op is known and not settled."""
        return seq in self._by_seq

    @property
    def deliverable(self) -> int:
        """Return how many ops are not held back by a decision that somebody must make."""
        return len(self._by_seq) - self._held_ops

    @property
    def held(self) -> set[int]:
        """Return the numbers of the lanes that are held back."""
        return {lane.number for lane in self._lanes.values() if lane.state == "held"}

    def add(self, seq: int, lane_number: int) -> None:
        """Add an op behind the others of its lane, or at its old place if it comes back."""
        self.last_seq = max(self.last_seq, seq)
        if seq in self._by_seq:
            return
        lane = self._lanes.get(lane_number)
        if lane is None:
            lane = self._lanes[lane_number] = Lane(lane_number)
            self._ready.append(lane)
        self._by_seq[seq] = lane
        self._held_ops += lane.state == "held"
        lane.seqs.append(seq)
        if len(lane.seqs) > 1 and lane.seqs[-2] > seq:
            lane.seqs = deque(sorted(lane.seqs))
            if lane.state == "waiting":
                self._go_on(lane)

    def hold(self, lane_number: int) -> None:
        """Keep a lane back until `free`; it may be one that has no op yet."""
        lane = self._lanes.setdefault(lane_number, Lane(lane_number))
        if lane.state != "held":
            lane.state = "held"
            self._held_ops += len(lane.seqs)

    def free(self, lane_number: int) -> None:
        """Let a held lane go on; a head that had to wait still has to."""
        lane = self._lanes.get(lane_number)
        if lane is not None and lane.state == "held":
            self._held_ops -= len(lane.seqs)
            self._go_on(lane)

    def take(self, now: float, most: int) -> list[int]:
        """Return the places of up to `most` heads that may go now, and mark their lanes as flying."""
        self._promote(now)
        taken: list[int] = []
        while self._ready and len(taken) < most:
            lane = self._ready.popleft()
            if lane.state == "ready":
                lane.state, lane.flying = "flying", lane.seqs[0]
                taken.append(lane.flying)
        return taken

    def _promote(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            entry = heapq.heappop(self._due)
            if self._stands(entry):
                del self._waits[entry[1]]
                self._go_on(self._by_seq[entry[1]])

    def _stands(self, entry: tuple[float, int]) -> bool:
        """Tell whether an entry of the heap is still true; those of the past are left in it until they come up."""
        due, seq = entry
        lane, wait = self._by_seq.get(seq), self._waits.get(seq)
        if lane is None or wait is None:
            return False
        return lane.state == "waiting" and lane.seqs[0] == seq and wait.due == due

    def _go_on(self, lane: Lane) -> None:
        """Let a lane do what its present head can do."""
        lane.flying = 0
        if not lane.seqs:
            del self._lanes[lane.number]
            lane.state = "waiting"  # what is left of it in `_ready` is no longer to be taken
        elif (wait := self._waits.get(lane.seqs[0])) is not None:
            lane.state = "waiting"
            heapq.heappush(self._due, (wait.due, lane.seqs[0]))
        else:
            lane.state = "ready"
            self._ready.append(lane)

    def postpone(self, seq: int, due: float, *, patient: bool) -> None:
        """Let an op wait, and with it those behind it in its lane.

        Args:
            seq: Its place.
            due: Monotonic seconds until which it waits.
            patient: Whether `hurry` must leave it waiting.
        """
        lane = self._by_seq[seq]
        self._waits[seq] = Wait(due, patient)
        if lane.flying == seq or (lane.state in {"ready", "waiting"} and lane.seqs[0] == seq):
            self._go_on(lane)

    def give_back(self, seq: int) -> None:
        """Take back that an op was taken, unless it is settled already; it may go again at once."""
        lane = self._by_seq.get(seq)
        if lane is not None and lane.flying == seq:
            self._go_on(lane)

    def remove(self, seq: int, *, hold: bool = False) -> None:
        """Forget a settled op that was flying; its follower may go, unless the lane is held."""
        lane = self._by_seq.pop(seq)
        lane.seqs.remove(seq)  # at or near the left end
        self._waits.pop(seq, None)
        if hold:
            lane.state, lane.flying = "held", 0
            self._held_ops += len(lane.seqs)
        else:
            self._go_on(lane)

    def follower(self, seq: int) -> int | None:
        """Return the place of the op that comes next in the lane of this one, if one is known."""
        return next((other for other in self._by_seq[seq].seqs if other > seq), None)

    def hurry(self) -> None:
        """Let everything that waits impatiently go: the server answers again."""
        hurried = [seq for seq, wait in self._waits.items() if not wait.patient]
        for seq in hurried:
            del self._waits[seq]
            lane = self._by_seq[seq]
            if lane.state == "waiting" and lane.seqs[0] == seq:
                self._go_on(lane)

    def next_due(self) -> float | None:
        """Return the moment at which the next waiting head may go, or None when none waits."""
        while self._due and not self._stands(self._due[0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None
