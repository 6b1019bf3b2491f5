import math

import pytest

from outlast.engines import Backoff, RetryConfig
from outlast.engines.retry import Failure, Stop, Wait, decide
from outlast.engines.worst import Worst
from outlast.errors import UNKNOWN, Category, Classification, ConfigError, Outcome

RETRIABLE = Classification(Category.RETRIABLE, Outcome.NOT_APPLIED)
DOUBT = Classification(Category.RETRIABLE, Outcome.IN_DOUBT)


def failure(**fields):
    """Describe a first failure that may be tried again."""
    base = {"attempt": 1, "meaning": RETRIABLE, "listed": None, "elapsed": 0.0, "remaining": None}
    return Failure(**{**base, **fields})


def after(seconds, category=Category.TRANSIENT):
    """Mean a server that asks to wait."""
    return Classification(category, Outcome.NOT_APPLIED, 429, seconds)


@pytest.mark.parametrize(
    ("config", "fields", "wait"),
    [
        pytest.param({}, {}, 1.0, id="first"),
        pytest.param({}, {"attempt": 2}, 2.0, id="second"),
        pytest.param({}, {"meaning": after(9.0)}, 9.0, id="retry-after-is-a-floor"),
        pytest.param({}, {"meaning": after(0.1)}, 1.0, id="backoff-is-a-floor-too"),
        pytest.param({}, {"meaning": after(120.0)}, 120.0, id="retry-after-at-the-cap"),
        pytest.param({}, {"meaning": UNKNOWN, "listed": True}, 1.0, id="listed"),
        pytest.param({}, {"meaning": DOUBT}, 1.0, id="in-doubt"),
        pytest.param({"idempotent": True}, {"meaning": DOUBT}, 1.0, id="in-doubt-and-idempotent"),
        pytest.param({"idempotent": False}, {}, 1.0, id="not-applied"),
        pytest.param({"max_elapsed": 5.0}, {"elapsed": 3.9}, 1.0, id="within-max-elapsed"),
        pytest.param({}, {"remaining": 1.1}, 1.0, id="within-the-deadline"),
        pytest.param({}, {"rejected": True, "remaining": 9.0}, 1.0, id="rejected-with-deadline"),
        pytest.param({"max_elapsed": 9.0}, {"rejected": True}, 1.0, id="rejected-with-max-elapsed"),
        pytest.param({}, {"rejected": True, "listed": True}, 1.0, id="rejected-and-listed"),
        pytest.param({"stand_down": False}, {"given_up": True}, 1.0, id="given-up-inside-but-told-otherwise"),
        pytest.param({"stand_down": False}, {"retried_above": True}, 1.0, id="retried-above-but-told-otherwise"),
        pytest.param(
            {"backoff": Backoff.decorrelated()}, {"attempt": 2, "previous": 5.0}, 8.0, id="the-wait-before-counts"
        ),
    ],
)
def test_goes_on(config, fields, wait):
    """What may help is tried again, after the right wait."""
    assert decide(RetryConfig(**config), failure(**fields), 0.5) == Wait(wait)


@pytest.mark.parametrize(
    ("config", "fields", "reason"),
    [
        pytest.param({}, {"attempt": 3}, "all 3 attempts were used", id="used-up"),
        pytest.param({"attempts": 1}, {}, "only one attempt is allowed", id="just-one"),
        pytest.param({}, {"meaning": UNKNOWN}, "nothing says that a repetition helps", id="unknown"),
        pytest.param({}, {"meaning": Classification(Category.FATAL, Outcome.NOT_APPLIED)}, "it is fatal", id="fatal"),
        pytest.param({}, {"listed": False}, "does not name it", id="not-listed"),
        pytest.param({}, {"meaning": Classification(Category.RETRIABLE, Outcome.APPLIED)}, "took place", id="applied"),
        pytest.param(
            {},
            {"meaning": Classification(Category.UNKNOWN, Outcome.APPLIED), "listed": True},
            "took",
            id="applied-listed",
        ),
        pytest.param({"idempotent": False}, {"meaning": DOUBT}, "in doubt", id="in-doubt"),
        pytest.param({}, {"meaning": after(120.1)}, "max_retry_after=120 s", id="retry-after-too-long"),
        pytest.param({"max_elapsed": 5.0}, {"elapsed": 4.0}, "max_elapsed=5 s", id="max-elapsed"),
        pytest.param({}, {"remaining": 1.0}, "does not fit in the 1 s that are left", id="deadline"),
        pytest.param({}, {"remaining": -3.0}, "in the 0 s that are left", id="deadline-over"),
        pytest.param({}, {"rejected": True}, "refused before it ran", id="rejected"),
        pytest.param({}, {"given_up": True}, "a retry further in gave it up", id="given-up-inside"),
        pytest.param({}, {"retried_above": True}, "a retry further out is in charge", id="retried-above"),
    ],
)
def test_stops(config, fields, reason):
    """What cannot help is not tried again, and the reason is said."""
    step = decide(RetryConfig(**config), failure(**fields), 0.5)

    assert isinstance(step, Stop)
    assert reason in step.reason


@pytest.mark.parametrize(
    "options", [{"attempts": 0}, {"attempts": True}, {"max_retry_after": -1.0}, {"max_elapsed": 0.0}], ids=repr
)
def test_nonsense_is_refused(options):
    """Settings under which nothing would run are refused by name."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        RetryConfig(**options)


def test_defaults():
    """The defaults are those of the documentation."""
    assert RetryConfig() == RetryConfig(3, Backoff(1.0, 2.0, 30.0), 120.0, None, None)


@pytest.mark.parametrize(
    ("config", "fields", "final"),
    [
        pytest.param({}, {"attempt": 3}, True, id="used-up"),
        pytest.param({"attempts": 1}, {}, False, id="never-tried-again"),
        pytest.param({}, {"listed": False}, False, id="not-ours-to-retry"),
        pytest.param({}, {"retried_above": True}, False, id="left-to-the-one-above"),
        pytest.param({}, {"rejected": True}, False, id="no-limit-to-wait-in"),
        pytest.param({}, {"given_up": True}, True, id="handed-on"),
        pytest.param({"idempotent": False}, {"meaning": DOUBT}, True, id="in-doubt"),
        pytest.param({}, {"meaning": after(121.0)}, True, id="retry-after-too-long"),
        pytest.param({"max_elapsed": 5.0}, {"elapsed": 4.0}, True, id="max-elapsed"),
        pytest.param({}, {"remaining": 1.0}, True, id="deadline"),
    ],
)
def test_what_is_final(config, fields, final):
    """A retry further out leaves alone what was tried or must not be tried, and judges by itself what was not."""
    step = decide(RetryConfig(**config), failure(**fields), 0.5)

    assert (type(step), step.final) == (Stop, final)


def test_worst_case():
    """The worst case is every attempt and every wait as long as they can be, within max_elapsed."""
    backoff = Backoff(base=10.0, cap=15.0)
    inner = Worst(2.0, 3)

    assert RetryConfig(attempts=3, backoff=backoff, max_retry_after=0.0).worst(inner) == Worst(6.0 + 11.0 + 15.0, 9)
    assert RetryConfig(attempts=3, backoff=backoff).worst(inner) == Worst(6.0 + 240.0, 9)
    assert RetryConfig(attempts=3, max_elapsed=20.0).worst(inner) == Worst(22.0, 9)
    assert RetryConfig(attempts=1).worst(inner) == inner
    assert math.isinf(RetryConfig().worst(Worst()).latency)
