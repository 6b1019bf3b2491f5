import math

import pytest

from outlast.engines import Freshness, Use
from outlast.errors import ConfigError

NUMBERS = Freshness(ttl=60, stale_while_revalidate=30, stale_if_error=600, negative_ttl=5)


@pytest.mark.parametrize(
    ("age", "use"),
    [
        (0.0, Use.FRESH),
        (59.9, Use.FRESH),
        (60.0, Use.REVALIDATE),
        (89.9, Use.REVALIDATE),
        (90.0, Use.FALLBACK),
        (659.9, Use.FALLBACK),
        (660.0, Use.EXPIRED),
    ],
)
def test_use(age, use):
    """A value goes from fresh over the two windows to expired; both windows begin at the end of the ttl."""
    assert NUMBERS.use(age) is use


@pytest.mark.parametrize(("age", "use"), [(4.9, Use.FRESH), (5.0, Use.REVALIDATE), (604.9, Use.FALLBACK)])
def test_negative_answers_age_faster(age, use):
    """An answer that there is no such thing has a time to live of its own."""
    assert NUMBERS.use(age, negative=True) is use


def test_for_ever():
    """An infinite window never ends."""
    freshness = Freshness(ttl=1, stale_if_error=math.inf)

    assert (freshness.use(1e12), freshness.keep_for) == (Use.FALLBACK, math.inf)


def test_keep_for():
    """A value is kept as long as anything may use it."""
    assert NUMBERS.keep_for == 660.0


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": -1},
        {"stale_while_revalidate": -1},
        {"stale_if_error": math.nan},
        {"negative_ttl": -1},
        {"load_timeout": 0},
        {"soft_timeout": -1},
    ],
    ids=repr,
)
def test_nonsense_is_refused(options):
    """Numbers that are no ages are refused by name."""
    with pytest.raises(ConfigError, match=f"freshness.{next(iter(options))}"):
        Freshness(**options)


def test_soft_timeout_may_be_off():
    """Without a soft limit a read waits to the end."""
    assert Freshness(soft_timeout=None).soft_timeout is None
