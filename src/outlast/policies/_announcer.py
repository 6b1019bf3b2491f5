"""Publish a breaker's changes of state in the order in which they happened, outside of its lock."""

from __future__ import annotations

import threading
from collections import deque

from outlast.engines import CircuitState, Transition
from outlast.events import CircuitClosed, CircuitHalfOpened, CircuitOpened, EventBus


class Announcer:
    """Queue changes under the breaker's lock and publish them after it is released.

    One thread at a time publishes, so that listeners see the changes in their order. A listener that
    changes the breaker finds that change published after it has returned.

    Args:
        source: The breaker's name.
        bus: Takes the events.
        lock: The breaker's lock.
    """

    def __init__(self, source: str, bus: EventBus, lock: threading.Lock) -> None:
        self._source = source
        self._bus = bus
        self._lock = lock
        self._changes: deque[Transition] = deque()
        self._busy = False

    def add(self, *changes: Transition | None) -> None:
        """Queue changes; call it while holding the lock."""
        self._changes.extend(change for change in changes if change is not None)

    def publish(self) -> None:
        """Publish what is queued, unless another thread is at it; call it without the lock."""
        while self._changes:
            with self._lock:
                if self._busy or not self._changes:
                    return
                self._busy = True
                change = self._changes.popleft()
            try:
                self._emit(change)
            finally:
                self._busy = False

    def _emit(self, change: Transition) -> None:
        bus, source, at, reason = self._bus, self._source, change.at, change.reason
        match change.after:
            case CircuitState.OPEN:
                bus.emit(CircuitOpened, source=source, at=at, until=change.until, reason=reason)
            case CircuitState.HALF_OPEN:
                bus.emit(CircuitHalfOpened, source=source, at=at)
            case CircuitState.CLOSED:
                bus.emit(CircuitClosed, source=source, at=at, reason=reason)
