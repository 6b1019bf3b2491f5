"""Laws of configurations: written and read again they are the same, and what they describe can always be explained."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from outlast.policies import Pipeline
from outlast.registry import Registry

SECONDS = st.floats(0.01, 100.0).map(lambda value: round(value, 3))
COUNTS = st.integers(1, 20)
SHARES = st.floats(0.01, 0.99).map(lambda value: round(value, 2))


def entry(kind, **settings):
    """A policy with some of its settings."""
    return st.fixed_dictionaries({}, optional=settings).map(lambda chosen: {kind: chosen})


BACKOFF = st.fixed_dictionaries(
    {}, optional={"base": SECONDS, "factor": st.floats(1, 4), "jitter": st.sampled_from(["none", "full", "equal"])}
)
TRIP = st.one_of(
    COUNTS.map(lambda count: {"consecutive_failures": count}),
    st.tuples(SHARES, COUNTS).map(lambda pair: {"failure_rate": {"rate": pair[0], "over_calls": pair[1]}}),
    st.tuples(SHARES, SECONDS).map(lambda pair: {"failure_rate": {"rate": pair[0], "over_seconds": pair[1]}}),
    st.tuples(COUNTS, SECONDS).map(lambda pair: {"failures_within": {"threshold": pair[0], "seconds": pair[1]}}),
)
KINDS = [
    entry("retry", attempts=COUNTS, backoff=BACKOFF, idempotent=st.booleans(), stand_down=st.booleans()),
    entry("circuit_breaker", trip=TRIP, open_for=SECONDS, shadow=st.booleans()),
    entry("bulkhead", max_concurrent=COUNTS, max_waiting=COUNTS, max_wait=SECONDS),
    SECONDS.map(lambda seconds: {"timeout": seconds}),
    st.tuples(COUNTS, SECONDS).map(lambda pair: {"rate_limit": {"calls": pair[0], "per": pair[1]}}),
    entry("hedge", delay=SECONDS, max_hedges=COUNTS).map(
        lambda hedge: {"hedge": {**hedge["hedge"], "idempotent": True}}
    ),
    st.just({"fallback": {"value": 1}}),
]
ENTRIES = st.one_of(KINDS)
PAIRS = st.lists(st.one_of([st.tuples(kind, kind) for kind in KINDS]), min_size=1, max_size=4)
CONFIGS = st.lists(ENTRIES, max_size=6)


def make(config):
    """A pipeline that nobody else knows."""
    return Pipeline.from_config("p", config, registry=Registry())


@given(CONFIGS)
def test_written_and_read_again_it_is_the_same(config):
    """The shortest form is stable, is plain JSON, and describes the same policies."""
    pipeline = make(config)
    written = json.loads(json.dumps(pipeline.to_config()))
    again = make(written)

    assert again.to_config() == written
    assert [policy.describe() for policy in again.policies] == [policy.describe() for policy in pipeline.policies]
    assert again.explain() == pipeline.explain()


@given(CONFIGS)
def test_worst_case_is_a_bound_and_more_policies_inside_a_limit_stay_within(config):
    """The worst case is positive, and a limit around everything bounds it; amplification is not below one call."""
    worst = make(config).explain().worst
    limited = make([{"timeout": 1.5}, *config]).explain().worst

    assert worst.latency > 0
    assert worst.calls >= 1
    assert limited.latency == min(1.5, worst.latency)
    assert limited.calls == worst.calls
    assert math.isfinite(limited.latency)


@given(CONFIGS, CONFIGS)
def test_a_pipeline_in_a_pipeline_is_the_same_row(outer, inner):
    """The linter and the worst case see through pipelines: it does not matter how a row is cut."""
    registry = Registry()
    within = Pipeline.from_config("inner", inner, registry=registry)
    nested = Pipeline("outer", *make(outer).policies, within, registry=registry)
    flat = Pipeline("flat", *nested.policies[:-1], *within.policies, registry=registry)

    assert nested.lint() == flat.lint()
    assert nested.explain().worst == flat.explain().worst


@given(PAIRS)
def test_changing_to_other_settings_is_making_anew(pairs):
    """After reconfigure a pipeline describes itself as one made of the new settings."""
    pipeline, other = make([before for before, _ in pairs]), [after for _, after in pairs]

    pipeline.reconfigure(other)

    assert pipeline.to_config() == make(other).to_config()
    assert pipeline.explain() == make(other).explain()
