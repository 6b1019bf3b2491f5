import itertools

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
        (Jitter.ADDITIVE, 0.0, 10.0),
        (Jitter.ADDITIVE, 0.5, 10.05),
        (Jitter.DECORRELATED, 0.0, 10.0),
        (Jitter.DECORRELATED, 0.5, 20.0),
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


def test_linear():
    """Each wait is longer by the step, which is the first wait where nothing else is said."""
    waits = Backoff.linear(2.0, cap=7.0, jitter=Jitter.NONE)
    stepped = Backoff.linear(1.0, step=0.5, jitter=Jitter.NONE)

    assert [waits.wait(attempt, 0.5) for attempt in range(1, 6)] == [2.0, 4.0, 6.0, 7.0, 7.0]
    assert [stepped.wait(attempt, 0.5) for attempt in range(1, 4)] == [1.0, 1.5, 2.0]


def test_decorrelated_needs_the_wait_before():
    """A decorrelated wait lies between the base and three times the wait before it."""
    backoff = Backoff.decorrelated(1.0, cap=20.0)

    assert [backoff.wait(2, chance, previous=4.0) for chance in (0.0, 0.5, 1.0)] == [1.0, 6.5, 12.0]
    assert backoff.wait(9, 0.9, previous=19.0) == 20.0
    assert backoff.wait(3, 0.5, previous=0.0) == 1.0


def test_listed_waits():
    """Listed waits come in their order and the last repeats; an endless iterable is cut."""
    backoff = Backoff.of(iter([3, 1, 2]))

    assert [backoff.wait(attempt, 0.5) for attempt in range(1, 6)] == [3.0, 1.0, 2.0, 2.0, 2.0]
    assert Backoff.of([5, 50], cap=8.0).wait(2, 0.5) == 8.0
    assert Backoff.of([4], jitter=Jitter.FULL).wait(1, 0.25) == 1.0
    assert Backoff.of(itertools.count()).longest(2000) == 999.0


def test_listed_waits_that_make_no_sense():
    """No waits, negative waits, and waits that chance would not use are refused."""
    for make in (
        lambda: Backoff.of([]),
        lambda: Backoff.of([1, -1]),
        lambda: Backoff.of([1], jitter=Jitter.DECORRELATED),
    ):
        with pytest.raises(ConfigError, match=r"backoff\.waits"):
            make()


def test_more_than_one_second_may_be_added():
    """The amount of additive jitter is in seconds, so it may be above 1."""
    assert Backoff(base=1.0, jitter=Jitter.ADDITIVE, amount=3.0).wait(1, 0.5) == 2.5


@pytest.mark.parametrize(
    "options",
    [
        {"base": -1},
        {"factor": 0.5},
        {"cap": -1},
        {"amount": -0.1},
        {"amount": 1.1},
        {"step": -1},
        {"base": float("nan")},
    ],
    ids=repr,
)
def test_nonsense_is_refused(options):
    """Numbers that make no sense as waits are refused by name."""
    with pytest.raises(ConfigError, match=f"backoff.{next(iter(options))}"):
        Backoff(**options)
