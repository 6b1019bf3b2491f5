"""Deliver queued writes: the runner and what carries a write to its server."""

from outlast.outbox import DeliveryPolicy, LeaseConfig, Outbox, SyncOutbox
from outlast.sync_engine._callable_transport import CallableTransport
from outlast.sync_engine._content import holds
from outlast.sync_engine._http_transport import Headers, HttpTransport
from outlast.sync_engine._metrics import SyncMetrics
from outlast.sync_engine._metrics_snapshot import SyncSnapshot
from outlast.sync_engine._runner import Runner

__all__ = [
    "CallableTransport",
    "DeliveryPolicy",
    "Headers",
    "HttpTransport",
    "LeaseConfig",
    "Outbox",
    "Runner",
    "SyncMetrics",
    "SyncOutbox",
    "SyncSnapshot",
    "holds",
]
