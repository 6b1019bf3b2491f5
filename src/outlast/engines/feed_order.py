"""Tell which pushes of a feed follow on what is known: a push is a hint, and only a pull may leap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Numbered(Protocol):
    """Have a place in a feed."""

    @property
    def seq(self) -> int | None:
        """Return the place, which rises by one from event to event, or None when it is not known."""
        ...


N = TypeVar("N", bound=Numbered)


@dataclass(frozen=True, slots=True)
class Sorted(Generic[N]):
    """Hold what became of some events.

    Args:
        fresh: Those to apply, in order.
        duplicates: How many are known already.
        gap: Whether something is missing, so that the rest has to be pulled.
    """

    fresh: tuple[N, ...]
    duplicates: int
    gap: bool


def sort_pushed(last: int | None, events: Sequence[N]) -> Sorted[N]:
    """Sort events that were pushed.

    Args:
        last: The place of the last event that was applied, or None when it is not known.
        events: The events, in the order in which they came. What follows on a gap is left to the pull.
    """
    fresh: list[N] = []
    duplicates = 0
    for event in events:
        if last is None or event.seq is None or event.seq > last + 1:
            return Sorted(tuple(fresh), duplicates, gap=True)
        if event.seq <= last:
            duplicates += 1
        else:
            fresh.append(event)
            last = event.seq
    return Sorted(tuple(fresh), duplicates, gap=False)


def sort_pulled(last: int | None, events: Sequence[N]) -> Sorted[N]:
    """Sort events that were pulled; they are the truth, so there is no gap.

    Args:
        last: The place of the last event that was applied, or None when it is not known.
        events: The events, in their order; one without a place is taken for new.
    """
    fresh: list[N] = []
    for event in events:
        if event.seq is not None:
            if last is not None and event.seq <= last:
                continue
            last = event.seq
        fresh.append(event)
    return Sorted(tuple(fresh), len(events) - len(fresh), gap=False)
