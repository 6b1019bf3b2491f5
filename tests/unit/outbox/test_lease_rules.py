from __future__ import annotations

import pytest

from outlast.engines.lease import Held, LeaseConfig, LeaseRow, Take, contend, must_stop


def row(**changes):
    """Make the row of a living holder."""
    return LeaseRow(
        **{"holder": "h", "fence": 4, "boot_id": "b", "beat": 100.0, "ttl": 30.0, "locked": True, **changes}
    )


@pytest.mark.parametrize(
    ("found", "now", "boot", "lock_free", "expected"),
    [
        pytest.param(None, 0.0, "b", True, Take(1, "first holder"), id="nobody-yet"),
        pytest.param(row(holder=""), 100.0, "b", False, Take(5, "released"), id="released"),
        pytest.param(row(), 100.0, "b2", False, Take(5, "the machine has restarted"), id="another-boot"),
        pytest.param(row(), 100.0, "b", True, Take(5, "the holder's process has ended"), id="lock-is-free"),
        pytest.param(row(locked=False), 100.0, "b", True, Held("h", 30.0), id="free-lock-that-was-never-its-own"),
        pytest.param(row(locked=False), 130.0, "b", True, Take(5, "no beat for 30 s"), id="never-its-own-and-frozen"),
        pytest.param(row(), 129.0, "b", False, Held("h", 1.0), id="alive"),
        pytest.param(row(), 130.0, "b", False, Take(5, "no beat for 30 s"), id="frozen"),
    ],
)
def test_who_may_deliver(found, now, boot, lock_free, expected):
    """A free lock proves the death only of a holder that had it."""
    assert contend(found, now=now, boot_id=boot, lock_free=lock_free) == expected


@pytest.mark.parametrize(("now", "stops"), [(119.9, False), (120.0, True), (500.0, True)], ids=str)
def test_a_holder_stops_by_itself_before_it_may_be_replaced(now, stops):
    """Two thirds of the time to live without an own beat are enough."""
    assert must_stop(LeaseConfig(beat_every=10.0, ttl=30.0), 100.0, now) is stops
