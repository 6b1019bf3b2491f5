"""Settings of a retry: waits in short, presets, nonsense, and changes while it runs."""

import asyncio

import pytest
from retries import make

from outlast.engines import RetryConfig
from outlast.errors import ConfigError
from outlast.events import PolicyReconfigured, RetryScheduled
from outlast.policies import Backoff, Jitter, Retry
from outlast.testing import FixedRandom


@pytest.mark.parametrize("on", [BaseException, asyncio.CancelledError, (OSError, KeyboardInterrupt), (), "x"], ids=repr)
def test_on_refuses_what_would_catch_cancellation(on):
    """Nothing but subclasses of Exception, or a function, can be named."""
    with pytest.raises(ConfigError, match="cancellation is never retried"):
        Retry(on=on)


@pytest.mark.parametrize(
    "options", [{"attempts": 0}, {"attempts": True}, {"max_retry_after": -1}, {"max_elapsed": 0}], ids=repr
)
def test_nonsense_is_refused(options):
    """Settings under which nothing would run are refused."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        Retry(**options)


def test_it_shows_itself():
    """The settings are visible."""
    retry = Retry(4, name="load", max_elapsed=9.0)

    assert retry.name == "load"
    assert retry.snapshot() == RetryConfig(attempts=4, max_elapsed=9.0)
    assert "attempts=4" in repr(retry)
    assert retry.describe().startswith("retry: up to 4 attempts, at most 9 s, waits")


def test_decorrelated_waits_follow_each_other(face):
    """Each decorrelated wait is drawn from the one before it."""
    fn, _ = face.scripted(ConnectionError("down"))
    with pytest.raises(ConnectionError):
        face.call(make(face, attempts=4, backoff=Backoff.decorrelated(1.0), random=FixedRandom(0.9)), fn)

    waits = [event.wait for event in face.seen.of(RetryScheduled)]
    assert waits == pytest.approx([2.8, 1 + 0.9 * 7.4, 1 + 0.9 * (3 * 7.66 - 1)])


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [
        pytest.param(0.5, [0.5, 0.5], id="seconds"),
        pytest.param(2, [2.0, 2.0], id="whole-seconds"),
        pytest.param([1, 4], [1.0, 4.0], id="list"),
        pytest.param(range(2, 9), [2.0, 3.0], id="iterable"),
        pytest.param(Backoff(base=3.0, jitter=Jitter.NONE), [3.0, 6.0], id="backoff"),
    ],
)
def test_backoff_in_short(face, backoff, waits):
    """Seconds, a list of seconds and any iterable stand for a backoff, the same in every call."""
    fn, _ = face.scripted(ConnectionError("down"))
    retry = make(face, backoff=backoff)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            face.call(retry, fn)

    assert [event.wait for event in face.seen.of(RetryScheduled)] == waits * 2


def test_presets():
    """The presets are those of the documentation, and take the options of every retry."""
    assert Retry.defaults().snapshot() == RetryConfig(3, Backoff(1.0, 2.0, 30.0))
    assert Retry.aggressive().snapshot() == RetryConfig(5, Backoff(0.5, 2.0, 30.0))
    assert Retry.none(name="off").snapshot().attempts == 1
    assert Retry.none(name="off").name == "off"


def test_reconfigure(face):
    """Settings change for the next call of functions that are decorated already; the budget keeps its balance."""
    fn, script = face.scripted(ConnectionError("down"))
    retry = make(face, backoff=0.0)
    decorated = retry(fn)
    with pytest.raises(ConnectionError):
        face.run(decorated)
    taken = retry.budget.snapshot().taken
    retry.reconfigure(attempts=5, backoff=[3.0])
    with pytest.raises(ConnectionError):
        face.run(decorated)

    assert face.seen.last(PolicyReconfigured).settings == ("attempts", "backoff")
    assert script.calls == 3 + 5
    assert retry.snapshot().backoff == Backoff.of([3.0])
    assert retry.budget.snapshot().taken == taken + 4


def test_reconfigure_with_max_elapsed(face):
    """A limit of time that comes later counts from the first failure."""
    fn, script = face.scripted(ConnectionError("down"))
    retry = make(face, attempts=9, backoff=2.0)
    decorated = retry(fn)
    retry.reconfigure(max_elapsed=5.0)
    with pytest.raises(ConnectionError):
        face.run(decorated)

    assert script.calls == 3


@pytest.mark.parametrize("settings", [{"attempts": 0}, {"backoff": -1.0}, {"max_elapsed": 0}, {"nmae": "x"}], ids=repr)
def test_reconfigure_refuses_nonsense(settings):
    """A change that makes no sense is refused and changes nothing."""
    retry = Retry()
    before = retry.snapshot()
    with pytest.raises(ConfigError):
        retry.reconfigure(**settings)

    assert retry.snapshot() == before
