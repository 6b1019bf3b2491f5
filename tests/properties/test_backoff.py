import hypothesis.strategies as st
from hypothesis import given

from outlast.engines import Backoff, Jitter

# Plain floats are mostly far apart from each other; the listed ones meet at the edges.
SECONDS = st.sampled_from([0.0, 0.001, 0.5, 1.0, 7.0, 30.0, 1e6]) | st.floats(0, 1e6)
BACKOFFS = st.builds(
    Backoff,
    base=SECONDS,
    factor=st.sampled_from([1.0, 1.5, 2.0]) | st.floats(1, 100),
    cap=SECONDS,
    jitter=st.sampled_from(Jitter),
    amount=st.sampled_from([0.1, 1.0]) | st.floats(0, 1),
)
ATTEMPTS = st.integers(1, 5) | st.integers(1, 10_000)
CHANCES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.999]) | st.floats(0, 1, exclude_max=True)


@given(backoff=BACKOFFS, attempt=ATTEMPTS, chance=CHANCES)
def test_waits_are_between_nothing_and_the_cap(backoff, attempt, chance):
    """No wait is negative, and none is longer than the cap."""
    assert 0 <= backoff.wait(attempt, chance) <= backoff.cap


@given(backoff=BACKOFFS, attempt=ATTEMPTS, chance=CHANCES)
def test_waits_never_shrink(backoff, attempt, chance):
    """With the same luck a later attempt waits no less."""
    assert backoff.wait(attempt, chance) <= backoff.wait(attempt + 1, chance)


@given(backoff=BACKOFFS, attempt=ATTEMPTS, lower=CHANCES, higher=CHANCES)
def test_jitter_is_monotonic_in_chance(backoff, attempt, lower, higher):
    """A larger number of chance never makes a wait shorter."""
    lower, higher = sorted((lower, higher))
    assert backoff.wait(attempt, lower) <= backoff.wait(attempt, higher)


@given(backoff=BACKOFFS, base=SECONDS, steps=st.integers(0, 10_000))
def test_growth_is_bounded(backoff, base, steps):
    """Growth ends at the cap and never overflows."""
    assert min(base, backoff.cap) <= backoff.grow(base, steps) <= backoff.cap
