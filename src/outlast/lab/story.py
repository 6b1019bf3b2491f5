"""The play that the demo puts on: which fault is active when, and when the application is killed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from outlast.lab._faults import BlackHole, Fault, Healthy, Latency, Refuse, Status


@dataclass(frozen=True, slots=True)
class Phase:
    """One act of the play.

    Args:
        name: Short name.
        description: One line for display.
        fault: What the proxy does meanwhile.
        start: Seconds after the beginning.
        end: Seconds after the beginning at which the next phase starts.
        kill_at: Seconds after the beginning at which the application is killed and started again; None for most.
    """

    name: str
    description: str
    fault: Fault
    start: float
    end: float
    kill_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Act:
    name: str
    description: str
    fault: Fault
    sixtieths: float


_ACTS: Final = (
    _Act("healthy", "all is well", Healthy(), 8),
    _Act("refused", "connection refused: nobody listens", Refuse(), 9),
    _Act("latency", "every answer takes two seconds", Latency(2.0), 8),
    _Act("errors", "500 to every request; a third was applied first", Status(500, applied_share=1 / 3), 8),
    _Act("throttled", "429 with Retry-After: 2", Status(429, retry_after=2), 6),
    _Act("black hole", "bytes accepted, then silence; half of the requests are applied", BlackHole(0.5), 11),
    _Act("recovery", "all is well again", Healthy(), 10),
)
# The application is killed in this phase, this far into it.
_KILL: Final[Mapping[str, float]] = MappingProxyType({"black hole": 0.5})


def story(seconds: float = 60.0) -> tuple[Phase, ...]:
    """Return the phases in order; together they fill the time without a gap.

    Args:
        seconds: Length of the play, > 0; the phases scale with it. Default 60.

    >>> [(phase.name, phase.start) for phase in story(60)][:3]
    [('healthy', 0.0), ('refused', 8.0), ('latency', 17.0)]
    """
    whole = sum(act.sixtieths for act in _ACTS)
    phases: list[Phase] = []
    passed = 0.0
    for act in _ACTS:
        start, passed = passed, passed + act.sixtieths
        length = act.sixtieths / whole * seconds
        begin = start / whole * seconds
        kill_at = begin + _KILL[act.name] * length if act.name in _KILL else None
        phases.append(Phase(act.name, act.description, act.fault, begin, passed / whole * seconds, kill_at))
    return tuple(phases)


def healed_after(phases: tuple[Phase, ...]) -> float:
    """Return the seconds after the beginning at which the last fault ends."""
    return max(phase.end for phase in phases if not isinstance(phase.fault, Healthy))


__all__ = ["Phase", "healed_after", "story"]
