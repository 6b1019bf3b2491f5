import pytest

from outlast.engines import Freshness
from outlast.engines.read_plan import Answer, Held, Load, patience, plan_read, why_failed, why_slow

NUMBERS = Freshness(ttl=60, stale_while_revalidate=30, stale_if_error=600, negative_ttl=5, soft_timeout=0.25)
FAILED = {"retry_at": 10.0, "failure": "down"}


@pytest.mark.parametrize(
    ("held", "plan"),
    [
        pytest.param(None, Load(fallback=False), id="nothing-stored"),
        pytest.param(Held(1.0), Answer(stale=False, refresh=False, why=""), id="fresh"),
        pytest.param(Held(6.0, negative=True), Answer(True, True, "being refreshed"), id="negative-is-older"),
        pytest.param(Held(70.0), Answer(True, True, "being refreshed"), id="refreshed-behind-the-back"),
        pytest.param(Held(70.0, **FAILED), Answer(True, False, "loading failed: down"), id="pause-after-failure"),
        pytest.param(Held(100.0), Load(fallback=True), id="load-with-a-fallback"),
        pytest.param(Held(100.0, **FAILED), Answer(True, False, "loading failed: down"), id="fallback-in-the-pause"),
        pytest.param(Held(1e4), Load(fallback=False), id="expired"),
        pytest.param(Held(1e4, **FAILED), Load(fallback=False), id="expired-in-the-pause"),
    ],
)
def test_plan_read(held, plan):
    """How a read is answered from what is stored, five seconds into a pause that lasts ten."""
    assert plan_read(NUMBERS, held, now=5.0) == plan


@pytest.mark.parametrize(
    ("freshness", "fallback", "loading_for", "seconds"),
    [
        (NUMBERS, True, 0.0, 0.25),
        (NUMBERS, True, 0.2, 0.05),
        (NUMBERS, True, 9.0, 0.0),
        (NUMBERS, False, 0.0, None),
        (Freshness(soft_timeout=None), True, 0.0, None),
    ],
)
def test_patience(freshness, fallback, loading_for, seconds):
    """The soft limit counts from the start of the load, and only where a stale value is at hand."""
    assert patience(freshness, fallback=fallback, loading_for=loading_for) == pytest.approx(seconds)


def test_sentences():
    """Why an answer is stale is said in words."""
    assert (why_failed("down"), why_slow(NUMBERS)) == ("loading failed: down", "loading took longer than 0.25 s")
