"""Know what is newer than the file, until the file has it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from outlast.cache._envelope import Row


@dataclass(frozen=True, slots=True)
class Waiting:
    """Stand for a key whose state in the file is not to be read.

    Args:
        row: What will be there; None for nothing, or when nobody knows what is.
        number: Which write this is.
    """

    row: Row | None
    number: int


class Pending:
    """Hold what was given to the writer and is not yet known to be in the file.

    Readers ask here first: a value that was replaced or removed is never read from the file again, not even
    in the time before the writer gets there, nor after a write that failed. A later write that succeeds
    makes the file trustworthy again.

    Thread-safe: yes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, str], Waiting] = {}
        self._cleared: dict[str, int] = {}
        self._number = 0

    def hold(self, cache: str, key: str, row: Row | None) -> int:
        """Let a key be read from here, and return the number of the write."""
        with self._lock:
            self._number += 1
            self._rows[cache, key] = Waiting(row, self._number)
            return self._number

    def hold_all(self, cache: str) -> int:
        """Let nothing of a cache be read from the file, and return the number of the write."""
        with self._lock:
            self._number += 1
            self._rows = {place: waiting for place, waiting in self._rows.items() if place[0] != cache}
            self._cleared[cache] = self._number
            return self._number

    def settle(self, cache: str, key: str, number: int, *, written: bool) -> None:
        """Trust the file again, or, if the write failed, never read it for this key."""
        with self._lock:
            waiting = self._rows.get((cache, key))
            if waiting is None or waiting.number != number:
                return  # a later write decides
            if written:
                del self._rows[cache, key]
            else:
                self._rows[cache, key] = Waiting(None, number)

    def settle_all(self, cache: str, number: int, *, written: bool) -> None:
        """Trust the file again after clearing, if that succeeded."""
        with self._lock:
            if written and self._cleared.get(cache) == number:
                del self._cleared[cache]

    def get(self, cache: str, key: str) -> Waiting | None:
        """Return what to read in place of the file, or None to read the file."""
        with self._lock:
            waiting = self._rows.get((cache, key))
            if waiting is None and cache in self._cleared:
                return Waiting(None, self._cleared[cache])
            return waiting
