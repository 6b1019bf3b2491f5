"""Breaker engines in the states that tests begin in, and calls that end as told."""

from outlast.engines import (
    BreakerConfig,
    BreakerEngine,
    CircuitState,
    ConsecutiveFailures,
    GradedRecovery,
    Permit,
    SlowCalls,
    Verdict,
)

F, S, I = Verdict.FAILURE, Verdict.SUCCESS, Verdict.IGNORED  # noqa: E741
CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
DISABLED = CircuitState.DISABLED
SLOW = SlowCalls(0.5, slower_than=1.0, over_calls=4, min_calls=2) | ConsecutiveFailures(9)


def engine(**options):
    """Make an engine that opens after 3 failures for 10 s."""
    return BreakerEngine(BreakerConfig(**{"trip": ConsecutiveFailures(3), "open_for": 10.0, **options}))


def admit(machine, now):
    """Ask for a permit that must be given."""
    permit, _ = machine.admit(now)
    assert isinstance(permit, Permit)
    return permit


def play(machine, history, now=0.0):
    """Run calls that end as the letters say: F(ailure), S(uccess), I(gnored)."""
    for letter in history:
        machine.settle(admit(machine, now), {"F": F, "S": S, "I": I}[letter], now, "down")
    return machine


def opened(**options):
    """Make an engine that opened at 0."""
    return play(engine(**options), "FFF")


def ramping(**options):
    """Make an engine that opened at 0 and recovers by degrees over 10 s, from a fifth."""
    machine = opened(recovery=GradedRecovery(over_seconds=10.0, start=0.2), **options)
    _, change = machine.admit(10.0, chance=0.0)
    assert (change.after, machine.state) == (HALF_OPEN, HALF_OPEN)
    return machine
