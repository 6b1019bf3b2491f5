"""What was counted of an outbox's work up to a moment, as a record, as plain data and as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSnapshot:
    """Hold what was counted up to a moment.

    Args:
        enqueued: Writes that became durable.
        coalesced: Writes that were folded into one that waited, and so need no request of their own.
        sent: Requests that were started.
        succeeded: Writes that were delivered.
        failed: Times that a write was given up.
        retried: Attempts that settled nothing, so that another follows; they are no failures.
        conflicts: Times that a write was refused because the server holds something else.
        conflicts_resolved: Conflicts that were overcome: that a policy settled, or whose write was delivered after all.
        queue_depth: Writes that wait, neither in conflict nor dead.
        latency_avg: Seconds from a request to its recorded success on average, or None.
        latency_p95: Seconds that 95 % of recent ones stayed below, up to a sixteenth too high, or None.
        network_health: Share of the last 100 attempts that were answered, from 0 to 1, or None.
        breaker_trips: Times that a circuit opened.
        breaker_recoveries: Times that one closed again.
        origin_pauses: Times that an origin asked for a pause.
        origin_paused_for: Seconds that it asked for, in all.
        leases_taken: Times that this process became the one that delivers.
        leases_lost: Times that another took over from it.
        delivery_stops: Times that delivery ended in trouble, to be started anew.
    """

    enqueued: int
    coalesced: int
    sent: int
    succeeded: int
    failed: int
    retried: int
    conflicts: int
    conflicts_resolved: int
    queue_depth: int
    latency_avg: float | None
    latency_p95: float | None
    network_health: float | None
    breaker_trips: int
    breaker_recoveries: int
    origin_pauses: int
    origin_paused_for: float
    leases_taken: int
    leases_lost: int
    delivery_stops: int

    @property
    def success_rate(self) -> float | None:
        """Return the share of settled writes that were delivered, from 0 to 1, or None before the first.

        Retries do not count: a write that arrives at its fifth attempt has arrived.
        """
        settled = self.succeeded + self.failed
        return self.succeeded / settled if settled else None

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return it in groups of plain data, latencies in milliseconds."""
        return {
            "operations": {
                "enqueued": self.enqueued,
                "coalesced": self.coalesced,
                "sent": self.sent,
                "processed": self.succeeded,
                "failed": self.failed,
                "retried": self.retried,
                "conflicts": self.conflicts,
                "conflicts_resolved": self.conflicts_resolved,
                "success_rate": self.success_rate,
            },
            "latency": {"avg_ms": _milliseconds(self.latency_avg), "p95_ms": _milliseconds(self.latency_p95)},
            "queue": {"depth": self.queue_depth},
            "network": {
                "health_score": self.network_health,
                "pauses": self.origin_pauses,
                "paused_seconds": self.origin_paused_for,
            },
            "breaker": {"trips": self.breaker_trips, "recoveries": self.breaker_recoveries},
            "delivery": {
                "leases_taken": self.leases_taken,
                "leases_lost": self.leases_lost,
                "stops": self.delivery_stops,
            },
        }

    def text(self) -> str:
        """Return the summary as lines of text."""
        lines: list[str] = []
        for group, values in self.summary().items():
            lines.append(group)
            lines += [f"  {name.replace('_', ' '):<20}{_shown(name, value):>12}" for name, value in values.items()]
        return "\n".join(lines) + "\n"


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000.0


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name in {"success_rate", "health_score"}:
        return f"{value:.1%}"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
