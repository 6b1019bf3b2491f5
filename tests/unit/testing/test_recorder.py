import pytest

from outlast.events import CircuitClosed, CircuitHalfOpened, Event, EventBus
from outlast.testing import Recorder

HALF = CircuitHalfOpened(source="x", at=1.0)
CLOSED = CircuitClosed(source="x", at=2.0, reason="r")


def test_it_keeps_everything():
    """Events are kept in order and can be asked for by type."""
    bus = EventBus()
    with Recorder(bus) as seen:
        bus.publish(HALF)
        bus.publish(CLOSED)
    bus.publish(HALF)

    assert seen.events == [HALF, CLOSED]
    assert seen.names == ["CircuitHalfOpened", "CircuitClosed"]
    assert seen.of(CircuitClosed) == [CLOSED]
    assert seen.of(Event) == [HALF, CLOSED]
    assert seen.last(CircuitHalfOpened) is HALF


def test_it_can_be_told_what_to_keep():
    """Given types, it keeps those alone."""
    bus = EventBus()
    seen = Recorder(bus, CircuitClosed)
    bus.publish(HALF)
    bus.publish(CLOSED)
    seen.close()

    assert seen.events == [CLOSED]


def test_nothing_there():
    """Asking for what did not happen says what did."""
    bus = EventBus()
    seen = Recorder(bus)
    bus.publish(HALF)
    with pytest.raises(LookupError, match=r"no CircuitClosed among \['CircuitHalfOpened'\]"):
        seen.last(CircuitClosed)
    seen.clear()

    assert seen.events == []
