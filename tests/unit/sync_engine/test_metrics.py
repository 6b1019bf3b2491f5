"""SyncMetrics: exact counts in whatever order events come, bounded memory, and the seed's names."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.errors import ConfigError
from outlast.events import (
    CallFailed,
    CircuitClosed,
    CircuitOpened,
    DeliveryStopped,
    EventBus,
    LeaseLost,
    LeaseTaken,
    OpConflicted,
    OpDelivered,
    OpDied,
    OpEnqueued,
    OpPostponed,
    OpSent,
    OriginPaused,
)
from outlast.sync_engine import SyncMetrics
from outlast.testing import ManualClock


def op(kind, seq, at=0.0, source="box", **fields):
    """Make an event of a write."""
    return kind(source=source, at=at, seq=seq, kind="note", entity=f"n{seq}", **fields)


def unanswered(at=0.0, error="NetworkError: refused"):
    """Make what a circuit says of an attempt without an answer."""
    return CallFailed(source="origin", at=at, error=error)


def trip(source="origin", **fields):
    """Make what a circuit says when it opens."""
    return CircuitOpened(source=source, at=1.0, until=31.0, reason="5 failures", **fields)


@pytest.fixture
def bus():
    """A bus of its own."""
    return EventBus()


@pytest.fixture
def metrics(bus):
    """Counts of it."""
    with SyncMetrics(bus) as metrics:
        yield metrics


def publish(bus, *events):
    """Publish events in this order."""
    for event in events:
        bus.publish(event)


def test_a_write_that_arrives(bus, metrics):
    """Its request counts once, its latency is that of the last attempt, and nothing waits any longer."""
    publish(bus, op(OpEnqueued, 1), op(OpSent, 1, 10.0, attempt=1, key="k"), op(OpDelivered, 1, 10.25, attempt=1))

    now = metrics.snapshot()
    assert (now.enqueued, now.sent, now.succeeded, now.queue_depth) == (1, 1, 1, 0)
    assert (now.success_rate, now.latency_avg) == (1.0, 0.25)
    assert 0.25 <= now.latency_p95 <= 0.25 * 17 / 16


def test_retries_are_no_failures(bus, metrics):
    """A write that arrives at its third attempt has arrived."""
    publish(bus, op(OpEnqueued, 1))
    for attempt in (1, 2):
        publish(bus, op(OpSent, 1, attempt=attempt, key="k"))
        publish(bus, op(OpPostponed, 1, attempt=attempt, wait=1.0, reason="503"))
    assert metrics.snapshot().queue_depth == 1
    publish(bus, op(OpSent, 1, 5.0, attempt=3, key="k"), op(OpDelivered, 1, 6.0, attempt=3))

    now = metrics.snapshot()
    assert (now.sent, now.retried, now.failed, now.success_rate, now.latency_avg) == (3, 2, 0, 1.0, 1.0)


def test_what_is_given_up(bus, metrics):
    """It counts against the success rate, and waits no longer."""
    publish(bus, *(op(OpEnqueued, seq) for seq in range(4)), *(op(OpDelivered, seq, attempt=1) for seq in range(3)))
    publish(bus, op(OpDied, 3, reason="422"))

    assert (metrics.snapshot().success_rate, metrics.snapshot().queue_depth) == (0.75, 0)


def test_a_conflict_that_is_overcome(bus, metrics):
    """The write leaves the queue once, however often it was in conflict."""
    publish(bus, op(OpEnqueued, 1), op(OpConflicted, 1, reason="412"), op(OpConflicted, 1, reason="412"))
    assert (metrics.snapshot().conflicts_resolved, metrics.snapshot().queue_depth) == (0, 0)
    publish(bus, op(OpEnqueued, 2), op(OpDelivered, 1, attempt=3))

    now = metrics.snapshot()
    assert (now.conflicts, now.conflicts_resolved, now.queue_depth) == (2, 1, 1)


def test_a_dead_write_that_is_replayed(bus, metrics):
    """It left the queue once, and no conflict was resolved."""
    publish(bus, op(OpEnqueued, 1), op(OpDied, 1, reason="400"), op(OpDelivered, 1, attempt=2))

    now = metrics.snapshot()
    assert (now.failed, now.succeeded, now.conflicts_resolved, now.queue_depth) == (1, 1, 0, 0)


def test_trips_are_counted_and_told(bus):
    """Each trip of the circuit reaches the hook, after it was counted; in shadow mode there is none."""
    told = []

    def hook(event):
        told.append((event.reason, metrics.snapshot().breaker_trips))

    with SyncMetrics(bus, on_trip=hook) as metrics:
        publish(bus, trip(), CircuitClosed(source="origin", at=2.0, reason="2 successes"), trip(), trip(shadow=True))

    assert told == [("5 failures", 1), ("5 failures", 2)]
    assert metrics.snapshot().breaker_recoveries == 1


def test_a_hook_that_raises_costs_nothing(bus, caplog):
    """What it raises is logged, and counting goes on."""

    def hook(event):
        raise ZeroDivisionError

    with SyncMetrics(bus, on_trip=hook) as metrics:
        publish(bus, trip(), trip())

    assert metrics.snapshot().breaker_trips == 2
    assert "ZeroDivisionError" in caplog.text


def test_leases_pauses_and_stops(bus, metrics):
    """What happens to the delivery as a whole is counted too."""
    publish(bus, LeaseTaken(source="box", at=0.0, fence=2, reason="stale"), LeaseLost(source="box", at=1.0, fence=2))
    for wait in (0.1, 0.2):
        publish(bus, OriginPaused(source="box", at=2.0, origin="http://api", wait=wait, reason="429"))
    publish(bus, DeliveryStopped(source="box", at=3.0, reason="401", wait=5.0))

    now = metrics.snapshot()
    assert (now.leases_taken, now.leases_lost, now.delivery_stops) == (1, 1, 1)
    assert (now.origin_pauses, now.origin_paused_for) == (2, 0.3)


def test_the_network_is_judged_by_recent_attempts(bus, metrics):
    """Only want of an answer speaks against the network, and only the last hundred attempts count."""
    assert metrics.snapshot().network_health is None
    publish(bus, *(unanswered(at=float(number)) for number in range(100)))
    assert metrics.snapshot().network_health == 0.0
    publish(bus, *(op(OpDelivered, number, 100.0 + number, attempt=1) for number in range(50)))
    publish(bus, *(unanswered(200.0 + number, "ServerError: 503") for number in range(25)))
    assert metrics.snapshot().network_health == 0.75
    publish(bus, unanswered(at=0.5))
    assert metrics.snapshot().network_health == 0.75, "an old attempt that is told late is still an old one"


def test_only_what_was_asked_for(bus):
    """Outbox and circuit may be named, where several share a bus."""
    with SyncMetrics(bus, outbox="mine", breaker="api") as metrics:
        publish(bus, op(OpEnqueued, 1, source="mine"), op(OpEnqueued, 1, source="other"))
        publish(bus, trip("api"), trip("other"))

    assert (metrics.snapshot().enqueued, metrics.snapshot().breaker_trips) == (1, 1)


def test_equal_places_in_two_outboxes(bus, metrics):
    """Writes of two outboxes are not mistaken for each other."""
    publish(bus, op(OpSent, 1, 1.0, "a", attempt=1, key="k"), op(OpDelivered, 1, 9.0, "b", attempt=1))

    assert metrics.snapshot().latency_avg is None


def test_nothing_is_counted_after_the_end(bus):
    """Closing ends it; what was counted stays."""
    metrics = SyncMetrics(bus)
    publish(bus, op(OpEnqueued, 1))
    metrics.close()
    publish(bus, op(OpEnqueued, 2))

    assert metrics.snapshot().enqueued == 1
    assert not bus.active


def test_memory_is_bounded(bus, metrics):
    """Requests whose end is never told, and stops that nobody replays, do not pile up."""
    for seq in range(10_000):
        publish(bus, op(OpEnqueued, seq), op(OpSent, seq, attempt=1, key="k"), op(OpConflicted, seq, reason="412"))
        publish(bus, op(OpDelivered, -1 - seq, attempt=1), unanswered(float(seq)))

    waiting = [metrics._attempts._waiting, metrics._leavers._stopped, metrics._leavers._delivered, metrics._network]
    assert [len(held) for held in waiting] == [4096, 4096, 4096, 100]
    assert (metrics.snapshot().sent, metrics.snapshot().conflicts) == (10_000, 10_000)


def test_many_threads_lose_no_count(bus, metrics):
    """Events may come from any thread."""

    def work(first):
        for seq in range(first, first + 500):
            publish(bus, op(OpEnqueued, seq), op(OpSent, seq, attempt=1, key="k"), op(OpDelivered, seq, attempt=1))

    threads = [threading.Thread(target=work, args=[1000 * number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    now = metrics.snapshot()
    assert (now.enqueued, now.sent, now.succeeded, now.queue_depth) == (2000, 2000, 2000, 0)
    assert metrics._latencies.seen == 2000


@dataclass(frozen=True)
class History:
    """What one write goes through: its attempts, its stops and how it ends, and the events of that."""

    events: tuple
    retries: int
    conflicts: int
    deaths: int
    delivered: bool
    latency: float


@st.composite
def histories(draw, seq):
    """Draw the life of a write: postponed some times, stopped and replayed some times, and perhaps delivered."""
    rounds = draw(st.lists(st.sampled_from(["postponed", "conflict", "dead"]), max_size=4))
    delivered, at, events = draw(st.booleans()), float(seq), [op(OpEnqueued, seq)]
    for attempt, outcome in enumerate([*rounds, *(["delivered"] if delivered else [])], 1):
        took = draw(st.integers(1, 2000)) / 1000
        events.append(op(OpSent, seq, at, attempt=attempt, key="k"))
        at += took
        match outcome:
            case "postponed":
                events += [op(OpPostponed, seq, at, attempt=attempt, wait=1.0, reason="x"), unanswered(at)]
            case "conflict":
                events.append(op(OpConflicted, seq, at, reason="x"))
            case "dead":
                events.append(op(OpDied, seq, at, reason="x"))
            case _:
                events.append(op(OpDelivered, seq, at, attempt=attempt))
        at += 1.0
    counts = [rounds.count(what) for what in ("postponed", "conflict", "dead")]
    return History(tuple(events), *counts, delivered, round(took * 1e9) if delivered else 0)


@given(st.data())
def test_the_order_of_events_does_not_matter(data):
    """Any order gives the same counts, and they are those that the lives of the writes say."""
    lives = [data.draw(histories(seq)) for seq in range(data.draw(st.integers(1, 6)))]
    events = [event for life in lives for event in life.events]
    bus, other = EventBus(), EventBus()
    with SyncMetrics(bus) as straight, SyncMetrics(other) as shuffled:
        publish(bus, *events)
        publish(other, *data.draw(st.permutations(events)))

    now = straight.snapshot()
    assert shuffled.snapshot() == now
    arrived = [life for life in lives if life.delivered]
    stopped = [life for life in lives if not life.delivered and life.conflicts + life.deaths]
    assert (now.enqueued, now.succeeded) == (len(lives), len(arrived))
    assert now.retried == sum(life.retries for life in lives)
    assert (now.conflicts, now.failed) == (sum(life.conflicts for life in lives), sum(life.deaths for life in lives))
    assert now.conflicts_resolved == sum(life.conflicts > 0 for life in arrived)
    assert now.queue_depth == len(lives) - len(arrived) - len(stopped)
    assert now.latency_avg == (sum(life.latency for life in arrived) / 1e9 / len(arrived) if arrived else None)


def test_the_names_of_the_seed(bus):
    """Code that was written for it finds what it had."""
    metrics = SyncMetrics(bus, clock=ManualClock())
    metrics.record_enqueue()
    metrics.record_success(latency_ms=250)
    metrics.record_failure(is_network_error=True)
    metrics.record_failure()
    metrics.record_retry()
    metrics.record_conflict_resolved()
    metrics.record_queue_depth(5)
    summary = metrics.summary()

    assert summary["operations"] == {
        "enqueued": 1, "coalesced": 0, "sent": 4, "processed": 1, "failed": 2, "retried": 1, "conflicts": 1,
        "conflicts_resolved": 1, "success_rate": 1 / 3,
    }  # fmt: skip
    assert summary["latency"]["avg_ms"] == 250
    assert 250 <= summary["latency"]["p95_ms"] <= 250 * 17 / 16
    assert summary["queue"] == {"depth": 5}
    assert summary["network"] == {"health_score": 2 / 3, "pauses": 0, "paused_seconds": 0.0}
    metrics.close()


def test_the_report_is_text(bus, metrics, capsys):
    """It says everything, also where there is nothing yet."""
    metrics.print_summary()
    assert "success rate                   -" in capsys.readouterr().out
    metrics.record_success(latency_ms=1234.5)
    out = io.StringIO()
    metrics.print_summary(out)

    assert "  success rate              100.0%\n" in out.getvalue()
    assert "  avg ms                   1,234.5\n" in out.getvalue()
    assert [line for line in out.getvalue().splitlines() if not line.startswith(" ")] == list(metrics.summary())


def test_the_depth_may_be_known_beforehand(bus):
    """What waited before we listened is told at the start, and a wrong idea of it never shows a negative depth."""
    with SyncMetrics(bus, queue_depth=3) as metrics:
        publish(bus, *(op(OpDelivered, seq, attempt=1) for seq in range(2)))
        assert metrics.snapshot().queue_depth == 1
        publish(bus, *(op(OpDelivered, seq, attempt=1) for seq in range(2, 5)))
        assert metrics.snapshot().queue_depth == 0

    assert "queue_depth=0" in repr(metrics)


def test_numbers_that_make_no_sense_are_refused(bus, metrics):
    """A negative depth or latency is a mistake."""
    with pytest.raises(ConfigError, match="queue_depth"):
        SyncMetrics(bus, queue_depth=-1)
    with pytest.raises(ConfigError, match="depth"):
        metrics.record_queue_depth(-1)
    with pytest.raises(ConfigError, match="latency_ms"):
        metrics.record_success(latency_ms=-1)
