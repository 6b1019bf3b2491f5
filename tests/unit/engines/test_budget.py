import pytest

from outlast.engines.budget import BudgetConfig, BudgetEngine, BudgetSnapshot
from outlast.errors import ConfigError


def take_all(engine, now):
    """Take until it refuses, and say how many were taken."""
    taken = 0
    while engine.take(now):
        taken += 1
    return taken


def test_a_new_client_has_the_reserve():
    """At first the whole reserve can be taken, however late the first question comes."""
    assert take_all(BudgetEngine(BudgetConfig()), 0.0) == 100
    assert take_all(BudgetEngine(BudgetConfig()), 1e9) == 100


def test_calls_pay_in():
    """Five calls pay for one retry."""
    engine = BudgetEngine(BudgetConfig(per_second=0.0))
    take_all(engine, 0.0)
    engine.calls += 26

    assert take_all(engine, 0.0) == 5


def test_time_pays_in():
    """A quiet client may retry ten times a second."""
    engine = BudgetEngine(BudgetConfig())
    take_all(engine, 0.0)

    assert take_all(engine, 2.5) == 25


def test_no_more_than_the_reserve_is_saved():
    """A long calm does not allow a larger storm."""
    engine = BudgetEngine(BudgetConfig(reserve=7.0))
    engine.take(0.0)
    engine.calls += 10**6

    assert take_all(engine, 1e6) == 7


def test_a_clock_that_goes_back_pays_nothing():
    """An earlier moment than the last adds nothing, and the time until the last is not paid twice."""
    engine = BudgetEngine(BudgetConfig())
    take_all(engine, 10.0)

    assert take_all(engine, 5.0) == 0
    assert take_all(engine, 10.5) == 5


def test_snapshot():
    """The snapshot shows what could be taken and what was."""
    engine = BudgetEngine(BudgetConfig(reserve=2.0, per_second=0.0))
    take_all(engine, 0.0)
    engine.calls += 1

    assert engine.snapshot(0.0) == BudgetSnapshot(balance=0.2, calls=1, taken=2, refused=1)


@pytest.mark.parametrize(
    "options", [{"ratio": -0.1}, {"per_second": -1}, {"reserve": 0.5}, {"ratio": float("nan")}], ids=repr
)
def test_nonsense_is_refused(options):
    """Numbers that make no sense are refused by name."""
    with pytest.raises(ConfigError, match=f"budget.{next(iter(options))}"):
        BudgetConfig(**options)
