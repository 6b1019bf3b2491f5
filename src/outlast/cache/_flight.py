"""Loads under way, one for each key, and the leases that a removal voids."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from outlast.cache._entry import Entry
from outlast.errors import ConfigError


class Lease:
    """Be the right to store what is being fetched; it is void once the key was removed or put."""

    __slots__ = ("void",)

    def __init__(self) -> None:
        self.void = False


@dataclass(slots=True, eq=False)
class Flight:
    """Be one load under way.

    Args:
        key: The text of the key.
        started: Monotonic seconds at which it began.
        lease: The right to store what it brings.
        landed: The face's own signal that it is over: a task, or an event of threads.
        ticket: The generation in the file under which it began; None when there is no file.
        outcome: What it brought or failed with; None while it is under way.
    """

    key: str
    started: float
    lease: Lease
    landed: Any = None
    ticket: int | None = None
    outcome: Entry | Exception | None = field(default=None)


class FlightBoard:
    """Know the loads under way and every lease. Thread-safe: no; its owner holds a lock."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}
        self._leases: dict[str, set[Lease]] = {}

    def __len__(self) -> int:
        """Return how many loads may still store what they bring."""
        return len(self._flights)

    def get(self, key: str) -> Flight | None:
        """Return the load of a key that is under way."""
        return self._flights.get(key)

    def start(self, key: str, now: float, landed: Any) -> Flight:
        """Enter a new load."""
        flight = self._flights[key] = Flight(key, now, self.take(key), landed)
        return flight

    def end(self, flight: Flight) -> None:
        """Strike a load off."""
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
        self.give_back(flight.key, flight.lease)

    def take(self, key: str) -> Lease:
        """Return a new lease on a key."""
        lease = Lease()
        self._leases.setdefault(key, set()).add(lease)
        return lease

    def give_back(self, key: str, lease: Lease) -> None:
        """End a lease."""
        leases = self._leases.get(key)
        if leases is not None:
            leases.discard(lease)
            if not leases:
                del self._leases[key]

    def void(self, key: str) -> None:
        """Void every lease on a key; who asks from now on starts a load of its own."""
        self._flights.pop(key, None)
        for lease in self._leases.pop(key, ()):
            lease.void = True

    def void_all(self) -> list[Flight]:
        """Void every lease and return the loads that held one."""
        flights = list(self._flights.values())
        for key in list(self._leases):
            self.void(key)
        return flights


_LOADING: Final[ContextVar[tuple[Flight, ...]]] = ContextVar("outlast_loading", default=())


def enter(flight: Flight) -> None:
    """Mark the present context as the inside of a load; the context must be the load's own."""
    _LOADING.set((*_LOADING.get(), flight))


def inside_load() -> bool:
    """Tell whether the present context is the inside of a load of any cache."""
    return bool(_LOADING.get())


def refuse_reentry(flight: Flight, name: str) -> None:
    """Refuse to wait for a load from its own inside.

    Raises:
        ConfigError: The loader asked for its own key, directly or through loads of other keys.
    """
    if any(outer is flight for outer in _LOADING.get()):
        raise ConfigError(
            f"the loader of {flight.key!r} asked cache {name!r} for {flight.key!r} itself and would wait for ever; "
            "read the source there, not the cache",
            operation=name,
        )
