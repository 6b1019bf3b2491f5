"""Pushes and pulls: whatever is lost, doubled or swapped, each event of the log is applied once and in order."""

from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis import given

from outlast.engines.feed_order import sort_pulled, sort_pushed


@dataclass(frozen=True)
class Numbered:
    seq: int | None


@given(
    length=st.integers(0, 12),
    start=st.one_of(st.none(), st.integers(0, 5)),
    batches=st.lists(st.lists(st.one_of(st.none(), st.integers(1, 12)), max_size=6), max_size=12),
)
def test_each_event_is_applied_once_and_in_order(length, start, batches):
    """Gaps are closed by a pull from where we are; what pushes say never makes a hole or a double."""
    last, applied = start, []
    for batch in [*batches, [None]]:
        found = sort_pushed(last, [Numbered(seq) for seq in batch if seq is None or seq <= length])
        applied += [event.seq for event in found.fresh]
        last = applied[-1] if found.fresh else last
        if found.gap:
            page = sort_pulled(last, [Numbered(seq) for seq in range(max(1, (last or 0) - 2), length + 1)])
            applied += [event.seq for event in page.fresh]
            last = applied[-1] if page.fresh else last

    assert applied == list(range((start or 0) + 1, length + 1))
