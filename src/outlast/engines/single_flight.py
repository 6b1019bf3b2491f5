"""Which calls share one execution, and who would wait for itself.

Source: the singleflight package of Go's groupcache; here the work belongs to no caller, so that each may
leave, and circles of flights that wait for each other are refused.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class Flight:
    """Be one execution under way.

    Args:
        key: What its callers have in common.
        landing: The face's own: what its callers wait for.
        waiting: How many callers wait for it.
        inner: The flights that its work waits for, each as often as it does.
    """

    key: Hashable
    landing: Any = None
    waiting: int = 0
    inner: list[Flight] = field(default_factory=list["Flight"])


@dataclass(frozen=True, slots=True)
class SingleFlightSnapshot:
    """Show what is shared.

    Args:
        flying: Executions under way.
        waiting: Callers that wait for them, or do the work.
        started: Executions since the start.
        joined: Calls that were spared one, because they joined another.
    """

    flying: int
    waiting: int
    started: int
    joined: int


class FlightEngine:
    """Know what is under way. Everything is called under the face's lock. Nothing is kept of what has landed."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, Flight] = {}
        self._leaving: set[Flight] = set()
        self._started = 0
        self._joined = 0

    def join(self, key: Hashable, inside: Sequence[Flight]) -> tuple[Flight | None, bool]:
        """Return the flight of a key and whether it is new, or None when waiting for it would never end.

        Args:
            key: What to share.
            inside: The flights whose work asks, the innermost last.
        """
        flight = self._flights.get(key)
        new = flight is None
        if flight is None:
            flight = self._flights[key] = Flight(key)
            self._started += 1
        elif _reaches(flight, inside):
            return None, False
        else:
            self._joined += 1
        flight.waiting += 1
        if inside:
            inside[-1].inner.append(flight)
        return flight, new

    def leave(self, flight: Flight, inside: Sequence[Flight]) -> bool:
        """Count one caller off; True says that nobody waits any more and that whoever asks next starts anew.

        Args:
            flight: The flight that it had joined.
            inside: As it was when it joined.
        """
        flight.waiting -= 1
        if inside:
            inside[-1].inner.remove(flight)
        if flight.waiting:
            return False
        self.land(flight)
        return True

    def land(self, flight: Flight) -> None:
        """Strike a flight off; its callers still count until they leave."""
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
        if flight.waiting:
            self._leaving.add(flight)
        else:
            self._leaving.discard(flight)

    @property
    def idle(self) -> bool:
        """Tell whether nothing is under way and nobody waits; may be read without the lock."""
        return not self._flights and not self._leaving

    def snapshot(self) -> SingleFlightSnapshot:
        """Return the state as a frozen record."""
        waiting = sum(flight.waiting for flight in {*self._flights.values(), *self._leaving})
        return SingleFlightSnapshot(len(self._flights), waiting, self._started, self._joined)


def _reaches(flight: Flight, targets: Sequence[Flight]) -> bool:
    """Tell whether the work of a flight waits, over any number of others, for one of the targets."""
    seen: set[Flight] = set()
    ahead = [flight]
    while targets and ahead:
        found = ahead.pop()
        if found in targets:
            return True
        if found not in seen:
            seen.add(found)
            ahead.extend(found.inner)
    return False
