"""Turn what was decided into results, count them and tell whoever listens."""

from __future__ import annotations

import threading
from typing import Any

from outlast.cache._entry import Entry, Found
from outlast.cache._result import Result, Source
from outlast.clock import Clock
from outlast.events import EventBus, LoadFailed, ReadAnswered


class Tally:
    """Count and tell the reads of one cache. Thread-safe: yes; never called under the cache's lock."""

    def __init__(self, name: str, clock: Clock, bus: EventBus) -> None:
        self._name = name
        self._clock = clock
        self._bus = bus
        self._lock = threading.Lock()
        self.hits_fresh = 0
        self.hits_stale = 0
        self.misses = 0
        self.load_failures = 0

    def stored(self, key: str, found: Found, *, stale: bool, why: str) -> Result[Any]:
        """Return the result for a stored value."""
        with self._lock:
            if stale:
                self.hits_stale += 1
            else:
                self.hits_fresh += 1
        return self._told(key, self._result(found.entry, found.source, stale=stale, why=why))

    def loaded(self, key: str, entry: Entry) -> Result[Any]:
        """Return the result for a value that was loaded just now."""
        with self._lock:
            self.misses += 1
        return self._told(key, self._result(entry, Source.LOADED, stale=False, why=""))

    def load_failed(self, key: str, error: Exception) -> None:
        """Count and tell that a load failed."""
        with self._lock:
            self.load_failures += 1
        self._bus.emit(LoadFailed, source=self._name, at=self._clock.now(), key=key, error=type(error).__name__)

    def disk_failed(self, key: str, error: Exception) -> None:
        """Tell that the file could not be used; its source is the cache's name with `/disk`."""
        name = f"{self._name}/disk"
        self._bus.emit(LoadFailed, source=name, at=self._clock.now(), key=key, error=type(error).__name__)

    def _result(self, entry: Entry, source: Source, *, stale: bool, why: str) -> Result[Any]:
        age = max(0.0, self._clock.now() - entry.known_at)
        return Result(entry.value, source, age, stale, why, entry.etag)

    def _told(self, key: str, result: Result[Any]) -> Result[Any]:
        if self._bus.wants(ReadAnswered):
            self._bus.publish(
                ReadAnswered(
                    source=self._name,
                    at=self._clock.now(),
                    key=key,
                    origin=result.source.value,
                    age=result.age,
                    stale=result.stale,
                )
            )
        return result
