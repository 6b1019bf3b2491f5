import pytest

from outlast.engines import LeaseConfig
from outlast.engines.lease import Held, LeaseRow, Take, contend, must_stop
from outlast.errors import ConfigError

ROW = LeaseRow(holder="a", fence=7, boot_id="boot", beat=100.0, ttl=30.0)


def ask(row=ROW, **fields):
    """Contend ten seconds after the beat, on the same boot, while the holder's process lives."""
    return contend(row, **{"now": 110.0, "boot_id": "boot", "lock_free": False, **fields})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(ask(None), Take(1, "first holder"), id="never-held"),
        pytest.param(ask(LeaseRow("", 7, "boot", 100.0, 30.0)), Take(8, "released"), id="released"),
        pytest.param(ask(boot_id="other"), Take(8, "the machine has restarted"), id="restarted"),
        pytest.param(ask(lock_free=True), Take(8, "the holder's process has ended"), id="died"),
        pytest.param(ask(), Held("a", 20.0), id="alive"),
        pytest.param(ask(now=129.5), Held("a", 0.5), id="nearly-stale"),
        pytest.param(ask(now=130.0), Take(8, "no beat for 30 s"), id="frozen"),
    ],
)
def test_contend(answer, expected):
    """Who may take the lease, under which fence, and why; or when to ask again."""
    assert answer == expected


@pytest.mark.parametrize(("now", "stop"), [(179.9, False), (180.0, True)])
def test_a_holder_stops_before_it_may_be_replaced(now, stop):
    """A holder that could not beat stops sending while its term still stands."""
    assert must_stop(LeaseConfig(), 100.0, now) is stop


def test_the_times_of_a_lease():
    """A beat every 10 s and 120 s until a frozen holder is replaced; others can be asked for, such as 5 s and 60 s."""
    assert (LeaseConfig().beat_every, LeaseConfig().ttl) == (10.0, 120.0)
    assert LeaseConfig(5, 60).stop_after == 40


@pytest.mark.parametrize("options", [{"beat_every": 0}, {"ttl": 29.9}], ids=repr)
def test_nonsense_is_refused(options):
    """A lease that a healthy holder could lose is refused."""
    with pytest.raises(ConfigError, match="lease"):
        LeaseConfig(**options)
