import pytest

from outlast.policies import Backoff, CircuitBreaker, Hedge, Pipeline, Retry, RetryBudget
from outlast.registry import Registry


def pipeline(*policies):
    """Make a pipeline of its own registry."""
    return Pipeline("p", *policies, registry=Registry())


def test_the_retries_and_hedges_of_a_pipeline_draw_on_one_budget():
    """The outermost retry's budget pays for all of them, also in a pipeline inside."""
    outer, inner, hedge = Retry(), Retry(), Hedge(idempotent=True)

    pipeline(outer, pipeline(inner), CircuitBreaker(), hedge)

    assert inner.budget is outer.budget
    assert hedge.budget is outer.budget


def test_a_budget_that_was_given_stays():
    """What the user says about budgets holds."""
    budget = RetryBudget()
    outer, given, without = Retry(), Retry(budget=budget), Retry(budget=False)
    hedge = Hedge(idempotent=True, budget=budget)

    pipeline(outer, given, without, hedge)

    assert (given.budget, without.budget, hedge.budget) == (budget, None, budget)
    assert outer.budget is not budget


def test_a_hedge_outside_every_retry_has_none():
    """A budget is the retry's; a hedge around it keeps what it was given."""
    hedge = Hedge(idempotent=True)

    pipeline(hedge, Retry())

    assert hedge.budget is None


def test_each_call_pays_in_once():
    """Two retries around one call do not make it worth two."""
    outer = Retry(2, on=KeyError, backoff=Backoff.fixed(0))
    chain = pipeline(outer, Retry(2, on=OSError, backoff=Backoff.fixed(0)))

    for _ in range(3):
        assert chain.call(len, "fine") == 4

    assert outer.budget is not None
    assert outer.budget.snapshot().calls == 3


def test_a_spent_budget_stops_the_inner_retry_too():
    """What the outer retry has spent is not there for the inner one."""
    budget = RetryBudget(ratio=0.0, per_second=0.0, reserve=1.0)
    calls = []

    def fail():
        calls.append(1)
        raise OSError("down")

    chain = pipeline(Retry(5, on=OSError, backoff=Backoff.fixed(0), budget=budget, stand_down=False))
    with pytest.raises(OSError, match="down"):
        chain.call(fail)

    assert len(calls) == 2
