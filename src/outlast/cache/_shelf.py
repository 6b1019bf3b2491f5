"""Every atomic change of a cache's state in memory: the values, the loads under way and the leases on both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from outlast.cache._entry import Entry
from outlast.cache._flight import Flight, FlightBoard, Lease
from outlast.cache._sieve import Memory, Sieve

T = TypeVar("T")


class Shelf:
    """Hold values and loads under one lock.

    A write to the file is handed over inside the lock too, so that the file sees the same order as memory; handing
    over does not wait. Nothing else of anyone's is called there.

    Thread-safe: yes.

    Args:
        bounds: How much is kept.
    """

    def __init__(self, bounds: Memory) -> None:
        self._lock = threading.Lock()
        self._values = Sieve(bounds)
        self._board = FlightBoard()
        self._loads = 0
        self.closed = False

    def get(self, key: str) -> Entry | None:
        """Return the value of a key."""
        with self._lock:
            return self._values.get(key)

    def take_lease(self, key: str) -> Lease:
        """Return the right to keep what the file is asked for now."""
        with self._lock:
            return self._board.take(key)

    def give_back(self, key: str, lease: Lease) -> None:
        """End a lease."""
        with self._lock:
            self._board.give_back(key, lease)

    def keep_found(self, key: str, entry: Entry | None, lease: Lease) -> tuple[Entry | None, bool]:
        """Keep what the file answered, unless the key has changed since; return what holds now and whether it has."""
        with self._lock:
            there = self._values.get(key)
            if there is not None or lease.void:
                return there, True
            if entry is not None:
                self._values.set(key, entry)
            return entry, False

    def drop(self, key: str, entry: Entry) -> None:
        """Drop that very value; a newer one stays."""
        with self._lock:
            if self._values.get(key) is entry:
                self._values.discard(key)

    def join(self, key: str, now: float, landed: Any) -> tuple[Flight, bool]:
        """Return the load of a key, and whether it is new."""
        with self._lock:
            flight = self._board.get(key)
            if flight is not None:
                return flight, False
            self._loads += 1
            return self._board.start(key, now, landed), True

    def land(self, flight: Flight, entry: Entry, write: Callable[[], T | None]) -> T | None:
        """End a load with a value; keep it and hand it to the file if its lease still holds."""
        with self._lock:
            if flight.outcome is not None:
                return None
            flight.outcome = entry
            self._board.end(flight)
            if flight.lease.void or self.closed:
                return None
            self._values.set(flight.key, entry)
            return write()

    def fail(self, flight: Flight, error: Exception, retry_at: float) -> bool:
        """End a load with an error; mark the value that may stand in. Tell whether the load was still under way."""
        with self._lock:
            if flight.outcome is not None:
                return False
            flight.outcome = error
            self._board.end(flight)
            held = None if flight.lease.void else self._values.get(flight.key)
            if held is not None:
                self._values.set(flight.key, replace(held, retry_at=retry_at, failure=type(error).__name__))
            return True

    def abandon(self, flight: Flight, error: Exception) -> None:
        """End a load that judges nothing; nothing happens if it is over."""
        with self._lock:
            if flight.outcome is None:
                flight.outcome = error
                self._board.end(flight)

    def put(self, key: str, entry: Entry, write: Callable[[], T]) -> T:
        """Keep a value, void every lease on its key and hand it to the file."""
        with self._lock:
            self._board.void(key)
            self._values.set(key, entry)
            return write()

    def remove(self, key: str, write: Callable[[], T]) -> T:
        """Drop a key, void every lease on it and hand the removal to the file."""
        with self._lock:
            self._board.void(key)
            self._values.discard(key)
            return write()

    def clear(self, write: Callable[[], T]) -> T:
        """Drop everything, void every lease and hand the removal to the file."""
        with self._lock:
            self._board.void_all()
            self._values.clear()
            return write()

    def close(self) -> tuple[bool, list[Flight]]:
        """Keep nothing any more; tell whether this is the first call, and which loads were under way."""
        with self._lock:
            first, self.closed = not self.closed, True
            return first, self._board.void_all()

    def void_loads(self) -> None:
        """Forget every load under way; none of them may store anything."""
        with self._lock:
            self._board.void_all()

    def counts(self) -> dict[str, int]:
        """Return the numbers of a snapshot that are known here."""
        with self._lock:
            return {
                "items": len(self._values),
                "loads": self._loads,
                "in_flight": len(self._board),
                "evictions": self._values.evictions,
                "too_big": self._values.too_big,
            }
