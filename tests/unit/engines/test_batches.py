import pytest

from outlast.engines.batches import BatchItem, BatchLimits, TooLarge, halve, halved, judge_items, make_batches
from outlast.engines.op import Applied, Busy, InDoubt, NotApplied, Rejected, Stale
from outlast.errors import ConfigError


def test_nothing_makes_no_batch():
    """There is no empty request."""
    assert make_batches([], BatchLimits()) == []


def test_an_op_that_is_too_large_for_the_limits_goes_alone():
    """Only the server can say that it does not take it."""
    items = [BatchItem(1, 1, 10), BatchItem(2, 2, 500), BatchItem(3, 3, 10)]

    assert [len(batch) for batch in make_batches(items, BatchLimits(max_bytes=100))] == [1, 1, 1]


def test_a_single_op_cannot_be_halved():
    """Then it is the op that the server does not take."""
    item = BatchItem(1, 1, 10)

    assert halve((item,)) == TooLarge(item)


def test_deletes_have_no_bytes_to_halve():
    """A batch without bodies that was too large was so by count."""
    batch = tuple(BatchItem(seq, seq, 0) for seq in range(8))

    assert halved(BatchLimits(100, 1000), batch) == BatchLimits(4, 1000)


def test_a_list_of_rejected_items_is_no_success():
    """A known client took a 200 with a list of refusals for a success of all."""
    batch = tuple(BatchItem(seq, 1, 10) for seq in (1, 2, 3))

    found = judge_items(batch, {1: Applied("v1"), 2: Rejected("422"), 3: Stale("412")})

    assert found == {
        1: Applied("v1"),
        2: Rejected("422"),
        3: NotApplied("op 2 before it in its lane was not applied"),
    }


def test_other_lanes_do_not_suffer():
    """A failure is a matter of its lane; what may have happened all the same stays in doubt."""
    batch = (BatchItem(1, 1, 10), BatchItem(2, 2, 10), BatchItem(3, 1, 10), BatchItem(4, 1, 10))

    found = judge_items(batch, {1: Busy("503"), 2: Rejected("422"), 3: Busy("500", in_doubt=True)})

    assert found[2] == Rejected("422")
    assert found[3] == Busy("500", in_doubt=True)
    assert found[4] == InDoubt("the answer does not mention it")


@pytest.mark.parametrize("name", ["max_count", "max_bytes"])
def test_limits_must_let_something_through(name):
    """Zero is a mistake."""
    with pytest.raises(ConfigError, match=f"batch.{name}"):
        BatchLimits(**{name: 0})
