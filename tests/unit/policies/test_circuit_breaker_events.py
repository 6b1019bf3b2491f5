"""What listeners of a breaker are told, and what they may do."""

import threading

import pytest
from circuits import OPEN, make, throw

from outlast.errors import CircuitOpenError, NetworkError
from outlast.events import CallFailed, CallRejected, CircuitClosed, CircuitHalfOpened, CircuitOpened, EventBus
from outlast.policies import CircuitBreaker, FailuresWithin
from outlast.testing import ManualClock


def test_events_in_order(face):
    """Every change and every counted failure is an event, in order."""
    breaker = make(face, name="x", registry=face.registry, failure_threshold=1, success_threshold=1)
    face.fail(breaker, 2)
    face.clock.advance(30)
    face.succeed(breaker)

    assert face.seen.names == ["CallFailed", "CircuitOpened", "CallRejected", "CircuitHalfOpened", "CircuitClosed"]
    assert face.seen.last(CircuitOpened).until == 1030.0
    assert face.seen.last(CallRejected).retry_after == 30.0
    assert face.seen.last(CallFailed).error == "ConnectionError: down"
    assert face.seen.last(CircuitClosed).reason == "1 probes succeeded"


def test_listener_may_change_the_breaker():
    """A listener that resets the breaker sees the reset's own event after the one that it handles."""
    bus, breaker = EventBus(), None
    order = []

    def heal(event):
        order.append(event.event_type)
        breaker.reset()

    breaker = CircuitBreaker(failure_threshold=1, bus=bus)
    with bus.subscribe(heal, CircuitOpened), bus.subscribe(lambda e: order.append(e.event_type), CircuitClosed):
        breaker.record_failure()

    assert order == ["CircuitOpened", "CircuitClosed"]


def test_raising_listener_does_not_reach_the_caller():
    """A broken listener leaves the call and the breaker alone."""
    bus = EventBus()
    breaker = CircuitBreaker(failure_threshold=1, bus=bus)
    with bus.subscribe(lambda _: throw(RuntimeError("broken"))):
        breaker.record_failure()

    assert breaker.state is OPEN


def test_listener_runs_without_the_lock():
    """A listener may ask the breaker from another thread while it runs."""
    bus, answers = EventBus(), []
    breaker = CircuitBreaker(failure_threshold=1, bus=bus)

    def ask(_):
        thread = threading.Thread(target=lambda: answers.append(breaker.snapshot().state))
        thread.start()
        thread.join(1)

    with bus.subscribe(ask, CircuitOpened):
        breaker.record_failure()

    assert answers == [OPEN]


def test_events_are_not_built_unheard(monkeypatch):
    """An event is built only where somebody listens for its type."""
    bus, built = EventBus(), []
    for kind in (CallFailed, CallRejected, CircuitOpened):
        monkeypatch.setattr(kind, "__init__", lambda self, **_: built.append(type(self)))
    breaker = CircuitBreaker(failure_threshold=1, bus=bus)

    with bus.subscribe(lambda _: None, CircuitHalfOpened):
        for _ in range(2):
            with pytest.raises((ConnectionError, CircuitOpenError)):
                breaker.call(throw, ConnectionError("down"))
    assert (built, breaker.snapshot().rejected) == ([], 1)

    with bus.subscribe(lambda _: None, CallRejected), pytest.raises(CircuitOpenError):
        breaker.call(throw, ConnectionError("down"))
    assert built == [CallRejected]


def test_on_trip(face):
    """The function given is told each time the circuit opens, without a lock, and may do as it likes."""
    told = []
    breaker = make(face, failure_threshold=1, on_trip=lambda event: told.append((event.reason, breaker.state)))
    face.fail(breaker, 1)
    breaker.force_closed()
    breaker.force_open()

    assert told == [("1 failures in a row, the last: ConnectionError: down", OPEN), ("opened by hand", OPEN)]


def test_raising_on_trip_does_not_reach_the_caller(face, caplog):
    """An error in the notification is logged; the caller gets the call's own."""
    breaker = make(face, failure_threshold=1, on_trip=lambda _: 1 / 0)
    with pytest.raises(ConnectionError):
        face.call(breaker, face.scripted(ConnectionError("down"))[0])

    assert "ZeroDivisionError" in caplog.text


def test_on_trip_can_be_changed(face):
    """The notification is a setting as the others."""
    told = []
    breaker = make(face, failure_threshold=1, on_trip=lambda _: told.append("old"))
    breaker.reconfigure(on_trip=lambda _: told.append("new"))
    face.fail(breaker, 1)
    breaker.reconfigure(on_trip=None)
    breaker.force_open()

    assert told == ["new"]


def test_outcome_of_an_opened_event_names_the_reason():
    """The event that it opened says what tipped it and until when."""
    bus, seen = EventBus(), []
    with bus.subscribe(seen.append, CircuitOpened):
        breaker = CircuitBreaker(trip=FailuresWithin(1, 60.0), bus=bus, clock=ManualClock(start=5.0))
        with pytest.raises(NetworkError):
            breaker.call(throw, NetworkError("gone"))

    assert [(event.reason, event.until) for event in seen] == [
        ("1 failures within 60 s, the last: NetworkError: gone", 35.0)
    ]
