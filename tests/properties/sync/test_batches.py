"""Laws of batches: nothing is left out, nothing overtakes, nothing is called applied that was not."""

from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import given

from outlast.engines.batches import (
    BatchItem,
    BatchLimits,
    TooLarge,
    grown,
    halve,
    halved,
    judge_items,
    make_batches,
    spread,
)
from outlast.engines.op import Applied, AuthNeeded, Busy, Gone, InDoubt, NotApplied, Rejected, Stale

SIZES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), max_size=30)
LIMITS = st.builds(BatchLimits, max_count=st.integers(1, 10), max_bytes=st.integers(1, 120))
ANSWERS = st.sampled_from(
    [
        Applied("v1"), NotApplied("x"), InDoubt("x"), Busy("503"), Busy("500", in_doubt=True), Stale("412"),
        Gone("404"), Rejected("422"), AuthNeeded("401"),
    ]
)  # fmt: skip


def items_of(sizes):
    """Return ops at rising places."""
    return [BatchItem(seq, lane, size) for seq, (lane, size) in enumerate(sizes, start=1)]


@given(sizes=SIZES, limits=LIMITS)
def test_batches_hold_everything_in_order_within_the_limits(sizes, limits):
    """Laid end to end they are what came in; only a single op may be too large; no two neighbours fit into one."""
    items = items_of(sizes)
    batches = make_batches(items, limits)

    assert [item for batch in batches for item in batch] == items
    for batch in batches:
        assert 1 <= len(batch) <= limits.max_count
        assert len(batch) == 1 or sum(item.size for item in batch) <= limits.max_bytes
    for batch, following in pairwise(batches):
        whole = sum(item.size for item in batch) + following[0].size
        assert len(batch) == limits.max_count or whole > limits.max_bytes


@given(sizes=SIZES.filter(bool), most=st.integers(1, 200))
def test_halving_ends(sizes, most):
    """A server that takes so many bytes gets all that it can take, in order, and names the ops that it cannot."""
    todo, sent, refused, requests = [tuple(items_of(sizes))], [], [], 0
    while todo:
        batch = todo.pop(0)
        requests += 1
        if sum(item.size for item in batch) <= most:
            sent += batch
            continue
        found = halve(batch)
        if isinstance(found, TooLarge):
            refused.append(found.item)
        else:
            todo = [*found, *todo]

    assert sorted([*sent, *refused], key=lambda item: item.seq) == items_of(sizes)
    assert [item.seq for item in sent] == sorted(item.seq for item in sent)
    assert all(item.size > most for item in refused)
    assert requests <= 2 * len(sizes)


@given(sizes=SIZES.filter(lambda sizes: len(sizes) > 1), limits=LIMITS)
def test_limits_shrink_and_recover(sizes, limits):
    """After a refusal batches are half as large at most, and after enough successes as large as wanted."""
    batch = tuple(items_of(sizes))
    smaller = held = halved(limits, batch)

    assert 1 <= smaller.max_count <= max(1, min(limits.max_count, len(batch) // 2))
    assert smaller.max_bytes <= limits.max_bytes
    for _ in range(200):
        held = grown(held, limits)
        assert held.max_count <= limits.max_count
        assert held.max_bytes <= limits.max_bytes
    assert held == limits


@given(sizes=SIZES.filter(bool), answers=st.dictionaries(st.integers(1, 30), ANSWERS))
def test_what_became_of_each(sizes, answers):
    """Applied is what the server called so; what it left out is in doubt; of a lane only a prefix is judged."""
    batch = tuple(items_of(sizes))
    judged = judge_items(batch, answers)

    assert list(judged) == [item.seq for item in batch]
    for place, item in enumerate(batch):
        said, found = answers.get(item.seq), judged[item.seq]
        lane = [answers.get(other.seq) for other in batch[:place] if other.lane == item.lane]
        first_failure = all(isinstance(answer, Applied) for answer in lane)
        assert isinstance(found, Applied) == isinstance(said, Applied)
        assert isinstance(found, InDoubt) == (said is None or isinstance(said, InDoubt))
        if first_failure:
            assert found == said or said is None
        else:
            assert not isinstance(found, Stale | Gone | Rejected)


@given(sizes=SIZES.filter(bool), answer=ANSWERS)
def test_an_answer_to_the_whole(sizes, answer):
    """What was said to the whole request holds for each op, but for success: that must be said of each."""
    found = spread(tuple(items_of(sizes)), answer)

    assert len(found) == len(sizes)
    if isinstance(answer, Applied):
        assert all(isinstance(each, InDoubt) for each in found.values())
    else:
        assert set(found.values()) == {answer}


@given(lanes=st.lists(st.integers(0, 3)), etags=st.lists(st.one_of(st.none(), st.text(max_size=2)), min_size=30))
def test_what_was_applied_is_left_as_it_is(lanes, etags):
    """Where a server has applied every op, its answers need no second look, which is why they do not get one."""
    items = [BatchItem(seq, lane, 0) for seq, lane in enumerate(lanes[:30])]
    answers = {item.seq: Applied(etag) for item, etag in zip(items, etags, strict=False)}

    assert judge_items(tuple(items), answers) == answers
