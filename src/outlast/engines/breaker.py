"""The circuit breaker as a state machine: eras, permits, three verdicts, expiring probes.

The era is an object. A call takes a reference to the era that admits it, and its result can only
land there: a late result of a dead era lands on an object that nobody reads. In the closed phase a
success only bumps a counter of the era, which the face may do without its lock; trip rules are judged
at failures. In the half-open phase every admitted call is a lease: a probe that never returns loses
its slot when another caller needs it.

Source: M. Nygard, Release It! (2nd ed.), chapter 5, for the pattern; eras and leases are our own answer
to results that arrive in a state that did not admit them and to probes that hang.
"""

from __future__ import annotations

import math
from collections import deque

from outlast.engines.breaker_records import (
    BreakerConfig,
    BreakerSnapshot,
    CircuitState,
    Closed,
    HalfOpen,
    Open,
    Permit,
    Phase,
    Probing,
    Refusal,
    Transition,
    Verdict,
)

__all__ = [
    "BreakerConfig",
    "BreakerEngine",
    "BreakerSnapshot",
    "CircuitState",
    "Closed",
    "HalfOpen",
    "Open",
    "Permit",
    "Phase",
    "Probing",
    "Refusal",
    "Transition",
    "Verdict",
]

ASK_AGAIN = 1.0
"""Seconds after which a caller that found every probe's slot taken may ask again: a probe can end any moment."""


class BreakerEngine:
    """Decide which calls run and when the circuit opens and closes.

    Not thread-safe: the face calls every method under its lock, except that it may read `closed` and
    bump `closed.ok` without it. That is safe because the reference is read once, and a bump that lands
    on a replaced era is read by nobody.

    Args:
        config: The settings.
    """

    def __init__(self, config: BreakerConfig) -> None:
        self.config = config
        self.closed: Closed | None = Closed(config.trip.start())
        self.phase: Phase = self.closed
        self.rejected = 0
        self._ok_before = 0
        self._failures = 0
        self._opened = 0
        self._reopened = 0
        self._next_probe = 0
        self._reason = "new"
        self._recent: deque[tuple[float, str]] = deque(maxlen=8)

    def admit(self, now: float) -> tuple[Permit | Refusal, Transition | None]:
        """Admit or refuse one call.

        Args:
            now: The present moment, monotonic seconds.

        Returns:
            A permit, or a refusal with the seconds to wait, and the change of state that this caused.
        """
        match self.phase:
            case Closed() as era:
                return Permit(era), None
            case Open(until=until) if now < until:
                self.rejected += 1
                return Refusal(until - now), None
            case Open():
                fresh = Probing()
                change = self._enter(fresh, now, "the open time is over")
                return self._admit_probe(fresh, now), change
            case Probing() as era:
                return self._admit_probe(era, now), None

    def _admit_probe(self, era: Probing, now: float) -> Permit | Refusal:
        if len(era.leases) >= self.config.recovery.max_calls:
            self._reclaim(era, now)
        if len(era.leases) >= self.config.recovery.max_calls:
            self.rejected += 1
            return Refusal(min(ASK_AGAIN, min(era.leases.values()) - now))
        return Permit(era, self._lease(era, now))

    def _lease(self, era: Probing, now: float) -> int:
        self._next_probe += 1
        era.leases[self._next_probe] = now + self.config.probe_lease
        return self._next_probe

    @staticmethod
    def _reclaim(era: Probing, now: float) -> None:
        for number in [number for number, end in era.leases.items() if end <= now]:
            del era.leases[number]

    def settle(self, permit: Permit, verdict: Verdict, now: float, why: str = "") -> Transition | None:
        """Count the result of an admitted call, if its era still stands and it was not settled before.

        Args:
            permit: What `admit` gave.
            verdict: How the call ended.
            now: The present moment, monotonic seconds.
            why: What failed, for the record of recent failures.
        """
        counts = self.stands(permit)
        permit.settled = True
        if not counts:
            return None
        match permit.era:
            case Closed() as era:
                return self._settle_closed(era, verdict, now, why)
            case Probing() as era:
                return self._settle_probe(era, permit.probe, verdict, now, why)

    def stands(self, permit: Permit) -> bool:
        """Tell whether a result for this permit would count: unsettled, of the present era, its slot not taken."""
        if permit.settled or permit.era is not self.phase:
            return False
        return isinstance(permit.era, Closed) or permit.probe in permit.era.leases

    def record(self, verdict: Verdict, now: float, why: str = "") -> list[Transition]:
        """Count a result for which nobody took a permit: the manual face.

        While the circuit is open nothing counts, so that a late failure does not prolong it. Once the open
        time is over the first result begins the probing, and is judged as a probe.

        Args:
            verdict: How the call ended.
            now: The present moment, monotonic seconds.
            why: What failed.

        Returns:
            The changes of state that this caused, in order.
        """
        match self.phase:
            case Closed() as era:
                change = self._settle_closed(era, verdict, now, why)
            case Open(until=until) if now < until:
                return []
            case Open():
                begun = self._enter(Probing(), now, "the open time is over")
                return [begun, *self.record(verdict, now, why)]
            case Probing() as era:
                change = self._settle_probe(era, self._lease(era, now), verdict, now, why)
        return [] if change is None else [change]

    def refuses(self, now: float) -> bool:
        """Tell whether `admit` would refuse a call, without asking for one."""
        match self.phase:
            case Closed():
                return False
            case Open(until=until):
                return now < until
            case Probing() as era:
                return sum(end > now for end in era.leases.values()) >= self.config.recovery.max_calls

    def _settle_closed(self, era: Closed, verdict: Verdict, now: float, why: str) -> Transition | None:
        match verdict:
            case Verdict.SUCCESS:
                era.ok += 1
            case Verdict.FAILURE:
                self._note_failure(now, why)
                reason = era.window.failure(era.ok, now)
                return self._open(now, f"{reason}, the last: {why}" if why else reason) if reason else None
            case Verdict.IGNORED:
                pass
        return None

    def _settle_probe(self, era: Probing, probe: int, verdict: Verdict, now: float, why: str) -> Transition | None:
        del era.leases[probe]
        match verdict:
            case Verdict.SUCCESS:
                era.successes += 1
                self._ok_before += 1
                if era.successes >= self.config.recovery.success_threshold:
                    return self._close(now, f"{era.successes} probes succeeded")
            case Verdict.FAILURE:
                self._note_failure(now, why)
                return self._open(now, f"a probe failed: {why}")
            case Verdict.IGNORED:
                pass
        return None

    def _note_failure(self, now: float, why: str) -> None:
        self._failures += 1
        self._recent.append((now, why))

    def _enter(self, phase: Phase, now: float, reason: str, until: float = 0.0) -> Transition:
        before = self.state
        if self.closed is not None:
            self._ok_before += self.closed.ok
        self.phase = phase
        self.closed = phase if isinstance(phase, Closed) else None
        self._reason = reason
        return Transition(before, self.state, now, reason, until)

    def _open(self, now: float, reason: str) -> Transition:
        open_for = self.config.open_for
        if self.config.open_growth is not None:
            open_for = self.config.open_growth.grow(open_for, self._reopened)
        self._opened += 1
        self._reopened += 1
        return self._enter(Open(now + open_for), now, reason, now + open_for)

    def _close(self, now: float, reason: str) -> Transition:
        self._reopened = 0
        return self._enter(Closed(self.config.trip.start()), now, reason)

    def force_open(self, now: float) -> Transition:
        """Refuse every call until `force_closed` or `reset`."""
        return self._enter(Open(math.inf), now, "opened by hand", math.inf)

    def force_closed(self, now: float) -> Transition:
        """Admit every call with an empty window; the trip rule goes on judging."""
        return self._close(now, "closed by hand")

    def reset(self, now: float) -> Transition:
        """Return to the state of a new breaker; counts since the start are forgotten too."""
        change = self._close(now, "reset")
        self._ok_before = self._failures = self._opened = self.rejected = 0
        self._recent.clear()
        return change

    @property
    def state(self) -> CircuitState:
        """Return the present state; an open circuit stays OPEN until a call asks after its time is over."""
        match self.phase:
            case Closed():
                return CircuitState.CLOSED
            case Open():
                return CircuitState.OPEN
            case Probing():
                return CircuitState.HALF_OPEN

    @property
    def reason(self) -> str:
        """Return why it is in this state."""
        return self._reason

    def cooldown_remaining(self, now: float) -> float:
        """Return the seconds until probes may start, 0 when the circuit is not open."""
        return max(0.0, self.phase.until - now) if isinstance(self.phase, Open) else 0.0

    def snapshot(self, now: float) -> BreakerSnapshot:
        """Return the whole state as a frozen record."""
        ok = self._ok_before + (self.closed.ok if self.closed is not None else 0)
        return BreakerSnapshot(
            state=self.state,
            calls=ok + self._failures,
            failures=self._failures,
            rejected=self.rejected,
            opened=self._opened,
            cooldown_remaining=self.cooldown_remaining(now),
            probes=len(self.phase.leases) if isinstance(self.phase, Probing) else 0,
            recent_failures=tuple(self._recent),
            reason=self._reason,
        )
