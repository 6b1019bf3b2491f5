"""Deliver queued writes: the runner and what carries a write to its server."""

from outlast.engines.merge import MergeRules, merge
from outlast.engines.merge_rules import Rule
from outlast.engines.reconcile_records import ConflictPolicies, ConflictPolicy, OnDeleted, OnDuplicate, Resolution
from outlast.outbox import DeliveryPolicy, LeaseConfig, Outbox, SyncOutbox
from outlast.sync_engine._callable_transport import CallableTransport
from outlast.sync_engine._conflict import Conflict, Decision, Resend, Resolver
from outlast.sync_engine._content import holds
from outlast.sync_engine._credentials import Credentials, Headers
from outlast.sync_engine._http_batch import HttpBatch
from outlast.sync_engine._http_transport import HttpTransport
from outlast.sync_engine._optimistic import OptimisticChange, OptimisticStore
from outlast.sync_engine._overlay import Overlay, SyncOverlay
from outlast.sync_engine._runner import Runner

__all__ = [
    "CallableTransport",
    "Conflict",
    "ConflictPolicies",
    "ConflictPolicy",
    "Credentials",
    "Decision",
    "DeliveryPolicy",
    "Headers",
    "HttpBatch",
    "HttpTransport",
    "LeaseConfig",
    "MergeRules",
    "OnDeleted",
    "OnDuplicate",
    "OptimisticChange",
    "OptimisticStore",
    "Outbox",
    "Overlay",
    "Resend",
    "Resolution",
    "Resolver",
    "Rule",
    "Runner",
    "SyncOutbox",
    "SyncOverlay",
    "holds",
    "merge",
]
