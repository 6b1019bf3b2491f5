import pytest

from outlast.engines import RateConfig, Refusal
from outlast.engines.rate import RateEngine
from outlast.errors import ConfigError


def turns(engine, now, *costs):
    """Ask at one moment for calls of several costs; return the seconds until their turns."""
    return [engine.ask(now, cost).left(now) for cost in costs]


def test_burst_then_one_each_interval():
    """A burst passes at once, and then one call each interval."""
    engine = RateEngine(RateConfig(10, burst=3, max_wait=9.0))

    assert turns(engine, 5.0, 1, 1, 1, 1, 1) == [0, 0, 0, pytest.approx(0.1), pytest.approx(0.2)]


def test_refused_beyond_max_wait():
    """A call whose turn lies too far away is refused and takes no place."""
    engine = RateEngine(RateConfig(1, burst=1, max_wait=1.0))
    turns(engine, 0.0, 1, 1)

    assert engine.ask(0.0) == Refusal(2.0)
    assert engine.ask(1.0).left(1.0) == 1.0
    assert engine.snapshot(1.0).rejected == 1


def test_a_deadline_shortens_the_wait():
    """What the caller may wait counts where it is shorter."""
    engine = RateEngine(RateConfig(1, burst=1, max_wait=9.0))
    engine.ask(0.0)

    assert engine.ask(0.0, 1, 0.5) == Refusal(1.0)
    assert engine.ask(0.0, 1, 1.0).left(0.0) == 1.0


def test_a_pause_saves_up_to_the_burst():
    """However long nothing came, no more than the burst passes at once."""
    engine = RateEngine(RateConfig(2, burst=2))
    turns(engine, 0.0, 1, 1)

    assert turns(engine, 1000.0, 1, 1) == [0, 0]
    assert isinstance(engine.ask(1000.0), Refusal)


def test_exactly_at_the_interval():
    """A call that comes after exactly one interval passes, whatever floats make of it."""
    engine = RateEngine(RateConfig(10, burst=1))

    for step in range(1000):
        assert engine.ask(1000.0 + step * 0.1).left(1000.0 + step * 0.1) == 0


def test_cost():
    """A call may count for several, or for none."""
    engine = RateEngine(RateConfig(4, max_wait=9.0))

    assert turns(engine, 0.0, 3, 0, 2, 4) == [0, 0, 0.25, 1.25]


@pytest.mark.parametrize("cost", [-1, float("nan"), 4.5], ids=repr)
def test_cost_that_can_never_pass(cost):
    """A cost that makes no sense, or that exceeds the burst, is refused as a mistake."""
    with pytest.raises(ConfigError, match="cost"):
        RateEngine(RateConfig(4)).ask(0.0, cost)


def queued():
    """Make an engine with three calls that wait for 1, 2 and 3 seconds."""
    engine = RateEngine(RateConfig(1, burst=1, max_wait=9.0))
    engine.ask(0.0)
    return engine, [engine.ask(0.0) for _ in range(3)]


def test_who_leaves_lets_the_others_move_up():
    """The place of a caller that went away goes to those behind it, and only to those."""
    engine, (first, second, third) = queued()

    assert engine.give_back(second, 0.5) == [third]
    assert (first.turn, third.turn) == (1.0, 2.0)
    assert engine.snapshot(0.5).waiting == 2
    assert engine.ask(0.5).turn == 3.0


def test_a_turn_that_has_come_is_used_up():
    """Going away after the turn has come gives nothing back; nor does going away twice."""
    engine, (first, second, third) = queued()

    assert engine.give_back(first, 1.0) == []
    assert engine.give_back(third, 1.0) == []
    assert engine.give_back(third, 1.0) == []
    assert second.turn == 2.0
    assert engine.snapshot(1.0).passed == 3


def test_a_higher_rate_moves_everybody_up():
    """With another rate as many calls as were used up stay used up, and those who wait get new turns."""
    engine, tickets = queued()

    assert engine.reconfigure(RateConfig(10, burst=1, max_wait=9.0), 0.5) == tickets
    assert [ticket.turn for ticket in tickets] == pytest.approx([0.55, 0.65, 0.75])


def test_a_lower_rate_moves_them_back():
    """With a lower rate the turns of those who wait come later, and nobody need be woken for that."""
    engine, tickets = queued()

    assert engine.reconfigure(RateConfig(0.5, burst=1, max_wait=9.0), 0.5) == []
    assert [ticket.turn for ticket in tickets] == [1.5, 3.5, 5.5]


def test_a_burst_too_small_for_one_that_waits():
    """A burst that one of those who wait could never pass is refused."""
    engine = RateEngine(RateConfig(4, max_wait=9.0))
    turns(engine, 0.0, 4, 3)

    with pytest.raises(ConfigError, match="burst"):
        engine.reconfigure(RateConfig(4, burst=2), 0.0)


def test_snapshot():
    """It shows what could pass now and what has."""
    engine = RateEngine(RateConfig(2, burst=3, max_wait=0.5))
    assert engine.snapshot(7.0).available == 3
    turns(engine, 7.0, 1, 1, 1, 1)
    engine.ask(7.0)
    assert (engine.snapshot(7.0).available, engine.snapshot(7.0).waiting) == (0, 1)
    snapshot = engine.snapshot(8.0)

    assert (snapshot.available, snapshot.waiting, snapshot.passed, snapshot.rejected) == (1.0, 0, 4, 1)


@pytest.mark.parametrize(
    "options",
    [{"calls": 0}, {"calls": float("inf")}, {"per": 0}, {"burst": 0.5}, {"max_wait": -1}, {"max_wait": float("nan")}],
    ids=repr,
)
def test_nonsense_is_refused(options):
    """A rate that lets nothing pass is refused."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        RateConfig(**{"calls": 1, **options})
