"""Laws of the one function that decides whether a failed attempt is followed by another."""

import hypothesis.strategies as st
from hypothesis import given

from outlast.engines import Backoff, RetryConfig
from outlast.engines.retry import Failure, Stop, Wait, decide
from outlast.errors import Category, Classification, Outcome

# Plain floats are mostly far apart from each other; the listed ones meet at the edges.
SECONDS = st.sampled_from([0.0, 0.5, 1.0, 2.0, 30.0, 120.0]) | st.floats(0, 1000)
MAYBE_SECONDS = st.none() | SECONDS
CONFIGS = st.builds(
    RetryConfig,
    attempts=st.integers(1, 4),
    backoff=st.builds(Backoff, base=SECONDS, cap=SECONDS),
    max_retry_after=SECONDS,
    max_elapsed=st.none() | st.sampled_from([1.0, 60.0]) | st.floats(0.001, 1000),
    idempotent=st.none() | st.booleans(),
)
FAILURES = st.builds(
    Failure,
    attempt=st.integers(1, 5),
    meaning=st.builds(
        Classification, st.sampled_from(Category), st.sampled_from(Outcome), st.none(), retry_after=MAYBE_SECONDS
    ),
    listed=st.none() | st.booleans(),
    elapsed=SECONDS,
    remaining=MAYBE_SECONDS,
    rejected=st.booleans(),
)
CHANCES = st.floats(0, 1, exclude_max=True)

# What would be tried again but for its outcome; among wholly random failures these are rare.
HOPEFUL_CONFIGS = st.builds(RetryConfig, attempts=st.integers(2, 4), idempotent=st.none() | st.booleans())
HOPEFUL = st.builds(
    Failure,
    attempt=st.just(1),
    meaning=st.builds(
        Classification, st.sampled_from([Category.RETRIABLE, Category.TRANSIENT]), st.sampled_from(Outcome)
    ),
    listed=st.none() | st.just(True),
    elapsed=SECONDS,
    remaining=st.none(),
)


@given(config=CONFIGS, failure=FAILURES, chance=CHANCES)
def test_never_more_attempts_than_allowed(config, failure, chance):
    """After the last attempt there is no other."""
    if failure.attempt >= config.attempts:
        assert isinstance(decide(config, failure, chance), Stop)


@given(config=CONFIGS, failure=FAILURES, chance=CHANCES)
def test_a_wait_fits_every_limit(config, failure, chance):
    """A wait is at least the Retry-After, within its cap, and ends before every limit."""
    step = decide(config, failure, chance)
    if isinstance(step, Wait):
        assert step.seconds >= (failure.meaning.retry_after or 0.0)
        assert step.seconds <= max(config.backoff.cap, config.max_retry_after)
        assert failure.remaining is None or step.seconds < failure.remaining
        assert config.max_elapsed is None or failure.elapsed + step.seconds < config.max_elapsed


@given(config=CONFIGS | HOPEFUL_CONFIGS, failure=FAILURES | HOPEFUL, chance=CHANCES)
def test_what_took_place_is_never_repeated(config, failure, chance):
    """An effect that took place, or that the author forbids to repeat, is not sent again."""
    forbidden = failure.meaning.outcome is Outcome.APPLIED or (
        failure.meaning.outcome is Outcome.IN_DOUBT and config.idempotent is False
    )
    step = decide(config, failure, chance)

    assert isinstance(step, Stop) or not forbidden


@given(config=CONFIGS, failure=FAILURES, chance=CHANCES)
def test_only_what_may_help_is_repeated(config, failure, chance):
    """Without the user's word only retriable and transient failures are tried again; against it none."""
    step = decide(config, failure, chance)
    if isinstance(step, Wait):
        assert failure.listed or (failure.listed is None and failure.meaning.retryable)


@given(config=CONFIGS, failure=FAILURES, chance=CHANCES)
def test_rejections_need_a_limit(config, failure, chance):
    """What was refused before it ran is tried again only within a limit, or by the user's word."""
    step = decide(config, failure, chance)
    if isinstance(step, Wait) and failure.rejected:
        assert failure.listed or failure.remaining is not None or config.max_elapsed is not None


@given(config=CONFIGS, failure=FAILURES, chance=CHANCES)
def test_a_stop_says_why(config, failure, chance):
    """Every refusal has a reason in words."""
    step = decide(config, failure, chance)
    assert isinstance(step, Wait) or step.reason
