"""Ranges of places: where some are missing, and whether one lies among them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""The first place and the last."""
Bounds = tuple[int | None, int | None]
"""Behind which place, and up to which; None for no bound."""


class Ranges:
    """Hold ranges of places, sorted, of which no two meet.

    Args:
        ranges: They.

    >>> 7 in Ranges([(1, 3), (6, 8)]), 4 in Ranges([(1, 3), (6, 8)])
    (True, False)
    """

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._ranges = tuple(ranges)

    def __contains__(self, place: int) -> bool:
        """Tell whether a place lies in one of them."""
        found = bisect_right(self._ranges, place, key=_first)
        return bool(found) and place <= self._ranges[found - 1][1]

    def __iter__(self) -> Iterator[Range]:
        """Iterate over them."""
        return iter(self._ranges)

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._ranges)


def _first(found: Range) -> int:
    return found[0]


def joined(gaps: Iterable[Bounds], last: int) -> Ranges:
    """Return gaps as ranges, those that meet as one.

    Args:
        gaps: They, in any order.
        last: The last place, for those without an end.

    >>> list(joined([(5, 9), (None, 2), (2, 4)], 20))
    [(1, 4), (6, 9)]
    """
    found: list[Range] = []
    for low, high in sorted((max(low or 0, 0) + 1, last if high is None else high) for low, high in gaps):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(high, found[-1][1])
        elif low <= high:
            found.append((low, high))
    return Ranges(found)


def overlaps(some: Iterable[Range], others: Iterable[Range]) -> Iterator[Range]:
    """Yield where two rows of ranges have places in common; each is sorted, and no two of its ranges meet.

    >>> list(overlaps([(1, 4), (6, 9)], [(3, 7)]))
    [(3, 4), (6, 7)]
    """
    further = iter(others)
    other = next(further, None)
    for first, last in some:
        while other is not None and other[0] <= last:
            if first <= other[1]:
                yield max(first, other[0]), min(last, other[1])
            if other[1] > last:
                break  # it goes on behind this one
            other = next(further, None)
