"""How an open circuit closes again: by probes, by itself, or by degrees."""

import pytest
from breakers import CLOSED, HALF_OPEN, OPEN, SLOW, F, I, S, admit, engine, opened, play, ramping

from outlast.engines import Backoff, GradedRecovery, HalfOpen, Permit, Refusal, ResetAfterCooldown


def test_first_call_after_the_open_time_probes():
    """The open time over, the next call is a probe, and the change is recorded."""
    machine = opened()
    permit, change = machine.admit(10.0)

    assert isinstance(permit, Permit)
    assert (change.before, change.after, change.at) == (OPEN, HALF_OPEN, 10.0)


def test_probes_are_limited():
    """No more than `max_calls` probes run at once; one that ends makes room."""
    machine = opened()
    permits = [admit(machine, 10.0) for _ in range(3)]
    assert machine.admit(10.0) == (Refusal(1.0), None)
    machine.settle(permits[0], I, 10.0)

    admit(machine, 10.0)


@pytest.mark.parametrize(
    ("history", "state"), [("S", HALF_OPEN), ("SS", CLOSED), ("F", OPEN), ("SF", OPEN), ("III", HALF_OPEN)]
)
def test_probes_decide(history, state):
    """Two successes close it, any failure reopens it, what is ignored decides nothing."""
    assert play(opened(), history, 10.0).state is state


def test_hung_probe_loses_its_slot():
    """A probe that does not come back holds its slot until its lease ends and another wants it."""
    machine = opened(recovery=HalfOpen(max_calls=1))
    hung = admit(machine, 10.0)
    assert machine.admit(19.5) == (Refusal(0.5), None)
    fresh = admit(machine, 20.0)

    assert not machine.stands(hung)
    assert machine.settle(hung, F, 21.0) is None
    assert machine.state is HALF_OPEN
    assert machine.stands(fresh)


def test_late_probe_whose_slot_nobody_took_still_counts():
    """A lease that ran out is taken away only when somebody needs the slot."""
    machine = opened(recovery=HalfOpen(max_calls=1, success_threshold=1))
    probe = admit(machine, 10.0)
    machine.settle(probe, S, 99.0)

    assert machine.state is CLOSED


def test_lease_can_be_set():
    """`probe_expires_after` replaces the open time as the lease."""
    machine = opened(recovery=HalfOpen(max_calls=1, probe_expires_after=2.0))
    admit(machine, 10.0)

    admit(machine, 12.0)


def test_probe_of_an_earlier_round_counts_for_nothing():
    """A probe left from one round is no result of the next."""
    machine = opened()
    left = admit(machine, 10.0)
    play(machine, "F", 10.0)
    admit(machine, 20.0)
    machine.settle(left, S, 20.0)
    play(machine, "S", 20.0)

    assert machine.state is HALF_OPEN


def test_a_ratio_of_probes_decides():
    """With a ratio a failed probe is borne, as long as the ratio can still be reached."""
    rule = HalfOpen(max_calls=1, success_ratio=0.6, probes=5)

    assert play(opened(recovery=rule), "FSFSS", 10.0).state is CLOSED
    assert play(opened(recovery=rule), "FSFF", 10.0).state is OPEN
    assert play(opened(recovery=rule), "FSFS", 10.0).state is HALF_OPEN


def test_reset_after_cooldown_closes_without_probes():
    """The open time over, the next call runs in a closed circuit with an empty window."""
    machine = opened(recovery=ResetAfterCooldown())
    permit, change = machine.admit(10.0)

    assert (change.before, change.after, machine.stands(permit)) == (OPEN, CLOSED, True)
    assert play(machine, "FF", 10.0).state is CLOSED
    assert play(machine, "F", 10.0).state is OPEN


def test_reset_after_cooldown_goes_on_growing_until_a_success():
    """Without probes it is a success that proves the open time long enough."""
    machine = opened(recovery=ResetAfterCooldown(), open_growth=Backoff(factor=2.0, cap=100.0))
    play(machine, "FFF", 10.0)
    assert machine.cooldown_remaining(10.0) == 20.0
    play(machine, "SFFF", 30.0)

    assert machine.cooldown_remaining(30.0) == 10.0


@pytest.mark.parametrize(("now", "share"), [(10.0, 0.2), (12.5, 0.4), (15.0, 0.6), (19.9, 0.992)])
def test_recovery_by_degrees_admits_a_share(now, share):
    """While it ramps up, chance decides which calls run, and a refusal says to ask again soon."""
    machine = ramping()
    assert isinstance(machine.admit(now, chance=share - 0.001)[0], Permit)
    answer, change = machine.admit(now, chance=share + 0.001)

    assert change is None
    assert answer == Refusal(pytest.approx(min(1.0, 20.0 - now)))
    assert machine.snapshot(now).admission == pytest.approx(share)
    assert (machine.snapshot(now).rejected, machine.refuses(now)) == (1, False)


def test_recovery_by_degrees_ends_closed():
    """When the share has reached everything it is closed, and calls admitted meanwhile still count."""
    machine = ramping(open_growth=Backoff(factor=2.0, cap=100.0))
    early = admit(machine, 12.0)
    play(machine, "SFF", 15.0)
    before = machine.snapshot(15.0)
    _, change = machine.admit(20.0, chance=0.999)
    assert (change.before, change.after) == (HALF_OPEN, CLOSED)
    assert (machine.snapshot(20.0).calls, before.calls) == (6, 6)
    assert machine.stands(early)
    machine.settle(early, F, 21.0, "late")

    assert (machine.state, machine.cooldown_remaining(21.0)) == (OPEN, 10.0)


def test_recovery_by_degrees_is_judged_by_the_trip_rule():
    """When the rule tips during the ramp the circuit opens again, for longer."""
    machine = ramping(open_growth=Backoff(factor=2.0, cap=100.0))
    play(machine, "SFFF", 15.0)

    assert (machine.state, machine.cooldown_remaining(15.0)) == (OPEN, 20.0)
    assert machine.snapshot(15.0).calls == 3 + 4


def test_recovery_by_degrees_takes_recorded_results():
    """The manual face takes part in the ramp, and ends it."""
    machine = opened(recovery=GradedRecovery(over_seconds=10.0))
    assert [change.after for change in machine.record(F, 10.0)] == [HALF_OPEN]
    assert machine.record(F, 12.0) == []
    assert [change.after for change in machine.record(F, 20.0)] == [CLOSED, OPEN]


@pytest.mark.parametrize("verdict", [F, S])
def test_slow_probe_fails(verdict):
    """A dependency that is still too slow is not well again, whether it answers or not."""
    machine = engine(trip=SLOW)
    machine.record(S, 0.0, took=2.0)
    machine.record(S, 0.0, took=2.0)
    probe = admit(machine, 10.0)
    change = machine.settle(probe, verdict, 12.0, "down" if verdict is F else "")

    assert change.after is OPEN
    assert change.reason == ("a probe failed: down" if verdict is F else "a probe failed: it took 2 s")


def test_quick_probe_succeeds():
    """Under a rule for slow calls a quick probe closes the circuit as ever."""
    machine = engine(trip=SLOW)
    machine.record(S, 0.0, took=2.0)
    machine.record(S, 0.0, took=2.0)
    for _ in range(2):
        machine.settle(admit(machine, 10.0), S, 10.5)

    assert machine.state is CLOSED
