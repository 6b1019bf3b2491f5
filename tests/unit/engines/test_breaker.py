"""When a circuit opens and for how long, which results count, and what it tells about itself."""

import math

import pytest
from breakers import CLOSED, DISABLED, HALF_OPEN, OPEN, SLOW, F, S, admit, engine, opened, play

from outlast.engines import Backoff, ConsecutiveFailures, FailureRate, Refusal


@pytest.mark.parametrize(
    ("history", "state"),
    [
        pytest.param("FF", CLOSED, id="below"),
        pytest.param("FFF", OPEN, id="at-threshold"),
        pytest.param("FFSFF", CLOSED, id="success-breaks-the-row"),
        pytest.param("FFSFFF", OPEN, id="row-after-success"),
        pytest.param("FFIF", OPEN, id="ignored-does-not-break-the-row"),
        pytest.param("SSS", CLOSED, id="only-successes"),
    ],
)
def test_consecutive_failures(history, state):
    """Only an unbroken run of failures opens the breaker."""
    assert play(engine(), history).state is state


def test_open_refuses_with_the_remaining_time():
    """While open nothing is admitted, and the refusal says how long."""
    assert opened().admit(4.0) == (Refusal(6.0), None)


@pytest.mark.parametrize("verdict", [F, S])
def test_results_of_a_dead_era_count_for_nothing(verdict):
    """A call that was admitted before the circuit opened is not judged after it has recovered, nor while it probes."""
    machine = engine()
    stale = [admit(machine, 0.0) for _ in range(9)]
    play(machine, "FFF")
    for permit in stale[:3]:
        assert machine.settle(permit, verdict, 1.0) is None
    assert machine.cooldown_remaining(1.0) == 9.0
    probe = admit(machine, 10.0)
    for permit in stale[3:6]:
        assert machine.settle(permit, verdict, 10.0) is None
    assert machine.state is HALF_OPEN
    machine.settle(probe, S, 10.0)
    play(machine, "S", 10.0)
    for permit in stale[6:]:
        assert machine.settle(permit, verdict, 11.0) is None

    assert machine.state is CLOSED


def test_a_permit_settles_once():
    """Only the first verdict of a permit counts."""
    machine = engine()
    permit = admit(machine, 0.0)
    for _ in range(5):
        machine.settle(permit, F, 0.0)

    assert (machine.state, machine.snapshot(0.0).failures) == (CLOSED, 1)


def test_growth():
    """The open time grows with each reopening and starts over once closed."""
    machine, now, waits = opened(open_growth=Backoff(factor=2.0, cap=35.0)), 0.0, []
    for _ in range(4):
        waits.append(machine.cooldown_remaining(now))
        now += waits[-1]
        play(machine, "F", now)
    play(machine, "SS", now + 35.0)
    play(machine, "FFF", now + 35.0)

    assert [*waits, machine.cooldown_remaining(now + 35.0)] == [10.0, 20.0, 35.0, 35.0, 10.0]


@pytest.mark.parametrize(
    ("prepare", "now", "expected"),
    [
        pytest.param(lambda machine: None, 0.0, False, id="closed"),
        pytest.param(lambda machine: play(machine, "FFF"), 9.9, True, id="open"),
        pytest.param(lambda machine: play(machine, "FFF"), 10.0, False, id="open-time-over"),
        pytest.param(lambda machine: play(play(machine, "FFF"), "I", 10.0), 10.0, False, id="free-slots"),
        pytest.param(lambda machine: [play(machine, "FFF"), *fill(machine)], 19.9, True, id="slots-taken"),
        pytest.param(lambda machine: [play(machine, "FFF"), *fill(machine)], 20.0, False, id="leases-over"),
    ],
)
def test_refuses(prepare, now, expected):
    """It can be asked whether it would refuse, which is what admitting then does, and asking changes nothing."""
    machine = engine()
    prepare(machine)

    assert machine.refuses(now) is expected
    assert isinstance(machine.admit(now)[0], Refusal) is expected


def fill(machine):
    """Take every slot at 10."""
    return [admit(machine, 10.0) for _ in range(3)]


def test_snapshot_counts():
    """The snapshot counts over all eras."""
    machine = play(engine(), "SSFSFFF")
    machine.admit(1.0)
    play(machine, "SS", 10.0)
    play(machine, "S", 10.0)
    machine.admit(10.0)
    shot = machine.snapshot(12.0)

    assert (shot.state, shot.calls, shot.failures, shot.rejected, shot.opened) == (CLOSED, 10, 4, 1, 1)
    assert shot.recent_failures == ((0.0, "down"),) * 4
    assert (shot.reason, machine.reason) == ("2 probes succeeded",) * 2


def test_reason_names_what_tipped_it():
    """The reason for opening names the rule and the last failure, where that is known."""
    assert opened().reason == "3 failures in a row, the last: down"
    silent = engine()
    for _ in range(3):
        silent.record(F, 0.0)
    assert silent.reason == "3 failures in a row"


def test_recent_failures_are_bounded():
    """Only the last few failures are kept."""
    machine = engine(trip=ConsecutiveFailures(100))
    play(machine, "F" * 50)

    assert len(machine.snapshot(0.0).recent_failures) == 8


def test_state_codes():
    """Metrics get a number for each state."""
    assert [state.code for state in (CLOSED, OPEN, HALF_OPEN, DISABLED)] == [0, 1, 2, 3]


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 7.5), (0.5, 10.0), (0.999999, 12.5)])
def test_open_time_is_spread(chance, seconds):
    """With jitter chance makes the open time longer or shorter, by no more than its share."""
    machine = engine(open_jitter=0.25, trip=ConsecutiveFailures(1))
    machine.settle(admit(machine, 0.0), F, 0.0, chance=chance)

    assert machine.cooldown_remaining(0.0) == pytest.approx(seconds, abs=1e-4)


def test_the_cap_holds_after_jitter():
    """Not even chance makes an open time longer than the cap of its growth."""
    machine = engine(open_jitter=0.5, trip=ConsecutiveFailures(1), open_growth=Backoff(factor=1.0, cap=10.0))
    machine.settle(admit(machine, 0.0), F, 0.0, chance=0.9)

    assert machine.cooldown_remaining(0.0) == 10.0


def test_slow_successes_open_it():
    """A call that took longer than the limit from its permit on is slow, however it ended well."""
    machine = engine(trip=SLOW)
    for _ in range(2):
        machine.settle(admit(machine, 0.0), S, 1.5)

    assert machine.state is OPEN
    assert machine.reason == "100% of the last 4 calls were slower than 1 s"
    assert machine.snapshot(1.5).calls == 2


def test_weights_reach_the_rule():
    """A failure may be less than one."""
    machine = engine(trip=ConsecutiveFailures(1))
    machine.settle(admit(machine, 0.0), F, 0.0, weight=0.5)
    assert machine.state is CLOSED
    machine.record(F, 0.0, weight=0.5)

    assert machine.state is OPEN


@pytest.mark.parametrize(
    ("options", "dated", "timed", "edge", "limit"),
    [
        ({}, False, False, math.inf, math.inf),
        ({"trip": FailureRate(0.5, over_calls=9)}, False, False, math.inf, math.inf),
        ({"trip": FailureRate(0.5, over_seconds=9.0)}, True, False, -math.inf, math.inf),
        ({"trip": SLOW}, True, True, math.inf, 1.0),
        ({"inspects": True}, True, False, -math.inf, math.inf),
    ],
    ids=["in-a-row", "of-calls", "over-time", "slow", "results"],
)
def test_the_face_is_told_what_a_success_needs(options, dated, timed, edge, limit):
    """Clock and lock are asked for only where the rules need them."""
    era = engine(**options).closed

    assert (era.dated, era.timed, era.edge, era.limit) == (dated, timed, edge, limit)


def test_the_edge_moves_with_the_grains():
    """After the first success of a grain the next one needs the lock only in the next grain."""
    machine = engine(trip=FailureRate(0.5, over_seconds=20.0))
    machine.settle(admit(machine, 5.0), S, 5.0)
    assert machine.closed.edge == 6.0
    machine.settle(admit(machine, 6.0), S, 6.0)
    assert machine.closed.edge == 8.0
    inspecting = engine(trip=FailureRate(0.5, over_seconds=20.0), inspects=True)
    inspecting.settle(admit(inspecting, 5.0), S, 5.0)

    assert inspecting.closed.edge == -math.inf
