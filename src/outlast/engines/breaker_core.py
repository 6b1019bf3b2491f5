"""The circuit breaker as a state machine: eras, permits, three verdicts, expiring probes.

The era is an object. A call takes a reference to the era that admits it, and its result can only
land there: a late result of a dead era lands on an object that nobody reads. In the closed phase a
success only bumps a counter of the era, which the face may do without its lock; trip rules are judged
at failures and slow calls. In the half-open phase every admitted call is a lease: a probe that never
returns loses its slot when another caller needs it.

Source: M. Nygard, Release It! (2nd ed.), chapter 5, for the pattern; eras and leases are our own answer
to results that arrive in a state that did not admit them and to probes that hang.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from outlast.engines.breaker_phases import (
    Closed,
    Disabled,
    Open,
    Permit,
    Phase,
    Probing,
    Ramping,
    admission_of,
    state_of,
)
from outlast.engines.breaker_records import BreakerConfig, CircuitState, Refusal, Transition, Verdict
from outlast.engines.recovery import GradedRecovery, HalfOpen, ResetAfterCooldown

ASK_AGAIN = 1.0
"""Seconds after which a caller that was refused while half-open may ask again: a probe can end any moment."""


KEPT = 8
"""How many of the last failures are shown."""


class Result(NamedTuple):
    """Tell how a call ended, and when."""

    verdict: Verdict
    now: float
    why: str
    weight: float
    took: float
    chance: float


class BreakerCore:
    """Decide which calls run and when the circuit opens and closes; `BreakerEngine` adds what is done by hand.

    Not thread-safe: the face calls every method under its lock, with three exceptions. It may read `closed`
    and bump `closed.ok`: the reference is read once, and a bump that lands on a replaced era is read by
    nobody. It may read `phase`, which is replaced as a whole. And it may bump `rejected`. A bump loses nothing
    under the GIL; without it two bumps at the same instant may count as one, which no rule can be misled by.

    Args:
        config: The settings.
    """

    __slots__ = (
        "_failures",
        "_next_probe",
        "_ok_before",
        "_opened",
        "_reason",
        "_recent",
        "_reopened",
        "closed",
        "config",
        "phase",
        "rejected",
    )

    def __init__(self, config: BreakerConfig) -> None:
        self.config = config
        era = Closed.fresh(config)
        self.phase: Phase = era
        self.closed: Closed | None = era
        self.rejected = 0
        self._ok_before = 0
        self._failures = 0
        self._opened = 0
        self._reopened = 0
        self._next_probe = 0
        self._reason = "new"
        self._recent: tuple[tuple[float, str], ...] = ()

    def admit(self, now: float, chance: float = 0.0) -> tuple[Permit | Refusal, Transition | None]:
        """Admit or refuse one call.

        Args:
            now: The present moment, monotonic seconds.
            chance: A random number from [0, 1); decides while calls are admitted by degrees.

        Returns:
            A permit, or a refusal with the seconds to wait, and the change of state that this caused.
        """
        change = self._wake(now)
        match self.phase:
            case Closed() as era:
                return self._permit(era, now), change
            case Open(until=until):
                self.rejected += 1
                return Refusal(until - now), change
            case Probing() as era:
                return self._admit_probe(era, now), change
            case Ramping(era=era) as phase:
                if chance < admission_of(phase, now):
                    return self._permit(era, now), change
                self.rejected += 1
                return Refusal(min(ASK_AGAIN, phase.until - now)), change
            case Disabled() as era:
                return Permit(era), change

    def _wake(self, now: float) -> Transition | None:
        """Move on if the time of the present phase is over."""
        match self.phase:
            case Open(until=until) if now >= until:
                return self._recover(now, "the open time is over")
            case Ramping(era=era) as phase if now >= phase.until:
                return self._close(now, f"every call was admitted again after {phase.rule.over_seconds:g} s", era)
            case _:
                return None

    def _recover(self, now: float, reason: str) -> Transition:
        match self.config.recovery:
            case HalfOpen() as rule:
                return self._enter(Probing(rule), now, reason)
            case ResetAfterCooldown():
                return self._enter(Closed.fresh(self.config), now, reason)
            case GradedRecovery() as rule:
                return self._enter(Ramping(rule, Closed.fresh(self.config), now), now, reason)

    @staticmethod
    def _permit(era: Closed, now: float) -> Permit:
        return Permit(era, began=now if era.timed else math.inf)

    def _admit_probe(self, era: Probing, now: float) -> Permit | Refusal:
        if not era.has_room(now):
            self.rejected += 1
            return Refusal(min(ASK_AGAIN, min(era.leases.values()) - now))
        return Permit(era, self._lease(era, now), began=now)

    def _lease(self, era: Probing, now: float) -> int:
        self._next_probe += 1
        era.leases[self._next_probe] = now + (era.rule.probe_expires_after or self.config.open_for)
        return self._next_probe

    def settle(
        self, permit: Permit, verdict: Verdict, now: float, why: str = "", *, weight: float = 1.0, chance: float = 0.5
    ) -> Transition | None:
        """Count the result of an admitted call, if its era still stands and it was not settled before.

        Args:
            permit: What `admit` gave.
            verdict: How the call ended.
            now: The present moment, monotonic seconds.
            why: What failed, for the record of recent failures.
            weight: How much of a failure it is, > 0.
            chance: A random number from [0, 1), for the length of the open time.
        """
        counts = self.stands(permit)
        permit.settled = True
        if not counts:
            return None
        result = Result(verdict, now, why, weight, max(0.0, now - permit.began), chance)
        match permit.era:
            case Closed() as era:
                return self._settle_closed(era, result)
            case Probing() as era:
                return self._settle_probe(era, permit.probe, result)
            case Disabled():
                return None

    def stands(self, permit: Permit) -> bool:
        """Tell whether a result for this permit would count: unsettled, of the present era, its slot not taken."""
        present = self.phase.era if isinstance(self.phase, Ramping) else self.phase
        if permit.settled or permit.era is not present:
            return False
        return not isinstance(permit.era, Probing) or permit.probe in permit.era.leases

    def _settle_closed(self, era: Closed, result: Result) -> Transition | None:
        reason = ""
        match result.verdict:
            case Verdict.SUCCESS:
                reason = era.succeed(self.config, result.now, result.took)
            case Verdict.FAILURE:
                self._note_failure(result)
                reason = era.window.failure(era.ok, result.now, result.weight, result.took)
                reason = f"{reason}, the last: {result.why}" if reason and result.why else reason
            case Verdict.IGNORED:
                pass
        return self._trip(era, result, reason) if reason else None

    def _settle_probe(self, era: Probing, probe: int, result: Result) -> Transition | None:
        del era.leases[probe]
        limit, why = self.config.trip.slow_limit or math.inf, result.why
        match result.verdict:
            case Verdict.SUCCESS if result.took <= limit:
                era.successes += 1
                self._ok_before += 1
            case Verdict.SUCCESS:
                why = f"it took {result.took:.3g} s"
                self._note_failure(result._replace(why=f"a slow probe: {why}"))
                era.failures += 1
            case Verdict.FAILURE:
                self._note_failure(result)
                era.failures += 1
            case Verdict.IGNORED:
                return None
        return self._judge_probes(era, result, why)

    def _judge_probes(self, era: Probing, result: Result, why: str) -> Transition | None:
        match era.rule.judge(era.successes, era.failures):
            case True:
                return self._close(result.now, f"{era.successes} probes succeeded")
            case False:
                return self._open(result.now, f"a probe failed: {why}", result.chance)
            case None:
                return None

    def _trip(self, era: Closed, result: Result, reason: str) -> Transition:
        if self.phase is era and era.ok:
            self._reopened = 0  # it was well in between
        return self._open(result.now, reason, result.chance)

    def _note_failure(self, result: Result) -> None:
        self._failures += 1
        self._recent = (*self._recent[1 - KEPT :], (result.now, result.why))

    def _enter(self, phase: Phase, now: float, reason: str, until: float = 0.0) -> Transition:
        before = self.state
        self._ok_before += self._ok_now(phase)
        self.phase = phase
        self.closed = phase if isinstance(phase, Closed) else None
        self._reason = reason
        return Transition(before, self.state, now, reason, until)

    def _ok_now(self, coming: Phase | None = None) -> int:
        """Return the successes of the present era, if it does not live on in the coming phase."""
        match self.phase:
            case Closed() as era:
                return era.ok
            case Ramping(era=era):
                return 0 if era is coming else era.ok
            case Open() | Probing() | Disabled():
                return 0

    def _open(self, now: float, reason: str, chance: float) -> Transition:
        until = now + self.config.open_time(self._reopened, chance)
        self._opened += 1
        self._reopened += 1
        return self._enter(Open(until, reason), now, reason, until)

    def _close(self, now: float, reason: str, era: Closed | None = None) -> Transition:
        self._reopened = 0
        return self._enter(era or Closed.fresh(self.config), now, reason)

    @property
    def state(self) -> CircuitState:
        """Return the present state; an open circuit stays OPEN until a call asks after its time is over."""
        return state_of(self.phase)

    @property
    def reason(self) -> str:
        """Return why it is in this state."""
        return self._reason
