import math

import pytest

from outlast.engines import (
    Backoff,
    BreakerConfig,
    BreakerEngine,
    CircuitState,
    ConsecutiveFailures,
    FailureRate,
    GradedRecovery,
    HalfOpen,
    LeakyFailures,
    Permit,
    Refusal,
    ResetAfterCooldown,
    SlowCalls,
    Verdict,
)
from outlast.errors import ConfigError

F, S, I = Verdict.FAILURE, Verdict.SUCCESS, Verdict.IGNORED  # noqa: E741
CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
DISABLED = CircuitState.DISABLED


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


def test_probe_of_an_earlier_round_counts_for_nothing():
    """A probe left from one round is no result of the next."""
    machine = opened()
    left = admit(machine, 10.0)
    play(machine, "F", 10.0)
    admit(machine, 20.0)
    machine.settle(left, S, 20.0)
    play(machine, "S", 20.0)

    assert machine.state is HALF_OPEN


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


def test_forced_open_stays():
    """Held open by hand no time ends it."""
    machine = engine()
    change = machine.force_open(1.0)

    assert (change.after, change.until, change.reason) == (OPEN, math.inf, "opened by hand")
    assert machine.admit(1e12) == (Refusal(math.inf), None)


def test_forced_closed_starts_over():
    """Closing by hand forgets the row of failures but not the counts."""
    machine = opened()
    machine.force_closed(1.0)
    play(machine, "FF", 1.0)

    assert (machine.state, machine.snapshot(1.0).failures) == (CLOSED, 5)


def test_reset_forgets_everything():
    """After a reset it shows what a new one shows, but for the reason."""
    machine = opened()
    machine.admit(1.0)
    machine.reset(2.0)
    fresh = engine().snapshot(2.0)

    assert machine.snapshot(2.0) == type(fresh)(**{**as_dict(fresh), "reason": "reset"})


def as_dict(record):
    """Return the fields of a slotted record."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


@pytest.mark.parametrize(
    ("history", "verdict", "at", "states", "state"),
    [
        pytest.param("", F, 0.0, [], CLOSED, id="closed-failure"),
        pytest.param("FF", F, 0.0, [OPEN], OPEN, id="closed-tips"),
        pytest.param("FF", S, 0.0, [], CLOSED, id="closed-success"),
        pytest.param("FFF", F, 5.0, [], OPEN, id="open-counts-nothing"),
        pytest.param("FFF", S, 10.0, [HALF_OPEN], HALF_OPEN, id="begins-probing"),
        pytest.param("FFF", F, 10.0, [HALF_OPEN, OPEN], OPEN, id="probe-fails"),
        pytest.param("FFF", I, 10.0, [HALF_OPEN], HALF_OPEN, id="ignored-probe"),
    ],
)
def test_recording_without_a_permit(history, verdict, at, states, state):
    """The manual face's results count in the state that is there, and while open not at all."""
    machine = play(engine(), history)
    before = machine.snapshot(at).rejected
    changes = machine.record(verdict, at, "x")

    assert [change.after for change in changes] == states
    assert (machine.state, machine.snapshot(at).rejected, machine.snapshot(at).probes) == (state, before, 0)


def test_recorded_successes_close_it():
    """While probing, recorded successes add up."""
    machine = opened()
    changes = [*machine.record(S, 10.0), *machine.record(S, 10.0)]

    assert [change.after for change in changes] == [HALF_OPEN, CLOSED]


def test_recording_leaves_running_probes_alone():
    """A recorded result takes no slot from a probe."""
    machine = opened(recovery=HalfOpen(max_calls=1))
    probe = admit(machine, 10.0)
    machine.record(S, 11.0)

    assert machine.stands(probe)


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


def ramping(**options):
    """Make an engine that opened at 0 and recovers by degrees over 10 s, from a fifth."""
    machine = opened(recovery=GradedRecovery(over_seconds=10.0, start=0.2), **options)
    _, change = machine.admit(10.0, chance=0.0)
    assert (change.after, machine.state) == (HALF_OPEN, HALF_OPEN)
    return machine


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


SLOW = SlowCalls(0.5, slower_than=1.0, over_calls=4, min_calls=2) | ConsecutiveFailures(9)


def test_slow_successes_open_it():
    """A call that took longer than the limit from its permit on is slow, however it ended well."""
    machine = engine(trip=SLOW)
    for _ in range(2):
        machine.settle(admit(machine, 0.0), S, 1.5)

    assert machine.state is OPEN
    assert machine.reason == "100% of the last 4 calls were slower than 1 s"
    assert machine.snapshot(1.5).calls == 2


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


def test_disabled_counts_nothing():
    """Switched off every call runs and no result counts, not even that of a call from before."""
    machine = engine()
    before = admit(machine, 0.0)
    change = machine.disable(1.0)
    play(machine, "FFFFS", 2.0)
    machine.record(F, 2.0)
    machine.settle(before, F, 2.0)

    assert (change.before, change.after, machine.state) == (CLOSED, DISABLED, DISABLED)
    assert (machine.snapshot(2.0).calls, machine.snapshot(2.0).admission, machine.refuses(2.0)) == (0, 1.0, False)
    assert machine.force_closed(3.0).after is CLOSED


def test_reconfigured_windows_go_on():
    """A lower threshold counts what has failed before; nothing is lost."""
    machine = play(engine(), "SFF")
    permit = admit(machine, 0.0)
    lost, change = machine.reconfigure(BreakerConfig(trip=ConsecutiveFailures(2), open_for=5.0), 1.0)
    machine.settle(permit, F, 1.0)

    assert (lost, change) == ([], None)
    assert (machine.state, machine.cooldown_remaining(1.0), machine.snapshot(1.0).calls) == (OPEN, 5.0, 4)


def test_reconfigured_face_is_told():
    """A rule over time that comes later is told the time from then on."""
    machine = play(engine(), "SS")
    lost, _ = machine.reconfigure(BreakerConfig(trip=FailureRate(0.5, over_seconds=10.0, min_calls=4)), 1.0)

    assert lost == [
        "FailureRate(rate=0.5, over_seconds=10.0, over_calls=None, min_calls=4) begins with an empty window"
    ]
    assert machine.closed.dated
    play(machine, "SSFF", 2.0)
    assert machine.state is OPEN


def test_reconfigured_with_the_same_rule_keeps_the_window():
    """What is not changed is not touched."""
    machine = play(engine(), "FF")
    window = machine.closed.window

    assert machine.reconfigure(BreakerConfig(trip=ConsecutiveFailures(3), open_for=99.0), 1.0) == ([], None)
    assert machine.closed.window is window


def test_reconfigured_while_open_stays_open():
    """The moment at which probes may start stands; the new recovery applies then."""
    machine = opened()
    assert machine.reconfigure(BreakerConfig(open_for=1.0, recovery=ResetAfterCooldown()), 5.0) == ([], None)
    assert machine.cooldown_remaining(5.0) == 5.0
    admit(machine, 10.0)

    assert machine.state is CLOSED


def test_reconfigured_while_probing():
    """Probes that run keep their slots, and those that succeeded count."""
    machine = play(opened(), "S", 10.0)
    probe = admit(machine, 10.0)
    machine.reconfigure(BreakerConfig(recovery=HalfOpen(max_calls=1, success_threshold=3)), 10.0)
    assert isinstance(machine.admit(10.0)[0], Refusal)
    machine.settle(probe, S, 10.0)
    assert machine.state is HALF_OPEN
    play(machine, "S", 10.0)

    assert machine.state is CLOSED


def test_reconfigured_while_ramping():
    """The share goes on from where it was, under the new times, and the window under the new rule."""
    machine = play(ramping(), "FF", 12.0)
    lost, change = machine.reconfigure(
        BreakerConfig(trip=LeakyFailures(3), recovery=GradedRecovery(over_seconds=4.0, start=0.5)), 12.0
    )

    assert (lost, change) == (["LeakyFailures(threshold=3) begins with an empty window"], None)
    assert machine.snapshot(12.0).admission == 0.75
    assert machine.admit(14.0)[1].after is CLOSED


@pytest.mark.parametrize(
    ("machine", "recovery", "state"),
    [
        (lambda: play(opened(), "S", 10.0), GradedRecovery(), HALF_OPEN),
        (lambda: play(opened(), "S", 10.0), ResetAfterCooldown(), CLOSED),
        (ramping, HalfOpen(), HALF_OPEN),
    ],
    ids=["to-degrees", "to-reset", "to-probes"],
)
def test_another_kind_of_recovery_begins_anew(machine, recovery, state):
    """A recovery of another kind cannot go on from the one that runs, and that is said."""
    machine = machine()
    lost, change = machine.reconfigure(BreakerConfig(trip=ConsecutiveFailures(3), recovery=recovery), 11.0)

    assert lost == [f"the running recovery begins anew as {recovery!r}"]
    assert (change.after, machine.state) == (state, state)


def test_reconfigured_while_disabled():
    """Disabled stays disabled."""
    machine = engine()
    machine.disable(0.0)

    assert machine.reconfigure(BreakerConfig(trip=LeakyFailures(3)), 1.0) == ([], None)
    assert machine.state is DISABLED


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: BreakerConfig(open_for=0), id="open-for"),
        pytest.param(lambda: BreakerConfig(open_growth=Backoff(cap=29.0)), id="growth-below-open-for"),
        pytest.param(lambda: BreakerConfig(open_jitter=1.0), id="jitter-down-to-nothing"),
        pytest.param(lambda: BreakerConfig(open_jitter=-0.1), id="jitter-below-nothing"),
        pytest.param(lambda: HalfOpen(max_calls=0), id="no-probes"),
        pytest.param(lambda: HalfOpen(success_threshold=0), id="no-successes"),
        pytest.param(lambda: HalfOpen(probe_expires_after=0), id="no-lease"),
        pytest.param(lambda: ConsecutiveFailures(0), id="no-failures"),
        pytest.param(lambda: ConsecutiveFailures(True), id="true"),
    ],
)
def test_nonsense_is_refused(make):
    """Settings under which it could never open or close are refused."""
    with pytest.raises(ConfigError):
        make()
