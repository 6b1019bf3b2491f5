"""Know in memory which op may go next: one at a time in each lane, in the order of their places."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Self

LaneState = Literal["ready", "flying", "waiting", "blocked", "held"]

_STUCK: frozenset[LaneState] = frozenset({"blocked", "held"})


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
        state: `ready` to go, `flying`, `waiting` until an op is due, `blocked` by an op of another lane, or `held`
            until somebody decides.
        next: The place of the op that is ready, 0 when none is.
        flying: The place of the op that flies, 0 when none does. A replay may put another before it.
    """

    number: int
    seqs: deque[int] = field(default_factory=deque[int])
    state: LaneState = "waiting"
    next: int = 0
    flying: int = 0


class LaneIndex:
    """Choose the op of each lane that may go. Pure and not thread-safe: the delivery loop owns it.

    The oldest op of a lane goes first. While it waits for its next attempt, those behind it wait too, unless it
    was queued as one that others may pass. An op that comes after one of another lane waits until that is delivered.

    Complexity: every step is O(log n), except `hurry`, an op that comes back to its old place, and the passing of many.
    """

    def __init__(self) -> None:
        self._lanes: dict[int, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._by_seq: dict[int, Lane] = {}
        self._waits: dict[int, Wait] = {}
        self._due: list[tuple[float, int]] = []
        self._queued_dues: dict[int, float] = {}
        self._after: dict[int, int] = {}
        self._awaited: dict[int, list[int]] = {}
        self._passable: set[int] = set()
        self._held: set[int] = set()
        self._stuck_ops = 0
        self.last_seq = 0

    def __len__(self) -> int:
        """Return how many ops are known and not settled."""
        return len(self._by_seq)

    def __contains__(self, seq: int) -> bool:
        """Tell whether an op is known and not settled."""
        return seq in self._by_seq

    @property
    def deliverable(self) -> int:
        """Return how many ops lie in lanes that go on by themselves."""
        return len(self._by_seq) - self._stuck_ops

    @property
    def held(self) -> set[int]:
        """Return the numbers of the lanes that are held back."""
        return set(self._held)

    def add(self, seq: int, lane_number: int, after: int | None = None, *, passable: bool = False) -> None:
        """Add an op behind the others of its lane, or at its old place if it comes back.

        Args:
            seq: Its place.
            lane_number: The number of its lane.
            after: The place of an op that is not delivered yet and must be before this one, or None.
            passable: Whether those behind it may go while it waits for its next attempt.
        """
        self.last_seq = max(self.last_seq, seq)
        if seq in self._by_seq:
            if after is None:
                self._unblock(seq)
            return
        lane = self._lanes.get(lane_number)
        if lane is None:
            lane = self._lanes[lane_number] = Lane(lane_number)
        self._by_seq[seq] = lane
        if passable:
            self._passable.add(seq)
        if after is not None:
            self._after[seq] = after
            self._awaited.setdefault(after, []).append(seq)
        self._stuck_ops += lane.state in _STUCK
        lane.seqs.append(seq)
        if len(lane.seqs) > 1 and lane.seqs[-2] > seq:
            lane.seqs = deque(sorted(lane.seqs))
        if lane.state not in {"flying", "held"}:
            self._go_on(lane)

    @classmethod
    def of(cls, newcomers: Iterable[tuple[int, int, int | None, bool]]) -> Self:
        """Return an index of ops that come in the order of their places; as `add` for each, in a third of the time."""
        index = cls()
        lanes, by_seq, ready = index._lanes, index._by_seq, index._ready
        find = lanes.get
        for seq, number, after, passable in newcomers:
            lane = find(number)
            if after is not None or passable or (lane is not None and lane.state != "ready"):
                index.add(seq, number, after, passable=bool(passable))
            elif lane is None:
                lanes[number] = by_seq[seq] = lane = Lane(number, deque((seq,)), "ready", seq)
                ready.append(lane)
            else:
                lane.seqs.append(seq)
                by_seq[seq] = lane
        index.last_seq = max(by_seq, default=0)
        return index

    def hold(self, lane_number: int) -> None:
        """Keep a lane back until `free`; it may be one that has no op yet."""
        lane = self._lanes.setdefault(lane_number, Lane(lane_number))
        self._become(lane, "held")

    def free(self, lane_number: int) -> None:
        """Let a held lane go on; a head that had to wait still has to."""
        lane = self._lanes.get(lane_number)
        if lane is not None and lane.state == "held":
            self._go_on(lane)

    def any_ready(self, now: float) -> bool:
        """Tell whether something may go now."""
        due = None if self._ready else self.next_due()
        return bool(self._ready) or (due is not None and due <= now)

    def take(self, now: float, most: int) -> list[int]:
        """Return the places of up to `most` ops that may go now, and mark their lanes as flying."""
        self._promote(now)
        taken: list[int] = []
        while self._ready and len(taken) < most:
            lane = self._ready.popleft()
            if lane.state == "ready":
                lane.state, lane.flying = "flying", lane.next
                taken.append(lane.flying)
        return taken

    def _promote(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            entry = self._pop_due()
            if self._stands(entry):
                del self._waits[entry[1]]
                self._go_on(self._by_seq[entry[1]])

    def _pop_due(self) -> tuple[float, int]:
        due, seq = heapq.heappop(self._due)
        if self._queued_dues.get(seq) == due:
            del self._queued_dues[seq]
        return due, seq

    def _stands(self, entry: tuple[float, int]) -> bool:
        """Tell whether an entry of the heap is still true; those of the past are left in it until they come up."""
        due, seq = entry
        lane, wait = self._by_seq.get(seq), self._waits.get(seq)
        if lane is None or wait is None:
            return False
        return lane.state in {"waiting", "ready"} and wait.due == due

    def _go_on(self, lane: Lane) -> None:
        """Let a lane do what its ops can do now."""
        lane.flying = lane.next = 0
        state: LaneState = "waiting"
        for seq in lane.seqs:
            wait = self._waits.get(seq)
            if seq in self._after:
                state = "blocked" if seq == lane.seqs[0] else state
                break
            if wait is None:
                state, lane.next = "ready", seq
                break
            if self._queued_dues.get(seq) != wait.due:
                self._queued_dues[seq] = wait.due
                heapq.heappush(self._due, (wait.due, seq))
            if seq not in self._passable:
                break
        was_ready = lane.state == "ready"
        self._become(lane, state)
        if state == "ready" and not was_ready:
            self._ready.append(lane)
        if not lane.seqs:
            del self._lanes[lane.number]

    def _become(self, lane: Lane, state: LaneState) -> None:
        if state == lane.state:
            return
        self._stuck_ops += len(lane.seqs) * ((state in _STUCK) - (lane.state in _STUCK))
        if state == "held":
            self._held.add(lane.number)
        elif lane.state == "held":
            self._held.remove(lane.number)
        lane.state = state

    def postpone(self, seq: int, due: float, *, patient: bool) -> None:
        """Let an op wait, and with it those behind it in its lane unless they may pass.

        Args:
            seq: Its place.
            due: Monotonic seconds until which it waits.
            patient: Whether `hurry` must leave it waiting.
        """
        lane = self._by_seq[seq]
        self._waits[seq] = Wait(due, patient)
        if lane.flying == seq or lane.state in {"ready", "waiting"}:
            self._go_on(lane)

    def give_back(self, seq: int) -> None:
        """Take back that an op was taken, unless it is settled already; it may go again at once."""
        lane = self._by_seq.get(seq)
        if lane is not None and lane.flying == seq:
            self._go_on(lane)

    def remove_delivered(self, seqs: Iterable[int]) -> None:
        """Forget delivered ops; as `remove` for each, in a third of the time where nothing waits for anything."""
        quiet = not (self._waits or self._after or self._awaited or self._passable)
        for seq in seqs:
            lane = self._by_seq[seq]
            if not quiet or lane.flying != seq or lane.state != "flying" or lane.seqs[0] != seq:
                self.remove(seq)
                continue
            del self._by_seq[seq]
            lane.seqs.popleft()
            if lane.seqs:
                lane.state, lane.next, lane.flying = "ready", lane.seqs[0], 0
                self._ready.append(lane)
            else:
                del self._lanes[lane.number]

    def remove(self, seq: int, *, hold: bool = False, parked: bool = False) -> None:
        """Forget a settled op; its follower may go, unless the lane is held.

        Args:
            seq: Its place.
            hold: Whether its lane is kept back until `free`.
            parked: Whether it is not delivered, so that those that come after it go on waiting.
        """
        lane = self._by_seq.pop(seq)
        self._stuck_ops -= lane.state in _STUCK
        lane.seqs.remove(seq)  # at or near the left end
        self._waits.pop(seq, None)
        self._passable.discard(seq)
        if seq in self._after:
            self._awaited[self._after.pop(seq)].remove(seq)
        if hold:
            self._become(lane, "held")
            lane.flying = 0
        elif lane.state != "held" and lane.flying in {0, seq}:
            self._go_on(lane)
        if not parked:
            for other in self._awaited.pop(seq, ()):
                self._unblock(other)

    def _unblock(self, seq: int) -> None:
        before = self._after.pop(seq, None)
        if before is None:
            return
        if seq in self._awaited.get(before, ()):
            self._awaited[before].remove(seq)
        lane = self._by_seq[seq]
        if lane.state == "blocked":
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
            if lane.state == "waiting":
                self._go_on(lane)

    def next_due(self) -> float | None:
        """Return the moment at which the next waiting op may go, or None when none waits."""
        while self._due and not self._stands(self._due[0]):
            self._pop_due()
        return self._due[0][0] if self._due else None
