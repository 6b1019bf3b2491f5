"""Ops that are on their way together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from outlast.outbox._judge import Judged
from outlast.outbox._records import Claimed
from outlast.outbox._routes import Route
from outlast.policies import BreakerPermit


@dataclass(slots=True, eq=False)
class Flight:
    """Hold ops that travel one group after the other, on one permit.

    Args:
        route: How they travel.
        groups: Ops of which several in a group travel in one request.
        permit: Lets them call their origin.
        open: Those of which nothing is recorded yet, by place.
        alone: Whether nothing else may fly meanwhile.
        earlier: Whether it was launched by a run that has ended since.
    """

    route: Route
    groups: list[list[Claimed]]
    permit: BreakerPermit
    open: dict[int, Claimed] = field(default_factory=dict[int, Claimed])
    alone: bool = False
    earlier: bool = False

    def __post_init__(self) -> None:
        """Note what is open."""
        self.open = {claimed.op.seq: claimed for group in self.groups for claimed in group}

    def landed(self, found: Sequence[Judged]) -> None:
        """Note that something is recorded."""
        for judged in found:
            del self.open[judged.claimed.op.seq]
