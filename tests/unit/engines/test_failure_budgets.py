import pytest

from outlast.engines.failure_budgets import Failure, FailureBudgets, Spent, failure_of, spend
from outlast.engines.op import Applied, AuthNeeded, Busy, Gone, InDoubt, NotApplied, Rejected, Stale
from outlast.errors import ConfigError


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (NotApplied("refused"), Failure.NO_ANSWER),
        (InDoubt("cut off"), Failure.NO_ANSWER),
        (Busy("503"), Failure.BUSY),
        (Busy("500", in_doubt=True), Failure.BUSY),
        (Rejected("422"), Failure.REJECTED),
        (Applied(), None),
        (Stale("412"), None),
        (Gone("404"), None),
        (AuthNeeded("401"), None),
    ],
    ids=repr,
)
def test_what_an_answer_is_counted_as(answer, failure):
    """Success, conflicts and refused credentials are no failures of the op."""
    assert failure_of(answer) is failure


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Failure.BUSY, "it expired while the server was busy (answer 4)"),
        (Failure.REJECTED, "refusal 4; 0 are forgiven"),
        (Failure.KILLED, "death 4 of its process while it was being sent; 3 are forgiven"),
    ],
)
def test_why(failure, reason):
    """A dead letter says which budget was used up, and by what."""
    found = spend(FailureBudgets(), Spent(3, 3, 3, 3), failure, wall=10.0, expires=10.0)

    assert (found.failure, found.reason) == (failure, reason)


def test_what_an_older_program_did_not_count_is_nothing():
    """An op of an older file starts with all that it may spend."""
    assert Spent.from_data({}) == Spent()


@pytest.mark.parametrize("name", ["rejected", "killed"])
def test_budgets_are_no_debts(name):
    """A negative budget is a mistake."""
    with pytest.raises(ConfigError, match=f"budgets.{name}"):
        FailureBudgets(**{name: -1})
