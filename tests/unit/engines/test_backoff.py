import pytest

from outlast.engines import Backoff, Jitter
from outlast.errors import ConfigError


@pytest.mark.parametrize(("attempt", "wait"), [(1, 1.0), (2, 2.0), (3, 4.0), (5, 16.0), (6, 30.0), (10_000, 30.0)])
def test_grows_up_to_the_cap(attempt, wait):
    """The wait doubles from attempt to attempt, up to the cap, however many there are."""
    assert Backoff(jitter=Jitter.NONE).wait(attempt, 0.5) == wait


@pytest.mark.parametrize(
    ("jitter", "chance", "wait"),
    [
        (Jitter.NONE, 0.9, 10.0),
        (Jitter.PROPORTIONAL, 0.0, 9.0),
        (Jitter.PROPORTIONAL, 0.5, 10.0),
        (Jitter.PROPORTIONAL, 1.0, 11.0),
        (Jitter.FULL, 0.0, 0.0),
        (Jitter.FULL, 0.25, 2.5),
        (Jitter.EQUAL, 0.0, 5.0),
        (Jitter.EQUAL, 1.0, 10.0),
    ],
)
def test_jitter(jitter, chance, wait):
    """Each kind of jitter spreads the wait in its own range."""
    assert Backoff(base=10.0, jitter=jitter).wait(1, chance) == pytest.approx(wait)


def test_cap_holds_after_the_jitter():
    """Chance never lengthens a wait beyond the cap."""
    assert Backoff(base=30.0, cap=30.0).wait(1, 0.999) == 30.0


def test_fixed_and_exponential():
    """The two short forms."""
    assert [Backoff.fixed(2.0).wait(attempt, 0.9) for attempt in (1, 5)] == [2.0, 2.0]
    assert Backoff.exponential(0.5, factor=3.0, cap=9.0) == Backoff(0.5, 3.0, 9.0, Jitter.FULL)


def test_nothing_stays_nothing():
    """A base of nothing never grows; a base above the cap is cut to it."""
    assert Backoff(base=0.0).wait(50, 0.5) == 0.0
    assert Backoff(base=5.0, factor=1.0, cap=2.0).grow(5.0, 3) == 2.0


@pytest.mark.parametrize(
    "options",
    [{"base": -1}, {"factor": 0.5}, {"cap": -1}, {"amount": -0.1}, {"amount": 1.1}, {"base": float("nan")}],
    ids=repr,
)
def test_nonsense_is_refused(options):
    """Numbers that make no sense as waits are refused by name."""
    with pytest.raises(ConfigError, match=f"backoff.{next(iter(options))}"):
        Backoff(**options)
