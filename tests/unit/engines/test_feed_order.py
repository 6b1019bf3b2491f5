from dataclasses import dataclass

import pytest

from outlast.engines.feed_order import sort_pulled, sort_pushed


@dataclass(frozen=True)
class Numbered:
    seq: int | None


def events(*seqs):
    """Make events at these places."""
    return [Numbered(seq) for seq in seqs]


@pytest.mark.parametrize(
    ("last", "seqs", "fresh", "duplicates", "gap"),
    [
        pytest.param(4, (5, 6), (5, 6), 0, False, id="in-order"),
        pytest.param(4, (3, 4, 5), (5,), 2, False, id="seen-before"),
        pytest.param(4, (6, 5), (), 0, True, id="one-is-missing"),
        pytest.param(4, (5, 7, 6), (5,), 0, True, id="the-first-is-good"),
        pytest.param(4, (None,), (), 0, True, id="a-hint"),
        pytest.param(None, (1,), (), 0, True, id="nothing-known"),
        pytest.param(4, (), (), 0, False, id="a-heartbeat"),
        pytest.param(4, (5, 5, 5), (5,), 2, False, id="thrice"),
    ],
)
def test_pushes(last, seqs, fresh, duplicates, gap):
    """Only what follows on without a gap is applied; the rest is pulled."""
    found = sort_pushed(last, events(*seqs))

    assert (found.fresh, found.duplicates, found.gap) == (tuple(events(*fresh)), duplicates, gap)


@pytest.mark.parametrize(
    ("last", "seqs", "fresh"),
    [
        pytest.param(4, (5, 9), (5, 9), id="a-leap-is-true"),
        pytest.param(4, (3, 4, 5, 5), (5,), id="seen-before"),
        pytest.param(None, (7, 8), (7, 8), id="nothing-known"),
        pytest.param(4, (None, None), (None, None), id="without-places"),
    ],
)
def test_pulls(last, seqs, fresh):
    """A page is the truth, but what was applied before is not applied again."""
    found = sort_pulled(last, events(*seqs))

    assert (found.fresh, found.duplicates) == (tuple(events(*fresh)), len(seqs) - len(fresh))
    assert found.gap is False
