"""Laws of the failure budgets: each failure is paid from its own."""

import json

import hypothesis.strategies as st
from hypothesis import given

from outlast.engines.failure_budgets import Exhausted, Failure, FailureBudgets, Forgiven, Spent, spend

BUDGETS = st.builds(FailureBudgets, rejected=st.integers(0, 3), killed=st.integers(0, 5))
COUNTS = st.integers(0, 10_000)
SPENT = st.builds(Spent, COUNTS, COUNTS, COUNTS, COUNTS)
WALLS = st.floats(-1e12, 1e12)


@given(budgets=BUDGETS, spent=SPENT, wall=WALLS, expires=st.none() | WALLS)
def test_being_offline_costs_nothing(budgets, spent, wall, expires):
    """However often no answer came, and whatever the clock says, it is tried again."""
    assert isinstance(spend(budgets, spent, Failure.NO_ANSWER, wall=wall, expires=expires), Forgiven)


@given(spent=SPENT, wall=WALLS, expires=st.none() | WALLS)
def test_a_busy_server_is_waited_for_until_the_op_expires(spent, wall, expires):
    """Only the clock ends that, however often it happens."""
    found = spend(FailureBudgets(), spent, Failure.BUSY, wall=wall, expires=expires)

    assert isinstance(found, Exhausted) == (expires is not None and wall >= expires)


@given(budgets=BUDGETS, failures=st.lists(st.sampled_from(Failure), max_size=40))
def test_each_failure_is_paid_from_its_own_budget(budgets, failures):
    """A budget is used up by the first failure of its own sort that exceeds it, and by no other."""
    spent = Spent()
    for place, failure in enumerate(failures, start=1):
        found = spend(budgets, spent, failure, wall=0.0)
        spent = found.spent
        assert getattr(spent, failure.value) == failures[:place].count(failure)
        budget = {Failure.REJECTED: budgets.rejected, Failure.KILLED: budgets.killed}.get(failure)
        assert isinstance(found, Exhausted) == (budget is not None and failures[:place].count(failure) > budget)
        if isinstance(found, Exhausted):
            assert found.failure is failure


@given(spent=SPENT)
def test_counts_survive_being_stored(spent):
    """They come back from JSON as they were, also beside fields that a newer program added."""
    assert Spent.from_data({**json.loads(json.dumps(spent.to_data())), "novel": 1}) == spent
