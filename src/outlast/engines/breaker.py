"""The circuit breaker's engine as faces use it: the state machine, and what is done to it by hand."""

from __future__ import annotations

import math

from outlast.engines.breaker_core import BreakerCore, Result
from outlast.engines.breaker_phases import (
    Closed,
    Disabled,
    Open,
    Permit,
    Phase,
    Probing,
    Ramping,
    admission_of,
    refuses_all,
)
from outlast.engines.breaker_records import (
    BreakerConfig,
    BreakerSnapshot,
    CircuitState,
    Refusal,
    Transition,
    Verdict,
)
from outlast.engines.recovery import GradedRecovery, HalfOpen
from outlast.engines.trip import carry_over

__all__ = [
    "BreakerConfig",
    "BreakerEngine",
    "BreakerSnapshot",
    "CircuitState",
    "Closed",
    "Disabled",
    "HalfOpen",
    "Open",
    "Permit",
    "Phase",
    "Probing",
    "Ramping",
    "Refusal",
    "Transition",
    "Verdict",
]


class BreakerEngine(BreakerCore):
    """Decide on calls, and obey: record results, change the state, change the settings, show everything.

    Not thread-safe, with the exceptions that `BreakerCore` names.

    Args:
        config: The settings.
    """

    __slots__ = ()

    def record(
        self,
        verdict: Verdict,
        now: float,
        why: str = "",
        *,
        weight: float = 1.0,
        took: float = 0.0,
        chance: float = 0.5,
    ) -> list[Transition]:
        """Count a result for which nobody took a permit: the manual face.

        While the circuit is open nothing counts, so that a late failure does not prolong it. Once the open
        time is over the first result begins the recovery, and is judged as one of it.

        Args:
            verdict: How the call ended.
            now: The present moment, monotonic seconds.
            why: What failed.
            weight: How much of a failure it is, > 0.
            took: Seconds that the call took.
            chance: A random number from [0, 1), for the length of the open time.

        Returns:
            The changes of state that this caused, in order.
        """
        result = Result(verdict, now, why, weight, took, chance)
        begun = self._wake(now)
        match self.phase:
            case Closed() as era:
                change = self._settle_closed(era, result)
            case Ramping(era=era):
                change = self._settle_closed(era, result)
            case Probing() as era:
                change = self._settle_probe(era, self._lease(era, now), result)
            case Open() | Disabled():
                change = None
        return [change for change in (begun, change) if change is not None]

    def refuses(self, now: float) -> bool:
        """Tell whether `admit` would refuse every call, without asking for one."""
        return refuses_all(self.phase, now)

    def force_open(self, now: float) -> Transition:
        """Refuse every call until `force_closed` or `reset`."""
        reason = "opened by hand"
        return self._enter(Open(math.inf, reason), now, reason, math.inf)

    def force_closed(self, now: float) -> Transition:
        """Admit every call with an empty window; the trip rule goes on judging."""
        return self._close(now, "closed by hand")

    def disable(self, now: float) -> Transition:
        """Admit every call and count nothing until `force_closed`, `force_open` or `reset`."""
        return self._enter(Disabled(), now, "disabled by hand")

    def reset(self, now: float) -> Transition:
        """Return to the state of a new breaker; counts since the start are forgotten too."""
        change = self._close(now, "reset")
        self._ok_before = self._failures = self._opened = self.rejected = 0
        self._recent = ()
        return change

    def reconfigure(self, config: BreakerConfig, now: float) -> tuple[list[str], Transition | None]:
        """Go on under other settings, with the state, the counts and what the windows have seen.

        A circuit that is open stays so until the moment that was set.

        Args:
            config: The new settings.
            now: The present moment, monotonic seconds.

        Returns:
            For each thing that could not be kept a line that says so, and the change of state that this caused.
        """
        same_trip, self.config = config.trip == self.config.trip, config
        lost: list[str] = []
        match self.phase:
            case Closed() as era:
                lost = self._refit(era, now, same_trip=same_trip)
            case Ramping(era=era):
                lost = self._refit(era, now, same_trip=same_trip)
            case Open() | Probing() | Disabled():
                pass
        match self.phase, config.recovery:
            case Probing() as phase, HalfOpen() as rule:
                phase.rule = rule
            case Ramping() as phase, GradedRecovery() as rule:
                phase.rule = rule
            case ((Probing() | Ramping()), recovery):
                lost.append(f"the running recovery begins anew as {recovery!r}")
                return lost, self._recover(now, "reconfigured while it recovered")
            case ((Closed() | Open() | Disabled()), _):
                pass
        return lost, None

    def _refit(self, era: Closed, now: float, *, same_trip: bool) -> list[str]:
        lost: list[str] = []
        if not same_trip:
            era.window.roll(era.ok, now)
            era.window, lost = carry_over(self.config.trip, era.window, era.ok)
        era.equip(self.config)
        return lost

    def cooldown_remaining(self, now: float) -> float:
        """Return the seconds until probes may start, 0 when the circuit is not open."""
        return max(0.0, self.phase.until - now) if isinstance(self.phase, Open) else 0.0

    def snapshot(self, now: float, *, shadow: bool = False) -> BreakerSnapshot:
        """Return the whole state as a frozen record; whether it is in shadow mode the face knows."""
        return BreakerSnapshot(
            state=self.state,
            calls=self._ok_before + self._ok_now() + self._failures,
            failures=self._failures,
            rejected=self.rejected,
            opened=self._opened,
            cooldown_remaining=self.cooldown_remaining(now),
            probes=len(self.phase.leases) if isinstance(self.phase, Probing) else 0,
            recent_failures=self._recent,
            reason=self._reason,
            admission=admission_of(self.phase, now),
            shadow=shadow,
        )
