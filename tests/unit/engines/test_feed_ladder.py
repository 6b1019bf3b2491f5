import math

import pytest

from outlast.engines.backoff import Backoff, Jitter
from outlast.engines.feed_ladder import FeedLadder
from outlast.engines.feed_records import (
    Due,
    GiveUp,
    LadderConfig,
    Listen,
    Paused,
    Refresh,
    Rung,
    Trouble,
    Try,
    Wait,
)
from outlast.errors import ConfigError

HALF = 0.5
TOP = Try(Rung.WEBSOCKET)


def ladder(**settings):
    """Make a ladder whose waits are plain: 3, 6, 12 ... seconds, and 60, 120 ... before a climb."""
    plain = {"reconnect": Backoff(base=3.0, cap=60.0, jitter=Jitter.NONE), "climb": Backoff(base=60.0, cap=900.0)}
    return FeedLadder(LadderConfig(**{**plain, **settings}))


def fail(engine, *troubles, now=0.0):
    """Let attempts fail, each when it is due; return the steps after them and the moment."""
    seen = []
    for trouble in troubles:
        engine.failed(now, HALF, trouble)
        step = engine.step(now)
        seen.append(step)
        now += step.seconds if isinstance(step, Wait) else 0.0
        engine.step(now)
    return seen, now


def test_the_first_wait_is_the_seeds():
    """By default the first reconnection comes within 3 s, spread over all of them, and there is no last one."""
    engine = FeedLadder(LadderConfig())
    engine.failed(0.0, HALF, Trouble.UNREACHABLE)

    assert engine.step(0.0) == Wait(1.5)
    for _ in range(1000):
        engine.failed(0.0, 0.999, Trouble.UNREACHABLE)
    assert 0 < engine.step(0.0).seconds <= 60.0


def test_twenty_attempts_as_the_seed_says():
    """After as many attempts without a connection as are allowed it is over, until somebody connects anew."""
    engine = ladder(max_attempts=20)
    seen, now = fail(engine, *[Trouble.UNREACHABLE] * 20)

    assert all(isinstance(step, Wait) for step in seen[:-1])
    assert engine.step(now) == GiveUp(20)
    engine.renewed(asked=False)
    assert isinstance(engine.step(now), Try)


def test_rungs_that_are_not_offered_are_left_at_once():
    """Down to the lowest there is no wait; a server that offers nothing is asked again from the top, later."""
    engine = ladder()
    seen, _ = fail(engine, *[Trouble.UNSUPPORTED] * 4)

    assert seen == [Try(Rung.SSE), Try(Rung.LONG_POLL), Try(Rung.POLL), Wait(3.0)]
    assert engine.step(10.0) == TOP


def test_a_rung_that_fails_again_and_again_is_left():
    """Three failures in a row, with waits that grow, and the next lower has its turn."""
    engine = ladder()
    seen, now = fail(engine, *[Trouble.UNREACHABLE] * 3)

    assert seen == [Wait(3.0), Wait(6.0), Wait(12.0)]
    assert engine.step(now) == Try(Rung.SSE)


def test_a_connection_that_is_cut_soon_is_a_failure_of_its_rung():
    """A proxy that lets a WebSocket open and cuts it is found out; one cut after a long time is forgiven."""
    engine = ladder(stable_after=30.0)
    now = 0.0
    for _ in range(3):
        engine.opened(now, HALF)
        engine.failed(now + 29.0, HALF, Trouble.LOST)
        now += 100.0
    assert engine.step(now) == Try(Rung.SSE)

    engine = ladder(stable_after=30.0)
    for _ in range(9):
        engine.opened(now, HALF)
        engine.failed(now + 30.0, HALF, Trouble.LOST)
        assert engine.step(now + 30.0) == Wait(3.0)
        now += 100.0
    assert engine.step(now) == TOP


def test_from_a_lower_rung_the_upper_ones_are_tried_again():
    """After a minute all of them, without waits; if in vain, after two minutes, then four, until one opens."""
    engine = ladder()
    now = fail(engine, *[Trouble.UNSUPPORTED] * 2)[1]
    waits = []
    for _ in range(3):
        engine.opened(now, HALF)
        step = engine.step(now)
        waits.append(step.seconds)
        now += step.seconds
        engine.climb()
        assert engine.step(now) == TOP
        assert fail(engine, Trouble.UNREACHABLE, Trouble.UNSUPPORTED, now=now)[0] == [
            Try(Rung.SSE),
            Try(Rung.LONG_POLL),
        ]
    engine.opened(now, HALF)
    engine.climb()
    engine.opened(now, HALF)

    assert waits == [60.0, 120.0, 240.0]
    assert engine.step(now) == Listen(Rung.WEBSOCKET, 300.0, Due.PULL)
    engine.failed(now + 60.0, HALF, Trouble.LOST)
    assert "falls=0" in repr(engine)


def test_a_rung_that_only_seemed_to_be_offered_counts_as_a_climb_in_vain():
    """What opens and then turns out to be no such rung makes the next climb later, too."""
    engine = ladder(rungs=(Rung.LONG_POLL, Rung.POLL))
    for wait in (120.0, 240.0):
        engine.opened(0.0, HALF)
        assert fail(engine, Trouble.UNSUPPORTED)[0] == [Try(Rung.POLL)]
        engine.opened(0.0, HALF)
        engine.pulled(0.0)
        assert engine.step(wait - 1).due is Due.PULL
        engine.pulled(wait - 1)
        assert engine.step(wait - 1) == Listen(Rung.POLL, 1.0, Due.CLIMB)
        engine.climb()


def test_after_an_outage_the_upper_rungs_are_tried_at_once():
    """A lower rung that happened to be the one to answer first was not chosen for its own sake."""
    engine = ladder(falls_after=1)
    now = fail(engine, *[Trouble.UNREACHABLE] * 5)[1]
    assert engine.step(now) == Try(Rung.SSE)
    engine.opened(now, HALF)

    assert engine.step(now) == Listen(Rung.SSE, 0.0, Due.CLIMB)


def test_a_climb_spends_no_attempts():
    """However few attempts there are, trying the upper rungs from a lower one does not end the feed."""
    engine = ladder(max_attempts=4, rungs=(Rung.WEBSOCKET, Rung.SSE, Rung.POLL))
    now = fail(engine, *[Trouble.UNSUPPORTED] * 2)[1]
    for _ in range(9):
        engine.opened(now, HALF)
        engine.climb()
        fail(engine, Trouble.UNREACHABLE, Trouble.UNREACHABLE, now=now)

    assert engine.step(now) == Try(Rung.POLL)


@pytest.mark.parametrize(
    ("rung", "seconds", "due"),
    [
        (Rung.WEBSOCKET, 300.0, Due.PULL),
        (Rung.SSE, 45.0, Due.SILENT),
        (Rung.LONG_POLL, math.inf, Due.SILENT),
        (Rung.POLL, 30.0, Due.PULL),
    ],
)
def test_how_long_a_rung_is_listened_to(rung, seconds, due):
    """A stream of events has to say that it lives; what pushes is checked by a pull now and then."""
    engine = ladder(rungs=(rung,))
    engine.opened(7.0, HALF)

    assert engine.step(7.0) == Listen(rung, seconds, due)


def test_only_listening_in_vain_is_silence():
    """Time in which nobody listened does not count, and anything that comes ends the silence."""
    engine = ladder(rungs=(Rung.SSE,), resync_every=1e9)
    engine.opened(0.0, HALF)
    assert engine.step(1000.0).seconds == 45.0
    engine.listened(30.0)
    assert engine.step(1000.0).seconds == 15.0
    engine.heard()
    assert engine.step(1000.0).seconds == 45.0
    engine.listened(45.0)

    assert engine.step(1000.0) == Listen(Rung.SSE, 0.0, Due.SILENT)


def test_refused_credentials_are_renewed_once():
    """Who can be asked is asked once; if the new ones are refused too, somebody has to bring some."""
    engine = ladder()
    engine.refused(0.0, HALF, refreshable=True)
    assert engine.step(0.0) == Refresh()
    engine.renewed(asked=True)
    assert engine.step(0.0) == TOP
    engine.refused(0.0, HALF, refreshable=True)
    assert engine.step(1e9) == Paused()
    engine.wake()
    assert engine.step(1e9) == Paused()
    engine.renewed(asked=False)
    assert engine.step(1e9) == TOP
    engine.refused(0.0, HALF, refreshable=False)
    assert engine.step(1e9) == Paused()


def test_a_stable_connection_earns_another_refresh():
    """Credentials that worked for a while and ran out are renewed again at once, however often."""
    engine, now = ladder(stable_after=30.0), 0.0
    for _ in range(5):
        engine.refused(now, HALF, refreshable=True)
        assert engine.step(now) == Refresh()
        engine.renewed(asked=True)
        engine.opened(now, HALF)
        now += 30.0
    assert isinstance(engine.step(now), Listen)
    engine.renewed(asked=False)
    assert isinstance(engine.step(now), Listen)


def test_credentials_that_are_refused_as_soon_as_they_are_taken_cause_no_storm():
    """A server that pulls and then closes is asked with waits that grow, and its rung is left like one that is cut."""
    engine, now = ladder(rungs=(Rung.WEBSOCKET, Rung.POLL)), 0.0
    seen = []
    engine.refused(now, HALF, refreshable=True)
    for _ in range(4):
        assert engine.step(now) == Refresh()
        engine.renewed(asked=True)
        seen.append(engine.step(now))
        engine.opened(now, HALF)
        engine.refused(now, HALF, refreshable=True)
        seen.append(engine.step(now))
        now += seen[-1].seconds
    assert seen == [TOP, Wait(3.0), TOP, Wait(6.0), TOP, Wait(12.0), Try(Rung.POLL), Wait(24.0)]


def test_a_stream_that_never_says_anything_is_left():
    """A proxy that keeps what it should pass on lets a stream open; the silence is no life, so the rung is no good."""
    engine, now = ladder(rungs=(Rung.SSE, Rung.LONG_POLL)), 0.0
    for _ in range(3):
        assert engine.step(now) == Try(Rung.SSE)
        engine.opened(now, HALF)
        now += 45.0
        engine.listened(45.0)
        engine.failed(now, HALF, Trouble.LOST)
        now += engine.step(now).seconds
    assert engine.step(now) == Try(Rung.LONG_POLL)


def test_a_stream_that_falls_silent_after_a_long_life_is_forgiven():
    """What was heard was life."""
    engine, now = ladder(rungs=(Rung.SSE, Rung.LONG_POLL)), 0.0
    for _ in range(9):
        engine.opened(now, HALF)
        engine.listened(40.0)
        engine.heard()
        engine.listened(45.0)
        engine.failed(now + 85.0, HALF, Trouble.LOST)
        assert engine.step(now + 85.0) == Wait(3.0)
        now += 88.0
    assert engine.step(now) == Try(Rung.SSE)


def test_a_refresh_that_fails_is_tried_again_later():
    """Who gives out credentials may be away as well."""
    engine = ladder(max_attempts=2)
    engine.refused(0.0, HALF, refreshable=True)
    engine.refresh_failed(0.0, HALF)
    assert engine.step(0.0) == Wait(3.0)
    engine.wake()
    assert engine.step(0.0) == Refresh()
    engine.refresh_failed(3.0, HALF)
    assert engine.step(9.0) == GiveUp(2)


def test_a_wait_ends_when_somebody_knows_better():
    """What tells that the network is back ends the wait; without one nothing changes."""
    engine = ladder()
    engine.wake()
    engine.failed(0.0, HALF, Trouble.UNREACHABLE)
    assert engine.step(0.0) == Wait(3.0)
    engine.wake()
    assert engine.step(0.0) == TOP


@pytest.mark.parametrize(("asked", "waited"), [(1.0, 3.0), (20.0, 20.0), (1e9, 3600.0)])
def test_the_servers_wish_is_the_least_that_is_waited(asked, waited):
    """Retry-After is honoured, within reason."""
    engine = ladder()
    engine.failed(0.0, HALF, Trouble.UNREACHABLE, at_least=asked)

    assert engine.step(0.0) == Wait(waited)


def test_what_comes_late_changes_nothing():
    """News of a connection that is gone is no news."""
    engine = ladder()
    engine.heard()
    engine.listened(5.0)
    engine.pulled(5.0)
    engine.climb()

    assert engine.step(0.0) == TOP


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ({"rungs": ()}, "rungs"),
        ({"rungs": (Rung.SSE, Rung.SSE)}, "rungs"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"falls_after": 0}, "falls_after"),
        ({"stable_after": -1.0}, "stable_after"),
        ({"heartbeat_timeout": 0.0}, "heartbeat_timeout"),
        ({"resync_every": math.nan}, "resync_every"),
        ({"poll_every": -1.0}, "poll_every"),
    ],
)
def test_settings_without_sense(setting, path):
    """Each is refused by its name."""
    with pytest.raises(ConfigError) as refused:
        LadderConfig(**setting)

    assert refused.value.path == path
