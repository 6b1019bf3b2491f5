import pytest

from outlast.engines.adaptive_throttle import AdaptiveThrottleConfig, AdaptiveThrottleEngine
from outlast.engines.breaker_records import Verdict
from outlast.errors import ConfigError

OK, BAD, NOTHING = Verdict.SUCCESS, Verdict.FAILURE, Verdict.IGNORED


def make(ok=0, bad=0, level=0, **options):
    """Make an engine that has seen some calls at second 0."""
    engine = AdaptiveThrottleEngine(AdaptiveThrottleConfig(**{"min_calls": 0, "max_chance": 1.0, **options}))
    for verdict, times in ((OK, ok), (BAD, bad)):
        for _ in range(times):
            engine.settle(0.0, level, verdict)
    return engine


@pytest.mark.parametrize(
    ("ok", "bad", "k", "chance"),
    [
        pytest.param(0, 0, 2.0, 0.0, id="nothing-seen"),
        pytest.param(10, 0, 2.0, 0.0, id="all-accepted"),
        pytest.param(10, 10, 2.0, 0.0, id="half-accepted"),
        pytest.param(10, 29, 2.0, 19 / 40, id="a-quarter-accepted"),
        pytest.param(0, 9, 2.0, 0.9, id="none-accepted"),
        pytest.param(10, 9, 1.1, 8 / 20, id="smaller-k"),
    ],
)
def test_the_formula(ok, bad, k, chance):
    """The chance is (requests - k * accepts) / (requests + 1), and not below 0."""
    engine = make(ok, bad, k=k)

    assert engine.chance(0.0) == pytest.approx(chance)
    assert engine.shedding is (chance > 0)


def test_refused_calls_are_requests():
    """A call that is refused here makes the share of accepted ones smaller."""
    engine = make(2, 7)
    assert engine.refuses(0.0, 0, 0.49)
    assert not engine.refuses(0.0, 0, 0.99)

    snapshot = engine.snapshot(0.0)
    assert (snapshot.requests, snapshot.accepts, snapshot.rejected) == (10, 2, 1)


def test_cancelled_calls_are_no_requests():
    """A call from which nothing is learnt is not counted."""
    engine = make(1, 1)
    engine.settle(0.0, 0, NOTHING)

    assert engine.requests == 2


def test_too_few_calls_say_nothing():
    """With fewer than `min_calls` nothing is refused."""
    engine = make(0, 9, min_calls=10)
    assert engine.chance(0.0) == 0
    engine.settle(0.0, 0, BAD)

    assert engine.chance(0.0) == pytest.approx(10 / 11)


def test_some_always_pass():
    """The share that is refused has a limit, so that recovery is noticed."""
    assert make(0, 1000, max_chance=0.9).chance(0.0) == 0.9


@pytest.mark.parametrize(("now", "requests"), [(0.0, 9), (54.9, 9), (60.0, 0)])
def test_old_calls_are_forgotten(now, requests):
    """After the window a call no longer counts."""
    engine = make(3, 6)

    assert (engine.snapshot(now).requests, engine.snapshot(now).accepts) == (requests, requests / 3)


def test_classes_are_shed_in_order():
    """What the formula wants to refuse is taken from the least important; others only when that is not enough."""
    engine = make(0, 0)
    for level, ok, bad in ((-20, 0, 40), (0, 10, 30), (10, 15, 4)):
        for verdict, times in ((OK, ok), (BAD, bad)):
            for _ in range(times):
                engine.settle(0.0, level, verdict)
    wanted = (99 - 50) / 100 * 99  # calls, of which 40 are the lowest class

    assert engine.chance_of(0.0, -20) == 1.0
    assert engine.chance_of(0.0, 0) == pytest.approx((wanted - 40) / 40)
    assert engine.chance_of(0.0, 10) == 0.0
    assert (engine.chance_of(0.0, -99), engine.chance_of(0.0, 99), engine.chance_of(0.0, -5)) == (1.0, 0.0, 1.0)


def test_levels_that_are_gone_are_forgotten():
    """A class that was not seen for the length of the window leaves nothing behind."""
    engine = make(1, 0, level=-20)
    engine.settle(30.0, 0, OK)
    engine.chance(65.0)

    assert list(engine._by_level) == [0]


def test_reconfigure_keeps_the_counts():
    """Other settings apply to what is counted already, also when the window gets another length."""
    engine = make(5, 15)
    engine.reconfigure(AdaptiveThrottleConfig(k=4.0), 1.0)
    assert (engine.requests, engine.chance(1.0), engine.shedding) == (20, 0, False)
    engine.reconfigure(AdaptiveThrottleConfig(over_seconds=10.0), 1.0)

    assert (engine.requests, engine.accepts, engine.shedding) == (20, 5, True)
    assert engine.chance(11.5) == 0


@pytest.mark.parametrize(
    "options", [{"k": 0.9}, {"over_seconds": 0}, {"min_calls": -1}, {"max_chance": 1.1}, {"k": float("nan")}], ids=repr
)
def test_nonsense_is_refused(options):
    """Settings that would refuse what is accepted are refused themselves."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        AdaptiveThrottleConfig(**options)
