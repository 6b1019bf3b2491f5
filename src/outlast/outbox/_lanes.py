"""Know in memory which op may go next: one at a time in each lane, in the order of their places."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from typing import Literal, NamedTuple, Self

LaneState = Literal["ready", "flying", "waiting", "blocked", "held"]
"""A lane is `ready` to go, has an op that is `flying`, is `waiting` until one is due, `blocked` by an op of another
lane, or `held` until somebody decides."""

_STUCK: frozenset[LaneState] = frozenset({"blocked", "held"})


class Wait(NamedTuple):
    """Hold until when an op waits.

    Args:
        due: Monotonic seconds at which it may go.
        patient: Whether the wait was asked for by the server, so that a recovery does not cut it short.
    """

    due: float
    patient: bool


class LaneIndex:
    """Choose the op of each lane that may go. Pure and not thread-safe: the delivery loop owns it.

    The oldest op of a lane goes first. While it waits for its next attempt, those behind it wait too, unless it
    was queued as one that others may pass. An op that comes after one of another lane waits until that is delivered.

    There may be millions of lanes with an op each, so a lane is no object: it is its number in dictionaries that hold
    nothing but numbers and words, which the garbage collector leaves alone.

    Complexity: every step is O(log n), except `hurry`, an op that comes back to its old place, and the passing of many.
    """

    def __init__(self) -> None:
        self._lane: dict[int, int] = {}
        """The lane of each op."""
        self._head: dict[int, int] = {}
        """The oldest op of each lane."""
        self._next: dict[int, int] = {}
        """The op behind each one in its lane, if there is one."""
        self._tail: dict[int, int] = {}
        """The newest op of each lane of several."""
        self._state: dict[int, LaneState] = {}
        """What each lane does that is not ready."""
        self._chosen: dict[int, int] = {}
        """The op that is to go in each lane that is ready, where that is not the oldest one."""
        self._flying: dict[int, int] = {}
        """The op of each lane that flies. A replay may put another before it."""
        self._ready: deque[int] = deque()
        self._waits: dict[int, Wait] = {}
        self._due: list[tuple[float, int]] = []
        self._queued_dues: dict[int, float] = {}
        self._after: dict[int, int] = {}
        self._awaited: dict[int, list[int]] = {}
        self._passable: set[int] = set()
        self._held: set[int] = set()
        self._stuck = 0
        self.last_seq = 0
        self.doubted: set[int] = set()
        """Ops that keep others back while they wait for one of another lane; they may have been annihilated since."""

    def __len__(self) -> int:
        """Return how many ops are known and not settled."""
        return len(self._lane)

    def __contains__(self, seq: int) -> bool:
        """Tell whether an op is known and not settled."""
        return seq in self._lane

    @property
    def deliverable(self) -> int:
        """Return how many lanes have something to deliver and go on by themselves."""
        return len(self._head) - self._stuck

    @property
    def held(self) -> set[int]:
        """Return the numbers of the lanes that are held back."""
        return set(self._held)

    def add(self, seq: int, lane: int, after: int | None = None, *, passable: bool = False) -> None:
        """Add an op behind the others of its lane, or at its old place if it comes back.

        Args:
            seq: Its place.
            lane: The number of its lane.
            after: The place of an op that is not delivered yet and must be before this one, or None.
            passable: Whether those behind it may go while it waits for its next attempt.
        """
        self.last_seq = max(self.last_seq, seq)
        if seq in self._lane:
            if after is None:
                self._unblock(seq)
            return
        if passable:
            self._passable.add(seq)
        if after is not None:
            self._after[seq] = after
            self._awaited.setdefault(after, []).append(seq)
        if lane not in self._head:
            self._stuck += self._state.setdefault(lane, "waiting") in _STUCK
        self._lane[seq] = lane
        self._link(seq, lane)
        state = self._state_of(lane)
        if state not in {"flying", "held"}:
            self._go_on(lane)

    def _link(self, seq: int, lane: int) -> None:
        head = self._head.get(lane)
        if head is None:
            self._head[lane] = seq
            return
        tail = self._tail.get(lane, head)
        self._tail[lane] = max(tail, seq)
        if seq > tail:
            self._next[tail] = seq
        elif seq < head:
            self._head[lane], self._next[seq] = seq, head
        else:
            before = self._before(seq, head)
            self._next[before], self._next[seq] = seq, self._next[before]

    def _before(self, seq: int, head: int) -> int:
        """Return the op of a lane that comes before a place; one before which its head comes."""
        before, after = head, self._next[head]
        while after < seq:
            before, after = after, self._next[after]
        return before

    def _unlink(self, seq: int, lane: int) -> None:
        head, after = self._head[lane], self._next.pop(seq, None)
        if head == seq:
            self._behead(lane, after)
            return
        before = self._before(seq, head)  # at or near the front
        if after is not None:
            self._next[before] = after
            return
        del self._next[before]
        if before == head:
            del self._tail[lane]
        else:
            self._tail[lane] = before

    def _behead(self, lane: int, after: int | None) -> None:
        """Let the op behind the oldest one of a lane be the oldest."""
        if after is None:
            del self._head[lane]
            return
        self._head[lane] = after
        if self._tail[lane] == after:
            del self._tail[lane]

    def _state_of(self, lane: int) -> LaneState:
        return self._state.get(lane, "ready")

    @classmethod
    def of(cls, newcomers: Iterable[tuple[int, int, int | None, bool]]) -> Self:
        """Return an index of ops that come in the order of their places; as `add` for each, in a third of the time."""
        index = cls()
        lane_of, heads, behind, tails = index._lane, index._head, index._next, index._tail
        ready, unready = index._ready, index._state
        for seq, lane, after, passable in newcomers:
            if after is not None or passable or lane in unready:
                index.add(seq, lane, after, passable=bool(passable))
                continue
            lane_of[seq] = lane
            tail = tails.get(lane)
            if tail is None:
                tail = heads.setdefault(lane, seq)
                if tail == seq:
                    ready.append(lane)
                    continue
            behind[tail] = tails[lane] = seq
        index.last_seq = max(lane_of, default=0)
        index.doubted.clear()  # all were there just now
        return index

    def hold(self, lane: int) -> None:
        """Keep a lane back until `free`; it may be one that has no op yet."""
        self._become(lane, "held")

    def free(self, lane: int) -> None:
        """Let a held lane go on; a head that had to wait still has to."""
        if lane in self._held:
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
            if lane in self._head and lane not in self._state:
                self._state[lane] = "flying"
                seq = self._flying[lane] = self._chosen.pop(lane, 0) or self._head[lane]
                taken.append(seq)
        return taken

    def _promote(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            entry = self._pop_due()
            if self._stands(entry):
                del self._waits[entry[1]]
                self._go_on(self._lane[entry[1]])

    def _pop_due(self) -> tuple[float, int]:
        due, seq = heapq.heappop(self._due)
        if self._queued_dues.get(seq) == due:
            del self._queued_dues[seq]
        return due, seq

    def _stands(self, entry: tuple[float, int]) -> bool:
        """Tell whether an entry of the heap is still true; those of the past are left in it until they come up."""
        due, seq = entry
        lane, wait = self._lane.get(seq), self._waits.get(seq)
        if lane is None or wait is None:
            return False
        return self._state_of(lane) in {"waiting", "ready"} and wait.due == due

    def _go_on(self, lane: int) -> None:
        """Let a lane do what its ops can do now."""
        self._flying.pop(lane, None)
        self._chosen.pop(lane, None)
        was_ready = lane not in self._state
        state, seq = self._next_step(lane)
        self._become(lane, state)
        if seq in self._after and seq in self._next:
            self.doubted.add(seq)
        if lane not in self._head:
            del self._state[lane]
        elif state == "ready":
            if seq != self._head[lane]:
                self._chosen[lane] = seq
            if not was_ready:
                self._ready.append(lane)

    def _next_step(self, lane: int) -> tuple[LaneState, int]:
        """Return what a lane can do now, and the op up to which that was looked for."""
        head = seq = self._head.get(lane, 0)
        while seq:
            wait = self._waits.get(seq)
            if seq in self._after:
                return ("blocked" if seq == head else "waiting"), seq
            if wait is None:
                return "ready", seq
            if self._queued_dues.get(seq) != wait.due:
                self._queued_dues[seq] = wait.due
                heapq.heappush(self._due, (wait.due, seq))
            if seq not in self._passable:
                break
            seq = self._next.get(seq, 0)
        return "waiting", seq

    def _become(self, lane: int, state: LaneState) -> None:
        before = self._state_of(lane)
        if state == before:
            return
        if lane in self._head:
            self._stuck += (state in _STUCK) - (before in _STUCK)
        if state == "held":
            self._held.add(lane)
        elif before == "held":
            self._held.remove(lane)
        if state == "ready":
            del self._state[lane]
        else:
            self._state[lane] = state

    def postpone(self, seq: int, due: float, *, patient: bool) -> None:
        """Let an op wait, and with it those behind it in its lane unless they may pass.

        Args:
            seq: Its place.
            due: Monotonic seconds until which it waits.
            patient: Whether `hurry` must leave it waiting.
        """
        lane = self._lane[seq]
        self._waits[seq] = Wait(due, patient)
        if self._flying.get(lane) == seq or self._state_of(lane) in {"ready", "waiting"}:
            self._go_on(lane)

    def give_back(self, seq: int) -> None:
        """Take back that an op was taken, unless it is settled already; it may go again at once."""
        lane = self._lane.get(seq)
        if lane is not None and self._flying.get(lane) == seq:
            self._go_on(lane)

    def remove_delivered(self, seqs: Iterable[int]) -> None:
        """Forget delivered ops; as `remove` for each, in a third of the time where nothing waits for anything."""
        quiet = not (self._waits or self._after or self._awaited or self._passable)
        for seq in seqs:
            lane = self._lane[seq]
            if not quiet or self._head[lane] != seq or self._state.get(lane) != "flying":
                self.remove(seq)
                continue
            del self._lane[seq], self._state[lane], self._flying[lane]
            after = self._next.pop(seq, None)
            self._behead(lane, after)
            if after is not None:
                self._ready.append(lane)

    def remove(self, seq: int, *, hold: bool = False, parked: bool = False) -> None:
        """Forget a settled op; its follower may go, unless the lane is held.

        Args:
            seq: Its place.
            hold: Whether its lane is kept back until `free`.
            parked: Whether it is not delivered, so that those that come after it go on waiting.
        """
        lane = self._lane.pop(seq)
        state = self._state_of(lane)
        self._unlink(seq, lane)
        self._stuck -= lane not in self._head and state in _STUCK
        self._waits.pop(seq, None)
        self._passable.discard(seq)
        if seq in self._after:
            self._awaited[self._after.pop(seq)].remove(seq)
            self.doubted.discard(seq)
        if hold:
            self._become(lane, "held")
            self._flying.pop(lane, None)
        elif state != "held" and self._flying.get(lane, seq) == seq:
            self._go_on(lane)
        if not parked:
            for other in self._awaited.pop(seq, ()):
                self._unblock(other)

    def _unblock(self, seq: int) -> None:
        before = self._after.pop(seq, None)
        if before is None:
            return
        self.doubted.discard(seq)
        if seq in self._awaited.get(before, ()):
            self._awaited[before].remove(seq)
        lane = self._lane[seq]
        # It waits, where those in front of it may be passed and wait for their next attempt.
        if self._state_of(lane) in {"blocked", "waiting"}:
            self._go_on(lane)

    def followers(self, seq: int, most: int) -> list[int]:
        """Return the places of the ops that come next in the lane of this one, as far as they are known."""
        found: list[int] = []
        following = self._next.get(seq)
        while following is not None and len(found) < most:
            found.append(following)
            following = self._next.get(following)
        return found

    def hurry(self) -> None:
        """Let everything that waits impatiently go: the server answers again."""
        hurried = [seq for seq, wait in self._waits.items() if not wait.patient]
        for seq in hurried:
            del self._waits[seq]
            lane = self._lane[seq]
            if self._state_of(lane) == "waiting":
                self._go_on(lane)

    def next_due(self) -> float | None:
        """Return the moment at which the next waiting op may go, or None when none waits."""
        while self._due and not self._stands(self._due[0]):
            self._pop_due()
        return self._due[0][0] if self._due else None
