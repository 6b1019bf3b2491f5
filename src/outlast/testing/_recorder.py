"""Keep every event for a test to look at."""

from __future__ import annotations

from types import TracebackType
from typing import Self, TypeVar

from outlast.events import DEFAULT_BUS, Event, EventBus

E = TypeVar("E", bound=Event)


class Recorder:
    """Record the events of a bus, for the length of a `with` block or until `close`.

    Args:
        bus: Whose events. Default: the shared one.
        *types: Which events. Default: all.

    Thread-safe: yes.

    >>> bus = EventBus()
    >>> with Recorder(bus) as seen:
    ...     bus.publish(Event(source="demo", at=1.0))
    >>> seen.names
    ['Event']
    """

    def __init__(self, bus: EventBus = DEFAULT_BUS, *types: type[Event]) -> None:
        self.events: list[Event] = []
        self._subscription = bus.subscribe(self.events.append, *types)

    @property
    def names(self) -> list[str]:
        """Return the types of the events in their order, as text."""
        return [event.event_type for event in self.events]

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one type and of types below it."""
        return [event for event in self.events if isinstance(event, kind)]

    def last(self, kind: type[E]) -> E:
        """Return the latest event of one type.

        Raises:
            LookupError: There is none.
        """
        found = self.of(kind)
        if not found:
            raise LookupError(f"no {kind.__name__} among {self.names}")
        return found[-1]

    def clear(self) -> None:
        """Forget what was recorded so far."""
        self.events.clear()

    def close(self) -> None:
        """Stop recording."""
        self._subscription.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop recording."""
        self.close()
