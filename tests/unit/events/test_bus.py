import asyncio
import dataclasses
import logging
import threading

import pytest

from outlast import events
from outlast.events import CircuitClosed, CircuitHalfOpened, Event, EventBus, OpDelivered, OpEvent, Severity

HALF = CircuitHalfOpened(source="x", at=1.0)
CLOSED = CircuitClosed(source="x", at=2.0, reason="r")
DELIVERED = OpDelivered(source="o", at=3.0, seq=1, kind="k", entity="e", attempt=1)


def all_kinds():
    """Return every event class."""
    kinds = (getattr(events, name) for name in events.__all__)
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Event)]


@pytest.mark.parametrize("kind", all_kinds())
def test_records_are_frozen_and_documented(kind):
    """Every event is a frozen record with slots, a severity and a sentence about it."""
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    assert isinstance(kind.severity, Severity)
    assert kind.__doc__.strip()


def test_event_type_is_the_name():
    """Logs and metrics get the name of the class."""
    assert HALF.event_type == "CircuitHalfOpened"


def test_nothing_is_built_when_nobody_listens():
    """Without a listener for its type an event is not even built."""
    built = []

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Probe(Event):
        def __post_init__(self):
            built.append(self)

    bus = EventBus()
    bus.emit(Probe, source="x", at=1.0)
    with bus.subscribe(lambda _: None, CircuitClosed):
        bus.emit(Probe, source="x", at=1.0)
    assert built == []

    with bus.subscribe(lambda _: None, Probe):
        bus.emit(Probe, source="x", at=1.0)
    assert len(built) == 1


def test_wants_and_active():
    """The bus can tell whether anybody listens, at all and to a type."""
    bus = EventBus()
    assert not bus.active
    assert not bus.wants(CircuitClosed)
    with bus.subscribe(lambda _: None, OpEvent):
        assert bus.active
        assert bus.wants(OpDelivered)
        assert not bus.wants(CircuitClosed)


def test_subscribing_to_a_type_includes_those_below():
    """A listener gets its types and their subclasses, once each, in order of subscription."""
    bus, seen = EventBus(), []
    bus.subscribe(lambda e: seen.append(("ops", e)), OpEvent, OpDelivered)
    bus.subscribe(lambda e: seen.append(("all", e)))
    bus.publish(HALF)
    bus.publish(DELIVERED)

    assert seen == [("all", HALF), ("ops", DELIVERED), ("all", DELIVERED)]


def test_closing_twice_is_fine():
    """A closed subscription gets nothing more."""
    bus, seen = EventBus(), []
    subscription = bus.subscribe(seen.append)
    bus.publish(HALF)
    subscription.close()
    subscription.close()
    bus.publish(CLOSED)

    assert seen == [HALF]


def test_subscribing_later_is_noticed():
    """What the bus remembers per type is renewed when somebody joins."""
    bus, first, second = EventBus(), [], []
    bus.subscribe(first.append)
    bus.publish(HALF)
    bus.subscribe(second.append)
    bus.publish(HALF)

    assert (len(first), len(second)) == (2, 1)


def test_raising_listener_is_counted_and_logged_once(caplog):
    """A broken listener hurts neither the publisher nor the others, and does not flood the log."""
    bus, seen = EventBus(), []
    broken = bus.subscribe(lambda _: 1 / 0)
    bus.subscribe(seen.append)
    with caplog.at_level(logging.ERROR, "outlast.events"):
        bus.publish(HALF)
        bus.publish(HALF)

    assert (broken.errors, len(seen), len(caplog.records)) == (2, 2, 1)


def test_listener_may_unsubscribe_itself():
    """Leaving from within a callback is fine; the others still get the event."""
    bus, seen = EventBus(), []
    mine = bus.subscribe(lambda _: mine.close())
    bus.subscribe(seen.append)
    bus.publish(HALF)
    bus.publish(HALF)

    assert seen == [HALF, HALF]


async def test_stream_gives_events_as_they_come():
    """A stream gives what was published while it is open."""
    bus = EventBus()
    async with bus.stream(CircuitClosed) as stream:
        bus.publish(HALF)
        bus.publish(CLOSED)
        bus.publish(CLOSED)
        assert aiter(stream) is stream
        assert [await anext(stream), await anext(stream)] == [CLOSED, CLOSED]

    assert not bus.active


async def test_stream_drops_the_oldest_and_counts():
    """A slow reader loses the oldest events, and can tell how many."""
    bus = EventBus()
    async with bus.stream(max_buffer=2) as stream:
        for at in range(5):
            bus.publish(Event(source="x", at=at))
        await asyncio.sleep(0)
        assert [(await anext(stream)).at, (await anext(stream)).at] == [3, 4]
        assert stream.dropped == 3


async def test_stream_takes_events_from_threads():
    """Publishing from another thread wakes the reader."""
    bus = EventBus()
    async with bus.stream() as stream:
        thread = threading.Thread(target=bus.publish, args=(HALF,))
        thread.start()
        thread.join(5)
        assert await anext(stream) is HALF


async def test_cancelled_reader_leaves():
    """Cancelling a task that reads a stream ends its subscription."""
    bus = EventBus()

    async def read():
        async with bus.stream() as stream:
            await anext(stream)

    task = asyncio.create_task(read())
    await asyncio.sleep(0)
    assert bus.active
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not bus.active
