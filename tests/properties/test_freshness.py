import math

import hypothesis.strategies as st
from hypothesis import given

from outlast.engines import Freshness, Use

SECONDS = st.floats(0, 1e6)
FRESHNESS = st.builds(
    Freshness,
    ttl=SECONDS,
    stale_while_revalidate=SECONDS,
    stale_if_error=SECONDS | st.just(math.inf),
    negative_ttl=SECONDS,
)
ORDER = list(Use)


@given(freshness=FRESHNESS, younger=SECONDS, older=SECONDS, negative=st.booleans())
def test_a_value_never_gets_younger(freshness, younger, older, negative):
    """With age a value may be used for less and less, never for more again."""
    younger, older = sorted((younger, older))
    before, after = (ORDER.index(freshness.use(age, negative=negative)) for age in (younger, older))

    assert before <= after


@given(freshness=FRESHNESS, age=SECONDS, negative=st.booleans())
def test_what_is_of_use_is_kept(freshness, age, negative):
    """Nothing that may still be answered has outlived `keep_for`."""
    if freshness.use(age, negative=negative) is not Use.EXPIRED:
        assert age <= freshness.keep_for


@given(freshness=FRESHNESS, age=SECONDS)
def test_fresh_means_younger_than_its_ttl(freshness, age):
    """A value is fresh exactly until its time to live is over."""
    assert (freshness.use(age) is Use.FRESH) == (age < freshness.ttl)
