"""Know in memory which op may go next: one at a time in each lane, in the order of their places."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

LaneState = Literal["ready", "flying", "waiting", "held"]


@dataclass(slots=True)
class Lane:
    """Hold the places of one lane, oldest first, and what its head does.

    Args:
        number: The number of the lane.
        seqs: The places of its ops.
        state: `ready` to go, `flying`, `waiting` until `due`, or `held` until somebody decides.
        due: Monotonic seconds at which a waiting head may go.
        patient: Whether the wait was asked for by the server, so that a recovery does not cut it short.
    """

    number: int
    seqs: deque[int] = field(default_factory=deque[int])
    state: LaneState = "ready"
    due: float = 0.0
    patient: bool = False


class LaneIndex:
    """Choose heads of lanes. Pure and not thread-safe: the delivery loop owns it."""

    def __init__(self) -> None:
        self._lanes: dict[int, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._due: list[tuple[float, int, int]] = []
        self._by_seq: dict[int, Lane] = {}
        self.last_seq = 0

    def __len__(self) -> int:
        """Return how many ops are known and not settled."""
        return len(self._by_seq)

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
        lane.seqs.append(seq)
        if len(lane.seqs) > 1 and lane.seqs[-2] > seq:
            lane.seqs = deque(sorted(lane.seqs))

    def hold(self, lane_number: int) -> None:
        """Keep a lane back until `free`; it may be one that has no op yet."""
        lane = self._lanes.setdefault(lane_number, Lane(lane_number))
        lane.state = "held"

    def free(self, lane_number: int) -> None:
        """Let a held lane go on."""
        lane = self._lanes.get(lane_number)
        if lane is not None and lane.state == "held":
            self._make_ready(lane)

    def free_all(self, keep: set[int]) -> None:
        """Let every held lane go on, except those to keep."""
        for number in [lane.number for lane in self._lanes.values() if lane.state == "held"]:
            if number not in keep:
                self.free(number)

    def is_head(self, seq: int) -> bool:
        """Tell whether a place is known and the first of its lane."""
        lane = self._by_seq.get(seq)
        return lane is not None and lane.seqs[0] == seq

    def take(self, now: float, most: int) -> list[int]:
        """Return the places of up to `most` heads that may go now, and mark their lanes as flying."""
        self._promote(now)
        taken: list[int] = []
        while self._ready and len(taken) < most:
            lane = self._ready.popleft()
            if lane.state == "ready" and lane.seqs:
                lane.state = "flying"
                taken.append(lane.seqs[0])
        return taken

    def _promote(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            due, _, number = heapq.heappop(self._due)
            lane = self._lanes.get(number)
            if lane is not None and lane.state == "waiting" and lane.due == due:
                self._make_ready(lane)

    def _make_ready(self, lane: Lane) -> None:
        if lane.seqs:
            lane.state = "ready"
            self._ready.append(lane)
        else:
            del self._lanes[lane.number]

    def postpone(self, seq: int, due: float, *, patient: bool) -> None:
        """Let the head of a lane wait.

        Args:
            seq: The place of the head.
            due: Monotonic seconds until which it waits.
            patient: Whether `hurry` must leave it waiting.
        """
        lane = self._by_seq[seq]
        lane.state, lane.due, lane.patient = "waiting", due, patient
        heapq.heappush(self._due, (due, seq, lane.number))

    def give_back(self, seq: int) -> None:
        """Take back that a head was taken; it may go again at once."""
        self._make_ready(self._by_seq[seq])

    def remove(self, seq: int, *, hold: bool = False) -> None:
        """Forget a settled head; its follower may go, unless the lane is held."""
        lane = self._by_seq.pop(seq)
        lane.seqs.popleft()
        if hold:
            lane.state = "held"
        else:
            self._make_ready(lane)

    def follower(self, seq: int) -> int | None:
        """Return the place of the op that comes after the head of its lane, if there is one."""
        lane = self._by_seq[seq]
        return lane.seqs[1] if len(lane.seqs) > 1 else None

    def hurry(self, now: float) -> None:
        """Make every impatiently waiting head ready: the server answers again."""
        for lane in self._lanes.values():
            if lane.state == "waiting" and not lane.patient and lane.due > now:
                self._make_ready(lane)

    def next_due(self) -> float | None:
        """Return the moment at which the next waiting head may go, or None when none waits."""
        return self._due[0][0] if self._due else None

    @property
    def deliverable(self) -> int:
        """Return how many ops are not held back by a decision that somebody must make."""
        return sum(len(lane.seqs) for lane in self._lanes.values() if lane.state != "held")
