import math

import pytest

from outlast.engines import Freshness
from outlast.engines.read_plan import Answer, Held, Load, patience, plan_read, why_slow

FRESHNESS = Freshness(ttl=60, stale_while_revalidate=30, stale_if_error=3600, negative_ttl=5, soft_timeout=0.25)
FAILED = "loading failed: ConnectError"


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        pytest.param(None, Load(fallback=False), id="nothing-stored"),
        pytest.param(Held(0.0), Answer(stale=False, refresh=False, why=""), id="fresh"),
        pytest.param(Held(60.0), Answer(stale=True, refresh=True, why="being refreshed"), id="revalidate"),
        pytest.param(
            Held(60.0, retry_at=11.0, failure="ConnectError"),
            Answer(stale=True, refresh=False, why=FAILED),
            id="revalidate-paused",
        ),
        pytest.param(Held(90.0), Load(fallback=True), id="fallback"),
        pytest.param(
            Held(90.0, retry_at=11.0, failure="ConnectError"),
            Answer(stale=True, refresh=False, why=FAILED),
            id="fallback-paused",
        ),
        pytest.param(Held(90.0, retry_at=10.0, failure="ConnectError"), Load(fallback=True), id="pause-over"),
        pytest.param(Held(3660.0), Load(fallback=False), id="expired"),
        pytest.param(Held(3660.0, retry_at=11.0, failure="E"), Load(fallback=False), id="expired-never-pauses"),
        pytest.param(Held(5.0, negative=True), Answer(stale=True, refresh=True, why="being refreshed"), id="absence"),
    ],
)
def test_plan(held, expected):
    """What is stored, its age and the last failure decide how a read is answered."""
    assert plan_read(FRESHNESS, held, now=10.0) == expected


@pytest.mark.parametrize(
    ("soft", "fallback", "loading_for", "expected"),
    [
        pytest.param(0.25, True, 0.0, 0.25, id="whole-limit"),
        pytest.param(0.25, True, 0.1, 0.15, id="counts-from-the-start-of-the-load"),
        pytest.param(0.25, True, 9.0, 0.0, id="never-negative"),
        pytest.param(0.25, False, 0.0, None, id="nothing-to-answer-instead"),
        pytest.param(None, True, 0.0, None, id="no-limit"),
    ],
)
def test_patience(soft, fallback, loading_for, expected):
    """A reader waits for the soft limit only while a stale value is at hand."""
    found = patience(Freshness(soft_timeout=soft), fallback=fallback, loading_for=loading_for)

    assert found == pytest.approx(expected) if expected is not None else found is None


def test_defaults_never_pause():
    """A value whose loads never failed is never paused."""
    assert Held(1.0).retry_at == -math.inf


def test_sentence_for_a_slow_load():
    """The reason names the limit."""
    assert why_slow(FRESHNESS) == "loading took longer than 0.25 s"
