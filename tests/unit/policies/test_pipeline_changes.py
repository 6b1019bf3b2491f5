"""Settings of a pipeline that change while it runs."""

import pytest

from outlast.errors import ConfigError
from outlast.policies import CircuitState, Pipeline
from outlast.registry import Registry


def make(face, *config):
    """Make a pipeline on the scenario's clock."""
    return Pipeline.from_config("p", config, registry=face.registry, **face.around)


def test_counts_survive(face):
    """What was counted counts under the new settings too, in functions that are decorated already."""
    pipeline = make(face, {"circuit_breaker": {"failure_threshold": 5}}, {"bulkhead": 3})
    breaker = pipeline.policies[0]
    face.fail(pipeline, 2)

    assert pipeline.reconfigure([{"circuit_breaker": {"failure_threshold": 3}}, {"bulkhead": 7}]) == ()
    face.fail(pipeline, 1)

    assert breaker.state is CircuitState.OPEN
    assert pipeline.policies[1].snapshot().max_concurrent == 7
    assert pipeline.to_config() == [{"circuit_breaker": {"failure_threshold": 3}}, {"bulkhead": 7}]


def test_what_is_not_named_has_its_default_again(face):
    """A new configuration is the whole of it."""
    pipeline = make(face, {"circuit_breaker": {"failure_threshold": 2, "open_for": 5}})
    pipeline.reconfigure(["circuit_breaker"])

    assert pipeline.policies[0].settings()["open_for"] == 30.0
    assert pipeline.to_config() == [{"circuit_breaker": None}]


def test_a_rule_replaces_its_short_form(face):
    """A trip rule takes the place of failure_threshold, and the other way round."""
    pipeline = make(face, {"circuit_breaker": {"failure_threshold": 2}})
    rule = [{"circuit_breaker": {"trip": {"failure_rate": {"rate": 0.5, "over_calls": 9}}}}]

    lost = pipeline.reconfigure(rule)

    assert len(lost) == 1
    assert "begins with an empty window" in lost[0]
    assert pipeline.to_config() == rule
    pipeline.policies[0].reconfigure(failure_threshold=4)
    assert pipeline.to_config() == [{"circuit_breaker": {"failure_threshold": 4}}]


def test_budget_keeps_what_is_saved_up(face):
    """A budget changes in place."""
    pipeline = make(face, {"retry": {"budget": {"ratio": 0.5, "reserve": 10}}})
    budget = pipeline.policies[0].settings()["budget"]
    budget.take()

    pipeline.reconfigure([{"retry": {"budget": {"ratio": 0.1, "reserve": 10}}}])

    assert pipeline.policies[0].settings()["budget"] is budget
    assert (budget.config.ratio, budget.snapshot().taken) == (0.1, 1)


@pytest.mark.parametrize(
    "entry",
    [
        {"retry": {"attempts": 5, "backoff": {"base": 2}, "max_elapsed": 9, "max_retry_after": 3, "idempotent": True}},
        {"timeout": {"seconds": 2}},
        {"bulkhead": {"max_concurrent": 3, "max_waiting": 1, "max_wait": 2, "order": "lifo"}},
        {"rate_limit": {"calls": 3, "per": 2, "burst": 2, "max_wait": 1}},
        {"hedge": {"delay": 0.5, "max_hedges": 2, "idempotent": True}},
        {"hedge": {"quantile": 0.5, "min_samples": 9, "idempotent": True}},
        {"chaos": {"rate": 0.5, "latency": 2, "max_injections": 4}},
        {"adaptive_limit": {"max_limit": 50, "tolerance": 3.0}},
        {"adaptive_throttle": {"k": 1.5, "max_chance": 0.5}},
        {"circuit_breaker": {"open_for": 9, "open_jitter": 0.5, "shadow": True, "recovery": {"half_open": 1}}},
    ],
    ids=lambda entry: next(iter(entry)),
)
def test_every_policy_changes_there_and_back(face, entry):
    """From the bare policy to all its settings and back, at run time, whatever the policy."""
    (kind,) = entry
    bare = {
        "timeout": {"timeout": 1},
        "rate_limit": {"rate_limit": 1},
        "chaos": {"chaos": {"rate": 0.1, "latency": 1}},
        "hedge": {"hedge": {"idempotent": True}},
    }.get(kind, {kind: None})
    pipeline = make(face, bare)

    pipeline.reconfigure([entry])
    assert pipeline.to_config() == make_again(entry).to_config()
    pipeline.reconfigure([bare])
    assert pipeline.to_config() == [bare]


def make_again(entry):
    """A new pipeline of the same settings."""
    return Pipeline.from_config("again", [entry], registry=Registry())


def test_what_code_gave_stays(face):
    """A function that no configuration could name is left as it is."""
    pipeline = make(face, {"retry": 3})
    rule = pipeline.policies[0].fresh().settings()["on"]
    pipeline = Pipeline("q", type(pipeline.policies[0])(3, on=keep), registry=face.registry)

    pipeline.reconfigure([{"retry": 4}])

    assert rule is None
    assert pipeline.policies[0].settings()["on"] is keep
    assert pipeline.policies[0].settings()["attempts"] == 4


def keep(error):
    """Decide nothing."""


@pytest.mark.parametrize(
    ("config", "path", "said"),
    [
        (["retry", {"timeout": 2}, "circuit_breaker"], "pipelines.p", "there are timeout > retry > circuit_breaker"),
        ([{"timeout": 2}, {"retry": 4}], "pipelines.p", "only settings can change"),
        ([{"timeout": 2}, {"retry": 4}, {"circuit_breaker": {"open_for": 0}}], "pipelines.p[2]", "above 0"),
    ],
)
def test_nothing_changes_when_something_is_wrong(face, config, path, said):
    """A wrong configuration is refused as a whole."""
    pipeline = make(face, {"timeout": 1}, {"retry": 3}, "circuit_breaker")
    before = pipeline.to_config()

    with pytest.raises(ConfigError, match=said) as caught:
        pipeline.reconfigure(config)

    assert caught.value.path.startswith(path)
    assert pipeline.to_config() == before


def test_what_cannot_change_takes_the_rest_back(face):
    """When a policy cannot change while it runs, those before it have their settings again."""
    pipeline = make(face, {"retry": 2}, {"fallback": {"value": 1}})

    with pytest.raises(ConfigError, match="cannot") as caught:
        pipeline.reconfigure([{"retry": 4}, {"fallback": {"value": 2}}])

    assert caught.value.path == "pipelines.p[1].fallback"
    assert pipeline.to_config() == [{"retry": 2}, {"fallback": 1}]


def test_inner_pipelines_stay(face):
    """A pipeline inside is changed by itself."""
    inner = make(face, {"retry": 3})
    outer = Pipeline.from_config("outer", [{"timeout": 1}, {"pipeline": "p"}], registry=face.registry)

    outer.reconfigure([{"timeout": 2}, {"pipeline": "p"}])
    inner.reconfigure([{"retry": 5}])
    outer.policies[0].reconfigure(9)

    assert outer.to_config() == [{"timeout": 9}, {"pipeline": "p"}]
    assert outer.explain().worst.calls == 5


def test_settings_of_a_policy_that_cannot_change():
    """A policy without settings to change says so, and an unknown one is named."""
    pipeline = Pipeline("p", registry=Registry())
    policy = type(Pipeline.from_config("q", [{"fallback": {"value": 1}}], registry=Registry()).policies[0])(value=1)

    assert policy.reconfigure() is None
    with pytest.raises(ConfigError, match="unknown setting"):
        policy.reconfigure(valu=2)
    assert pipeline.reconfigure([]) == ()
