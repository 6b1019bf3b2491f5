"""Counts of what an outbox and its runner do, kept from the events that they publish."""

from __future__ import annotations

import heapq
import sys
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, TextIO

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.config import check_number
from outlast.engines.latency import LatencyHistogram
from outlast.events import (
    DEFAULT_BUS,
    CallFailed,
    CircuitClosed,
    CircuitOpened,
    DeliveryStopped,
    Event,
    EventBus,
    LeaseLost,
    LeaseTaken,
    OpConflicted,
    OpDelivered,
    OpDied,
    OpEnqueued,
    OpFolded,
    OpPostponed,
    OpResolved,
    OpSent,
    OriginPaused,
)
from outlast.sync_engine._metrics_matching import Attempts, Departure, Leavers
from outlast.sync_engine._metrics_snapshot import SyncSnapshot

_REMEMBERED: Final = 4096
"""Far more than are on the wire at once."""
_NETWORK_WINDOW: Final = 100
_NANO: Final = 1_000_000_000
_UNANSWERED: Final = "NetworkError"
"""The error that a runner's circuit is told when no answer came."""

_COUNTED: Final = (
    "enqueued", "coalesced", "sent", "succeeded", "failed", "retried", "conflicts", "conflicts_resolved",
    "breaker_trips", "breaker_recoveries", "origin_pauses", "leases_taken", "leases_lost", "delivery_stops",
)  # fmt: skip

OnTrip = Callable[[CircuitOpened], None]


class SyncMetrics:
    """Count what happens to writes, from the events of a bus: nothing in the engine knows of it.

    Counts do not depend on the order in which events arrive, and memory does not grow with their number. What is
    counted is what this process sees: writes of other processes on the same outbox announce themselves there.

    The `record_` methods are for writes that no outbox of ours delivers; an outbox needs none of them.

    Thread-safe: yes.

    Args:
        bus: Whose events. Default: the shared one.
        outbox: The name of the outbox to count. Default: all of the bus.
        breaker: The name of the circuit to count. Default: all of the bus.
        queue_depth: Writes that wait already, as `Counts.open` says. Default 0.
        on_trip: Called with each `CircuitOpened`, outside of any lock; what it raises is logged.
        clock: Where the time of recorded attempts comes from.

    Raises:
        ConfigError: The depth is below 0.

    >>> from outlast.events import EventBus
    >>> with SyncMetrics(EventBus()) as metrics:
    ...     metrics.record_enqueue()
    ...     metrics.record_success(latency_ms=250)
    >>> metrics.summary()["operations"]["success_rate"], metrics.summary()["latency"]["avg_ms"]
    (1.0, 250.0)
    """

    def __init__(
        self,
        bus: EventBus = DEFAULT_BUS,
        *,
        outbox: str | None = None,
        breaker: str | None = None,
        queue_depth: int = 0,
        on_trip: OnTrip | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_number("queue_depth", queue_depth, least=0)
        self._names = {"outbox": outbox, "breaker": breaker}
        self._on_trip = on_trip
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._depth = queue_depth
        # Whole nanoseconds: a sum of floats depends on their order.
        self._paused_for = 0
        self._latency_sum = 0
        self._latencies = LatencyHistogram()
        # The latest attempts by their own time, each with whether it was answered: the smallest time is on top.
        self._network: list[tuple[float, bool]] = []
        self._attempts = Attempts(_REMEMBERED)
        self._leavers = Leavers(_REMEMBERED)
        self._notes: dict[type[Event], tuple[str, Callable[[Any], None]]] = {
            OpEnqueued: ("outbox", lambda _: self._enqueue()),
            OpFolded: ("outbox", self._folded),
            OpSent: ("outbox", self._sent),
            OpDelivered: ("outbox", self._delivered),
            OpPostponed: ("outbox", self._postponed),
            OpConflicted: ("outbox", self._conflicted),
            OpResolved: ("outbox", lambda _: self._count("conflicts", "conflicts_resolved")),
            OpDied: ("outbox", self._died),
            OriginPaused: ("outbox", self._paused),
            LeaseTaken: ("outbox", lambda _: self._count("leases_taken")),
            LeaseLost: ("outbox", lambda _: self._count("leases_lost")),
            DeliveryStopped: ("outbox", lambda _: self._count("delivery_stops")),
            CallFailed: ("breaker", self._call_failed),
            CircuitOpened: ("breaker", lambda _: self._count("breaker_trips")),
            CircuitClosed: ("breaker", lambda _: self._count("breaker_recoveries")),
        }
        self._subscription = bus.subscribe(self._take, *self._notes)

    def close(self) -> None:
        """Listen no longer; what was counted stays."""
        self._subscription.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no longer."""
        self.close()

    def __repr__(self) -> str:
        """Show what was counted."""
        return f"SyncMetrics({self.snapshot()!r})"

    def snapshot(self) -> SyncSnapshot:
        """Return what was counted so far, all of one moment."""
        with self._lock:
            seen, network = self._latencies.seen, self._network
            return SyncSnapshot(
                **{name: self._counts[name] for name in _COUNTED},
                queue_depth=max(0, self._depth),
                latency_avg=self._latency_sum / _NANO / seen if seen else None,
                latency_p95=self._latencies.quantile(0.95) if seen else None,
                network_health=sum(answered for _, answered in network) / len(network) if network else None,
                origin_paused_for=self._paused_for / _NANO,
            )

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return what was counted in groups of plain data, latencies in milliseconds."""
        return self.snapshot().summary()

    def print_summary(self, out: TextIO | None = None) -> None:
        """Write the summary as text, to standard output unless something else is given."""
        (out or sys.stdout).write(self.snapshot().text())

    def record_enqueue(self) -> None:
        """Count a write that waits now."""
        with self._lock:
            self._enqueue()

    def record_success(self, *, latency_ms: float) -> None:
        """Count a write that was delivered, and the milliseconds that its request took."""
        check_number("latency_ms", latency_ms, least=0)
        with self._lock:
            self._count("sent", "succeeded")
            self._depth -= 1
            self._latency(latency_ms / 1000.0)
            self._attempt(self._clock.now(), answered=True)

    def record_failure(self, *, is_network_error: bool = False) -> None:
        """Count a write that was given up, and whether for want of any answer."""
        with self._lock:
            self._count("sent", "failed")
            self._depth -= 1
            self._attempt(self._clock.now(), answered=not is_network_error)

    def record_retry(self) -> None:
        """Count an attempt that another follows."""
        with self._lock:
            self._count("sent", "retried")

    def record_conflict_resolved(self) -> None:
        """Count a conflict that was overcome."""
        with self._lock:
            self._count("conflicts", "conflicts_resolved")

    def record_queue_depth(self, depth: int) -> None:
        """Set how many writes wait now; what comes is counted from there."""
        check_number("depth", depth, least=0)
        with self._lock:
            self._depth = depth

    def _take(self, event: Event) -> None:
        where, note = self._notes[type(event)]
        wanted = self._names[where]
        # In shadow mode a circuit only says what it would have done.
        if (wanted is not None and event.source != wanted) or getattr(event, "shadow", False):
            return
        with self._lock:
            note(event)
        if isinstance(event, CircuitOpened) and self._on_trip is not None:
            self._on_trip(event)

    def _count(self, *names: str) -> None:
        for name in names:
            self._counts[name] += 1

    def _enqueue(self) -> None:
        self._count("enqueued")
        self._depth += 1

    def _folded(self, event: OpFolded) -> None:
        self._count("coalesced")
        self._depth -= event.removed

    def _sent(self, event: OpSent) -> None:
        self._count("sent")
        ended = self._attempts.meet((event.source, event.seq, event.attempt), event.at, is_end=False)
        if ended is not None:
            self._latency(ended - event.at)

    def _delivered(self, event: OpDelivered) -> None:
        self._count("succeeded")
        self._attempt(event.at, answered=True)
        began = self._attempts.meet((event.source, event.seq, event.attempt), event.at, is_end=True)
        if began is not None:
            self._latency(event.at - began)
        self._leave(self._leavers.deliver((event.source, event.seq)))

    def _postponed(self, event: OpPostponed) -> None:
        self._count("retried")
        self._attempts.meet((event.source, event.seq, event.attempt), None, is_end=True)

    def _conflicted(self, event: OpConflicted) -> None:
        self._count("conflicts")
        self._attempt(event.at, answered=True)
        self._leave(self._leavers.stop((event.source, event.seq), conflict=True))

    def _died(self, event: OpDied) -> None:
        self._count("failed")
        self._leave(self._leavers.stop((event.source, event.seq), conflict=False))

    def _leave(self, departure: Departure) -> None:
        self._depth -= departure.leaves
        self._counts["conflicts_resolved"] += departure.resolved

    def _paused(self, event: OriginPaused) -> None:
        self._count("origin_pauses")
        self._paused_for += round(event.wait * _NANO)

    def _call_failed(self, event: CallFailed) -> None:
        self._attempt(event.at, answered=not event.error.startswith(_UNANSWERED))

    def _latency(self, seconds: float) -> None:
        self._latencies.add(seconds)
        self._latency_sum += round(seconds * _NANO)

    def _attempt(self, at: float, *, answered: bool) -> None:
        heapq.heappush(self._network, (at, answered))
        if len(self._network) > _NETWORK_WINDOW:
            heapq.heappop(self._network)
