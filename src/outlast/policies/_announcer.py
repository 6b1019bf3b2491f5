"""Publish a breaker's changes of state in the order in which they happened, outside of its lock."""

from __future__ import annotations

import threading
from collections.abc import Callable

from outlast.engines import CircuitState, Transition
from outlast.events import CircuitClosed, CircuitDisabled, CircuitHalfOpened, CircuitOpened, EventBus

OnTrip = Callable[[CircuitOpened], None]


class Announcer:
    """Queue changes under the breaker's lock and publish them after it is released.

    One thread at a time publishes, so that listeners see the changes in their order. A listener that
    changes the breaker finds that change published after it has returned.

    Args:
        source: The breaker's name.
        bus: Takes the events.
        lock: The breaker's lock.
    """

    __slots__ = ("_bus", "_busy", "_changes", "_lock", "_own", "_source")

    def __init__(self, source: str, bus: EventBus, lock: threading.Lock) -> None:
        self._source = source
        self._bus = bus
        self._lock = lock
        self._changes: list[tuple[Transition, bool]] = []
        self._busy = False
        self._own: EventBus | None = None

    def call_on_trip(self, on_trip: OnTrip | None) -> None:
        """Call a function with every `CircuitOpened` from now on, instead of the one before.

        It has a bus of its own, so that an exception of it is logged and does not reach the caller.
        """
        own = None if on_trip is None else EventBus()
        if own is not None and on_trip is not None:
            own.subscribe(on_trip, CircuitOpened)
        self._own = own

    def add(self, *changes: Transition | None, shadow: bool = False) -> None:
        """Queue changes; call it while holding the lock.

        Args:
            *changes: What changed.
            shadow: Whether the breaker only says what it would do.
        """
        self._changes.extend((change, shadow) for change in changes if change is not None)

    def publish(self) -> None:
        """Publish what is queued, unless another thread is at it; call it without the lock."""
        while self._changes:
            with self._lock:
                if self._busy or not self._changes:
                    return
                self._busy = True
                change, shadow = self._changes.pop(0)
            try:
                for bus in (self._bus, self._own):
                    if bus is not None:
                        self._emit(bus, change, shadow=shadow)
            finally:
                self._busy = False

    def _emit(self, bus: EventBus, change: Transition, *, shadow: bool) -> None:
        source, at, reason = self._source, change.at, change.reason
        match change.after:
            case CircuitState.OPEN:
                bus.emit(CircuitOpened, source=source, at=at, until=change.until, reason=reason, shadow=shadow)
            case CircuitState.HALF_OPEN:
                bus.emit(CircuitHalfOpened, source=source, at=at, shadow=shadow)
            case CircuitState.CLOSED:
                bus.emit(CircuitClosed, source=source, at=at, reason=reason, shadow=shadow)
            case CircuitState.DISABLED:
                bus.emit(CircuitDisabled, source=source, at=at, reason=reason)
