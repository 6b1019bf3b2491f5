"""Deliver queued writes, and hear of the changes of others: the runner, its transports, and the realtime channel."""

from outlast.engines.coalesce import OpCoalescer
from outlast.engines.feed_records import LadderConfig, Rung
from outlast.engines.json_values import ABSENT, UNKNOWN
from outlast.engines.merge import MergeRules, merge
from outlast.engines.merge_report import FieldReport, Merged, Source
from outlast.engines.merge_rules import FieldConflict, Rule
from outlast.engines.overlay import LocalOp, Seen
from outlast.engines.reconcile_records import ConflictPolicies, ConflictPolicy, OnDeleted, OnDuplicate, Resolution
from outlast.outbox import DeliveryPolicy, LeaseConfig, Outbox, SyncOutbox
from outlast.sync_engine._callable_transport import CallableTransport
from outlast.sync_engine._content import holds
from outlast.sync_engine._feed_intake import FeedStats
from outlast.sync_engine._feed_records import FeedEvent, FeedFormat, FeedPage, JsonFeed, Position
from outlast.sync_engine._feed_store import FeedRow, FeedStore
from outlast.sync_engine._http_transport import Headers, HttpTransport
from outlast.sync_engine._metrics import SyncMetrics
from outlast.sync_engine._metrics_snapshot import SyncSnapshot
from outlast.sync_engine._optimistic import OptimisticChange, OptimisticStore
from outlast.sync_engine._overlay import Overlay, SyncOverlay
from outlast.sync_engine._realtime import RealtimeChannel
from outlast.sync_engine._runner import Runner

__all__ = [
    "ABSENT",
    "UNKNOWN",
    "CallableTransport",
    "ConflictPolicies",
    "ConflictPolicy",
    "DeliveryPolicy",
    "FeedEvent",
    "FeedFormat",
    "FeedPage",
    "FeedRow",
    "FeedStats",
    "FeedStore",
    "FieldConflict",
    "FieldReport",
    "Headers",
    "HttpTransport",
    "JsonFeed",
    "LadderConfig",
    "LeaseConfig",
    "LocalOp",
    "MergeRules",
    "Merged",
    "OnDeleted",
    "OnDuplicate",
    "OpCoalescer",
    "OptimisticChange",
    "OptimisticStore",
    "Outbox",
    "Overlay",
    "Position",
    "RealtimeChannel",
    "Resolution",
    "Rule",
    "Rung",
    "Runner",
    "Seen",
    "Source",
    "SyncMetrics",
    "SyncOutbox",
    "SyncOverlay",
    "SyncSnapshot",
    "holds",
    "merge",
]
