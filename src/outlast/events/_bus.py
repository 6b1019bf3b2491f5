"""Carry events from where they happen to whoever listens."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self

from outlast.events._base import Event

Listener = Callable[[Any], None]

_log = logging.getLogger("outlast.events")


class Subscription:
    """Hold one listener's place on a bus; close it, or use it as a context manager, to leave."""

    def __init__(self, bus: EventBus, listener: Listener, types: tuple[type[Event], ...]) -> None:
        self._bus = bus
        self.listener = listener
        self.types = types
        self.errors = 0

    def close(self) -> None:
        """Stop listening; a second close does nothing."""
        self._bus._remove(self)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self.close()


class EventBus:
    """Fan typed events out to callbacks and async streams.

    A callback runs in the thread that published, one after the other in the order of subscription,
    and must not block. One that raises is counted and logged once; it never reaches the publisher.
    Nobody builds an event that nobody wants: ask `wants` first.

    Thread-safe: yes.

    >>> bus = EventBus()
    >>> seen = []
    >>> with bus.subscribe(seen.append):
    ...     bus.publish(Event(source="demo", at=1.0))
    >>> seen
    [Event(source='demo', at=1.0)]
    >>> bus.wants(Event)
    False
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Replaced, never changed in place: a publisher may walk the old one without the lock.
        self._subscriptions: tuple[Subscription, ...] = ()
        self._by_type: dict[type[Event], tuple[Subscription, ...]] = {}

    @property
    def active(self) -> bool:
        """Tell whether anybody listens to anything."""
        return bool(self._subscriptions)

    def subscribe(self, listener: Listener, *types: type[Event]) -> Subscription:
        """Call a listener for each event of the given types and of types below them.

        Args:
            listener: Called with the event; it must not block.
            *types: Which events. Default: all.

        Returns:
            The subscription; close it to stop.
        """
        subscription = Subscription(self, listener, types or (Event,))
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
            self._by_type = {}
        return subscription

    def _remove(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)
            self._by_type = {}

    def wants(self, kind: type[Event]) -> bool:
        """Tell whether anybody listens to events of this type."""
        found = self._by_type.get(kind)
        return bool(self._listeners(kind) if found is None else found)

    def _listeners(self, kind: type[Event]) -> tuple[Subscription, ...]:
        """Find out who listens to events of a type that was not asked about since the listeners changed."""
        with self._lock:
            found = tuple(s for s in self._subscriptions if issubclass(kind, s.types))
            self._by_type[kind] = found
        return found

    def publish(self, event: Event) -> None:
        """Hand an event to everyone who wants it. Never call it while holding a lock."""
        kind = type(event)
        found = self._by_type.get(kind)
        for subscription in self._listeners(kind) if found is None else found:
            try:
                subscription.listener(event)
            except Exception:
                _note_failure(subscription, event)

    def emit(self, event_class: type[Event], /, **fields: Any) -> None:
        """Build an event and publish it, if anybody wants its type.

        Args:
            event_class: The event class.
            **fields: Its fields.
        """
        if self.wants(event_class):
            self.publish(event_class(**fields))

    @asynccontextmanager
    async def stream(self, *types: type[Event], max_buffer: int = 1024) -> AsyncGenerator[EventStream]:
        """Open an async stream of events for the length of a block.

        Args:
            *types: Which events. Default: all.
            max_buffer: How many unread events are kept; beyond it the oldest go and are counted.

        Cancel: leaving the block in any way ends the subscription.
        """
        stream = EventStream(asyncio.get_running_loop(), max_buffer)
        with self.subscribe(stream.push, *types):
            yield stream


class EventStream:
    """Iterate over events as they come; `dropped` counts those that were not read in time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, max_buffer: int) -> None:
        self._loop = loop
        self._events: deque[Event] = deque()
        self._max_buffer = max_buffer
        self._ready = asyncio.Event()
        self.dropped = 0

    def push(self, event: Event) -> None:
        """Add an event; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._add, event)

    def _add(self, event: Event) -> None:
        if len(self._events) >= self._max_buffer:
            self._events.popleft()
            self.dropped += 1
        self._events.append(event)
        self._ready.set()

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> Event:
        """Wait for the next event and return it."""
        while not self._events:
            self._ready.clear()
            await self._ready.wait()
        return self._events.popleft()


def _note_failure(subscription: Subscription, event: Event) -> None:
    subscription.errors += 1
    if subscription.errors == 1:
        _log.exception("a listener of %s raised; further errors of it are only counted", event.event_type)


DEFAULT_BUS: Final = EventBus()
