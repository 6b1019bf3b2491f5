"""What is done to a circuit by hand: results recorded, states forced, settings changed."""

import math

import pytest
from breakers import CLOSED, DISABLED, HALF_OPEN, OPEN, F, I, S, admit, engine, opened, play, ramping

from outlast.engines import (
    Backoff,
    BreakerConfig,
    ConsecutiveFailures,
    FailureRate,
    GradedRecovery,
    HalfOpen,
    LeakyFailures,
    Refusal,
    ResetAfterCooldown,
)
from outlast.errors import ConfigError


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
    ("options", "path"),
    [
        pytest.param({"open_for": 0}, "open_for", id="open-for"),
        pytest.param({"open_growth": Backoff(cap=29.0)}, "open_growth", id="growth-below-open-for"),
        pytest.param({"open_jitter": 1.0}, "open_jitter", id="jitter-down-to-nothing"),
        pytest.param({"open_jitter": -0.1}, "open_jitter", id="jitter-below-nothing"),
    ],
)
def test_nonsense_is_refused(options, path):
    """Settings under which it could never open or close are refused by name."""
    with pytest.raises(ConfigError) as caught:
        BreakerConfig(**options)

    assert caught.value.path == path
