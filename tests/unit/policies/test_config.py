"""Pipelines from plain values and back, and what is said when they are wrong."""

import pytest

from outlast.errors import CircuitOpenError, ConfigError, DuplicateNameError
from outlast.policies import (
    Backoff,
    Bulkhead,
    CircuitBreaker,
    ConsecutiveFailures,
    FailureRate,
    Fallback,
    GradedRecovery,
    HalfOpen,
    Jitter,
    Pipeline,
    Retry,
    SlowCalls,
    Timeout,
)
from outlast.policies._budget import RetryBudget
from outlast.registry import Registry

WHOLE = [
    {"fallback": {"value": "nothing", "on": ["ConnectionError", "CircuitOpenError"]}},
    {"timeout": {"seconds": 3.0, "name": "total"}},
    {
        "retry": {
            "attempts": 4,
            "backoff": {"base": 0.05, "cap": 1.0, "jitter": "full"},
            "budget": {"ratio": 0.1},
            "idempotent": True,
        }
    },
    {
        "circuit_breaker": {
            "name": "payments",
            "open_for": 5.0,
            "trip": {
                "failure_rate": {"rate": 0.5, "over_seconds": 30.0, "min_calls": 20},
                "slow_calls": {"rate": 0.6, "slower_than": 0.5, "over_calls": 100},
            },
            "recovery": {"half_open": {"max_calls": 1, "success_threshold": 5}},
            "ignore": "KeyError",
        }
    },
    {"bulkhead": {"max_concurrent": 20, "order": "lifo"}},
    {"rate_limit": {"calls": 100.0, "burst": 5.0}},
    {"timeout": 0.8},
]


def make(config, **places):
    """Make a pipeline that nobody else knows."""
    return Pipeline.from_config("p", config, **{"registry": Registry(), **places})


def test_what_is_built_can_be_written_and_is_what_built_it():
    """The configuration of a pipeline is the one that it was made of."""
    pipeline = make(WHOLE)

    assert pipeline.to_config() == WHOLE
    assert make(pipeline.to_config()).explain() == pipeline.explain()


def test_settings_arrive():
    """Every setting reaches its policy, as the type that code would give."""
    fallback, total, retry, breaker, bulkhead, *_ = make(WHOLE).policies

    assert fallback.settings(defaults=False)["on"] == (ConnectionError, CircuitOpenError)
    assert (total.name, total.settings()["seconds"]) == ("total", 3.0)
    assert retry.settings()["backoff"] == Backoff(base=0.05, cap=1.0, jitter=Jitter.FULL)
    assert retry.settings()["budget"].config.ratio == 0.1
    assert breaker.settings()["trip"] == FailureRate(0.5, over_seconds=30.0, min_calls=20) | SlowCalls(
        0.6, slower_than=0.5, over_calls=100
    )
    assert breaker.settings()["recovery"] == HalfOpen(1, 5)
    assert breaker.settings()["ignore"] is KeyError
    assert bulkhead.settings()["order"] == "lifo"


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("retry", {"retry": None}),
        ({"retry": {}}, {"retry": None}),
        ({"retry": 5}, {"retry": 5}),
        ({"retry": {"attempts": 5}}, {"retry": 5}),
        ({"retry": {"budget": False}}, {"retry": {"budget": False}}),
        ({"retry": {"backoff": "250ms"}}, {"retry": {"backoff": 0.25}}),
        ({"retry": {"backoff": [1, "2s"]}}, {"retry": {"backoff": [1, 2.0]}}),
        ({"retry": {"max_elapsed": "1m"}}, {"retry": {"max_elapsed": 60.0}}),
        ({"retry": {"on": "TimeoutError"}}, {"retry": {"on": "TimeoutError"}}),
        ({"circuit_breaker": "db"}, {"circuit_breaker": "db"}),
        ({"circuit_breaker": {"shadow": True}}, {"circuit_breaker": {"shadow": True}}),
        ({"circuit_breaker": {"trip": "consecutive_failures"}}, {"circuit_breaker": {"trip": "consecutive_failures"}}),
        (
            {"circuit_breaker": {"trip": {"consecutive_failures": {"threshold": 7}}}},
            {"circuit_breaker": {"trip": {"consecutive_failures": 7}}},
        ),
        (
            {"circuit_breaker": {"recovery": "reset_after_cooldown"}},
            {"circuit_breaker": {"recovery": "reset_after_cooldown"}},
        ),
        (
            {"circuit_breaker": {"recovery": {"graded_recovery": {"start": "20%"}}}},
            {"circuit_breaker": {"recovery": {"graded_recovery": {"start": 0.2}}}},
        ),
        (
            {
                "circuit_breaker": {
                    "trip": [
                        {"failure_rate": {"rate": 0.9, "over_calls": 10}},
                        {"failure_rate": {"rate": 0.5, "over_calls": 99}},
                    ]
                }
            },
            {
                "circuit_breaker": {
                    "trip": [
                        {"failure_rate": {"rate": 0.9, "over_calls": 10}},
                        {"failure_rate": {"rate": 0.5, "over_calls": 99}},
                    ]
                }
            },
        ),
        ({"timeout": {"seconds": "800ms", "mode": "thread"}}, {"timeout": {"seconds": 0.8, "mode": "thread"}}),
        (
            {"hedge": {"delay": "50ms", "idempotent": True}},
            {"hedge": {"delay": 0.05, "idempotent": True}},
        ),
        ({"chaos": {"rate": "5%", "latency": [0, "1s"]}}, {"chaos": {"rate": 0.05, "latency": [0, 1.0]}}),
        ({"fallback": {"value": {"items": [1, None]}}}, {"fallback": {"value": {"items": [1, None]}}}),
    ],
)
def test_shortest_form(written, plain):
    """Each way to write something is understood, and written again in the shortest way, in seconds."""
    first = make([written]).to_config()

    assert first == [plain]
    assert make(first).to_config() == first


@pytest.mark.parametrize(
    ("config", "path", "said", "suggestion"),
    [
        ([{"retry": {"atempts": 3}}], "pipelines.p[0].retry.atempts", "unknown setting", "attempts"),
        ([{"retri": 3}], "pipelines.p[0].retri", "no such policy", "retry"),
        ([{"retry": {"attempts": "three"}}], "pipelines.p[0].retry.attempts", "a whole number, not 'three'", ""),
        ([{"retry": {"attempts": True}}], "pipelines.p[0].retry.attempts", "a whole number, not True", ""),
        ([{"retry": {"attempts": 0}}], "pipelines.p[0].retry.attempts", "at least 1", ""),
        (["retry", {"timeout": "3 parsecs"}], "pipelines.p[1].timeout.seconds", "a duration such as 30s", ""),
        ([{"timeout": -1}], "pipelines.p[0].timeout.seconds", "above 0", ""),
        ([{"timeout": None}], "pipelines.p[0].timeout", "needs seconds", ""),
        (
            [{"timeout": {"seconds": 1, "mode": "treads"}}],
            "pipelines.p[0].timeout.mode",
            "cooperative or thread",
            "thread",
        ),
        ([{"bulkhead": {"order": "fifi"}}], "pipelines.p[0].bulkhead.order", "fifo", ""),
        ([{"retry": {"backoff": {"jitter": "fll"}}}], "pipelines.p[0].retry.backoff.jitter", "must be none or", "full"),
        ([{"retry": {"backoff": {"base": -1}}}], "pipelines.p[0].retry.backoff.base", "at least 0", ""),
        ([{"retry": {"backoff": {"amount": 2}}}], "pipelines.p[0].retry.backoff.amount", "at most 1", ""),
        ([{"retry": {"idempotent": "yes"}}], "pipelines.p[0].retry.idempotent", "true or false", ""),
        ([{"retry": {"on": ["Connection"]}}], "pipelines.p[0].retry.on[0]", "the name of an exception", ""),
        ([{"retry": {"on": "print"}}], "pipelines.p[0].retry.on", "the name of an exception", ""),
        ([{"retry": {"again_if": 1}}], "pipelines.p[0].retry.again_if", "only code can give", ""),
        ([{"retry": {"clock": 1}}], "pipelines.p[0].retry.clock", "unknown setting", ""),
        (
            [{"circuit_breaker": {"trip": {"failure_rte": {}}}}],
            "pipelines.p[0].circuit_breaker.trip.failure_rte",
            "unknown rule",
            "failure_rate",
        ),
        (
            [{"circuit_breaker": {"trip": 5}}],
            "pipelines.p[0].circuit_breaker.trip",
            "must map a rule to its settings",
            "",
        ),
        (
            [{"circuit_breaker": {"trip": {"failure_rate": {}}}}],
            "pipelines.p[0].circuit_breaker.trip.failure_rate",
            "needs more settings",
            "",
        ),
        (
            [{"circuit_breaker": {"recovery": {"half_opn": 3}}}],
            "pipelines.p[0].circuit_breaker.recovery.half_opn",
            "unknown rule",
            "half_open",
        ),
        ([{"circuit_breaker": {"name": 3}}], "pipelines.p[0].circuit_breaker.name", "a text", ""),
        ([{"chaos": {"rate": 0.1, "latency": [1]}}], "pipelines.p[0].chaos.latency", "a list of 2", ""),
        ([{"hedge": {"targets": "a"}}], "pipelines.p[0].hedge.targets", "a list", ""),
        ([{"retry": 1, "timeout": 2}], "pipelines.p[0]", "must be one policy", ""),
        ([3], "pipelines.p[0]", "must be one policy", ""),
        ({"retry": 3}, "pipelines.p", "a list of policies", ""),
        ([{"pipeline": "inmer"}], "pipelines.p[0].pipeline", "no pipeline named 'inmer'", "inner"),
        ([{"pipeline": 3}], "pipelines.p[0].pipeline", "no pipeline named 3", ""),
    ],
)
def test_what_is_wrong_is_named(config, path, said, suggestion):
    """A mistake is answered with its path, what is expected, and a suggestion where one is near."""
    registry = Registry()
    inner = Pipeline("inner", registry=registry)
    with pytest.raises(ConfigError, match=said) as caught:
        make(config, registry=registry)

    assert inner.name == "inner"
    assert caught.value.path == path
    assert caught.value.suggestion == suggestion


def test_places_are_given_to_all(face):
    """Clock, chance and bus reach every policy, and the registry knows what has a name."""
    pipeline = make(
        [{"circuit_breaker": "db"}, {"timeout": {"seconds": 1, "mode": "cooperative"}}],
        registry=face.registry,
        **face.around,
    )
    for _ in range(5):
        with pytest.raises(ConnectionError):
            face.call(pipeline, face.function(fail))

    assert face.registry.get("circuit_breaker", "db") is pipeline.policies[0]
    assert "CircuitOpened" in face.seen.names
    with pytest.raises(DuplicateNameError):
        CircuitBreaker("db", registry=face.registry)


def fail():
    """Be away."""
    raise ConnectionError


def test_pipeline_in_a_pipeline():
    """A configuration may name a pipeline that is made already."""
    registry = Registry()
    inner = Pipeline("inner", Retry(2), registry=registry)
    outer = make([{"timeout": 3}, {"pipeline": "inner"}], registry=registry)

    assert outer.policies[1] is inner
    assert outer.to_config() == [{"timeout": 3}, {"pipeline": "inner"}]


@pytest.mark.parametrize(
    "policy", [Retry(on=lambda error: True), Fallback(function=fail), Timeout(1.0)], ids=["rule", "function", "fine"]
)
def test_what_only_code_can_say_cannot_be_written(policy):
    """A function has no plain form, and the error says where it is."""
    pipeline = Pipeline("p", policy, registry=Registry())
    if isinstance(policy, Timeout):
        assert pipeline.to_config() == [{"timeout": 1.0}]
    else:
        with pytest.raises(ConfigError, match="only be given in code") as caught:
            pipeline.to_config()
        assert caught.value.path.startswith("pipelines.p[0].")


def test_code_and_configuration_are_the_same():
    """What code makes can be written down, parts included."""
    pipeline = Pipeline(
        "p",
        Retry(5, backoff=Backoff(), budget=RetryBudget()),
        CircuitBreaker(trip=ConsecutiveFailures(3), recovery=GradedRecovery()),
        Bulkhead(max_concurrent=5, max_wait=None),
        registry=Registry(),
    )

    assert pipeline.to_config() == [
        {"retry": {"attempts": 5, "backoff": {}, "budget": {}}},
        {"circuit_breaker": {"trip": {"consecutive_failures": 3}, "recovery": "graded_recovery"}},
        {"bulkhead": 5},
    ]
    assert make(pipeline.to_config()).to_config() == pipeline.to_config()
