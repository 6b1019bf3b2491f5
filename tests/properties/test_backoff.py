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
    step=st.just(0.0) | SECONDS,
)
LISTED = st.builds(
    Backoff.of,
    st.lists(SECONDS, min_size=1, max_size=6),
    cap=st.none() | SECONDS,
    jitter=st.sampled_from([jitter for jitter in Jitter if jitter is not Jitter.DECORRELATED]),
)
ATTEMPTS = st.integers(1, 5) | st.integers(1, 10_000)
CHANCES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.999]) | st.floats(0, 1, exclude_max=True)


@given(backoff=BACKOFFS | LISTED, attempt=ATTEMPTS, chance=CHANCES, previous=st.none() | SECONDS)
def test_waits_are_between_nothing_and_the_cap(backoff, attempt, chance, previous):
    """No wait is negative, and none is longer than the cap."""
    assert 0 <= backoff.wait(attempt, chance, previous) <= backoff.cap


@given(backoff=BACKOFFS | LISTED, chances=st.lists(CHANCES, min_size=1, max_size=12))
def test_no_wait_is_longer_than_said(backoff, chances):
    """Whatever chance says, the wait after each attempt is within the bound that the worst case counts with."""
    previous = None
    for attempt, chance in enumerate(chances, 1):
        previous = backoff.wait(attempt, chance, previous)
        assert previous <= backoff.longest(attempt) * (1 + 1e-9)


BOUNDS = {
    Jitter.NONE: lambda b, plan, before: (plan, plan),
    Jitter.PROPORTIONAL: lambda b, plan, before: (plan * (1 - b.amount), plan * (1 + b.amount)),
    Jitter.FULL: lambda b, plan, before: (0, plan),
    Jitter.EQUAL: lambda b, plan, before: (plan / 2, plan),
    Jitter.ADDITIVE: lambda b, plan, before: (plan, plan + b.amount),
    Jitter.DECORRELATED: lambda b, plan, before: (b.base, max(b.base, 3 * before)),
}


@given(
    base=SECONDS,
    factor=st.sampled_from([1.0, 1.5, 2.0]),
    step=SECONDS,
    jitter=st.sampled_from(Jitter),
    amount=st.floats(0, 1),
    attempt=st.integers(1, 12),
    chance=CHANCES,
    before=SECONDS,
)
def test_each_jitter_keeps_its_bounds(base, factor, step, jitter, amount, attempt, chance, before):
    """Without a cap in the way, each kind of jitter spreads the planned wait over exactly its own range."""
    backoff = Backoff(base, factor, 1e30, jitter, amount, step)
    plan = base * factor ** (attempt - 1) + step * (attempt - 1)
    least, most = BOUNDS[jitter](backoff, plan, before)
    wait = backoff.wait(attempt, chance, before)

    assert least * (1 - 1e-9) <= wait <= most * (1 + 1e-9)


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
