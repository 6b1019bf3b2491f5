"""Deliver queued writes: the runner and what carries a write to its server."""

from outlast.engines.coalesce import OpCoalescer
from outlast.engines.json_values import ABSENT, UNKNOWN
from outlast.engines.merge import MergeRules, merge
from outlast.engines.merge_report import FieldReport, Merged, Source
from outlast.engines.merge_rules import FieldConflict, Rule
from outlast.engines.overlay import LocalOp, Seen
from outlast.engines.reconcile_records import ConflictPolicies, ConflictPolicy, OnDeleted, OnDuplicate, Resolution
from outlast.outbox import DeliveryPolicy, LeaseConfig, Outbox, SyncOutbox
from outlast.sync_engine._callable_transport import CallableTransport
from outlast.sync_engine._conflict import Conflict, Decision, Resend, Resolver
from outlast.sync_engine._content import holds
from outlast.sync_engine._credentials import Credentials, Headers
from outlast.sync_engine._http_batch import HttpBatch
from outlast.sync_engine._http_transport import HttpTransport
from outlast.sync_engine._metrics import SyncMetrics
from outlast.sync_engine._metrics_snapshot import SyncSnapshot
from outlast.sync_engine._optimistic import OptimisticChange, OptimisticStore
from outlast.sync_engine._overlay import Overlay, SyncOverlay
from outlast.sync_engine._runner import Runner

__all__ = [
    "ABSENT",
    "UNKNOWN",
    "CallableTransport",
    "Conflict",
    "ConflictPolicies",
    "ConflictPolicy",
    "Credentials",
    "Decision",
    "DeliveryPolicy",
    "FieldConflict",
    "FieldReport",
    "Headers",
    "HttpBatch",
    "HttpTransport",
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
    "Resend",
    "Resolution",
    "Resolver",
    "Rule",
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
