"""Typed records of everything that happens, and the bus that carries them."""

from outlast.events._base import Event, Severity
from outlast.events._bus import DEFAULT_BUS, EventBus, EventStream, Listener, Subscription
from outlast.events._cache import LoadFailed, ReadAnswered
from outlast.events._outbox import (
    DeliveryStopped,
    LeaseLost,
    LeaseTaken,
    OpConflicted,
    OpDelivered,
    OpDied,
    OpEnqueued,
    OpEvent,
    OpPostponed,
    OpSent,
    OriginPaused,
)
from outlast.events._policies import (
    CallFailed,
    CallRejected,
    CallTimedOut,
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    RetryGaveUp,
    RetryScheduled,
)

__all__ = [
    "DEFAULT_BUS",
    "CallFailed",
    "CallRejected",
    "CallTimedOut",
    "CircuitClosed",
    "CircuitHalfOpened",
    "CircuitOpened",
    "DeliveryStopped",
    "Event",
    "EventBus",
    "EventStream",
    "LeaseLost",
    "LeaseTaken",
    "Listener",
    "LoadFailed",
    "OpConflicted",
    "OpDelivered",
    "OpDied",
    "OpEnqueued",
    "OpEvent",
    "OpPostponed",
    "OpSent",
    "OriginPaused",
    "ReadAnswered",
    "RetryGaveUp",
    "RetryScheduled",
    "Severity",
    "Subscription",
]
