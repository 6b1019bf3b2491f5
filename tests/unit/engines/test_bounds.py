"""What fits into an outbox, and how long to wait for room."""

import contextlib

import pytest

from outlast.engines.bounds import Load, OutboxLimits, Patience, overrun
from outlast.errors import Category, ConfigError, OutboxFullError


@pytest.mark.parametrize(
    ("limits", "before", "after", "full"),
    [
        pytest.param({}, Load(9, 9, 9.0), Load(99, 99, 9.0), None, id="no-bounds"),
        pytest.param({"max_ops": 3}, Load(2, 0), Load(3, 0), None, id="the-last-one-fits"),
        pytest.param({"max_ops": 3}, Load(3, 0), Load(4, 0), ("ops", 3, 4, False), id="one-too-many"),
        pytest.param({"max_ops": 3}, Load(0, 0), Load(4, 0), ("ops", 3, 4, True), id="too-many-for-an-empty-one"),
        pytest.param({"max_ops": 3}, Load(9, 0), Load(9, 0), None, id="what-takes-no-room-fits"),
        pytest.param({"max_ops": 3}, Load(9, 0), Load(8, 0), None, id="what-makes-room-fits"),
        pytest.param({"max_bytes": 10}, Load(0, 4), Load(1, 10), None, id="the-last-bytes-fit"),
        pytest.param({"max_bytes": 10}, Load(0, 4), Load(1, 11), ("bytes", 10, 11, False), id="a-byte-too-many"),
        pytest.param({"max_bytes": 10}, Load(0, 0), Load(1, 11), ("bytes", 10, 11, True), id="too-large-for-any"),
        pytest.param({"max_bytes": 10}, Load(0, 40), Load(1, 40), None, id="a-write-without-bytes-fits"),
        pytest.param({"max_parked": 2}, Load(0, 0, parked=1), Load(9, 0, parked=1), None, id="not-too-many-parked"),
        pytest.param({"max_parked": 2}, Load(0, 0, parked=2), Load(1, 0), ("parked", 2, 2, False), id="many-parked"),
        pytest.param({"max_parked": 2}, Load(1, 1, parked=2), Load(1, 2), None, id="folded-beside-many-parked"),
        pytest.param({"max_age": 5.0}, Load(1, 1, 5.0), Load(2, 2, 5.0), None, id="not-too-old-yet"),
        pytest.param({"max_age": 5.0}, Load(1, 1, 6.0), Load(2, 2, 6.0), ("age", 5.0, 6.0, False), id="too-old"),
        pytest.param({"max_age": 5.0}, Load(1, 1, 6.0), Load(1, 2, 6.0), None, id="folded-into-what-is-too-old"),
    ],
)
def test_a_call_is_judged_by_what_it_makes_of_the_load(limits, before, after, full):
    """It is refused when a bound is exceeded by it, and the error says which, by how much, and if it ever fits."""
    found = overrun(OutboxLimits(**limits), before, after)

    assert (found and (found.what, found.limit, found.found, found.never)) == full
    if found:
        assert found.category is (Category.INVALID_INPUT if found.never else Category.TRANSIENT)
        assert f"max_{found.what}={found.limit:g}" in str(found)


def test_a_load_grows_by_writes():
    """Further writes add to it by number and size."""
    assert Load(1, 10, 2.0, 4).plus([3, 0]) == Load(3, 13, 2.0, 4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_ops", 0),
        ("max_ops", 1.5),
        ("max_bytes", True),
        ("max_body", -1),
        ("max_parked", 0),
        ("reserve", -1),
        ("max_age", 0),
        ("wait_for", "1"),
        ("when_full", "drop"),
    ],
)
def test_bounds_that_mean_nothing_are_refused(name, value):
    """The error names the bound."""
    with pytest.raises(ConfigError, match=f"limits.{name}"):
        OutboxLimits(**{name: value})


@pytest.mark.parametrize(
    ("limits", "counted"),
    [
        ({}, False),
        ({"max_body": 5}, False),
        *[({name: 1}, True) for name in ("max_ops", "max_bytes", "max_parked", "max_age")],
    ],
)
def test_only_some_bounds_need_a_count(limits, counted):
    """Whoever bounds a body alone pays for no counting."""
    assert OutboxLimits(**limits).counted is counted


def test_a_body_is_bounded():
    """The error says where it is, how large, and what to do."""
    limits = OutboxLimits(max_body=3)

    limits.check_body("write.body", b"123")
    limits.check_body("write.base", None)
    OutboxLimits(max_body=None).check_body("write.body", b"1234")
    with pytest.raises(ConfigError, match=r"write\.body: has 4 bytes, and max_body is 3"):
        limits.check_body("write.body", b"1234")


def waits(patience, full, now=0.0):
    """Return the pauses until the waiting ends, by their own time; of one that does not end the first hundred."""
    found = []
    with contextlib.suppress(OutboxFullError):
        while len(found) < 100:
            found.append(patience.pause(full, now))
            now += found[-1]
    return found


def test_whoever_waits_looks_again_more_and_more_rarely_until_time_is_up():
    """The pauses double up to 0.1 s, and the last one ends when the time does."""
    limits = OutboxLimits(when_full="wait", wait_for=0.2)

    found = waits(Patience(limits, 0.0), OutboxFullError("full"))

    assert found == pytest.approx([0.005, 0.01, 0.02, 0.04, 0.08, 0.045])
    endless = Patience(OutboxLimits(when_full="wait"), 0.0)
    pauses = [endless.pause(OutboxFullError("full"), 1e9) for _ in range(9)]
    assert (pauses[-1], endless.left(1e9)) == (0.1, None)


@pytest.mark.parametrize(
    ("limits", "never"),
    [pytest.param({}, False, id="not-wanted"), pytest.param({"when_full": "wait"}, True, id="of-no-use")],
)
def test_nobody_waits_in_vain(limits, never):
    """Where waiting is not wanted, or nothing could come of it, the error is raised at once."""
    assert waits(Patience(OutboxLimits(**limits), 0.0), OutboxFullError("full", never=never)) == []
