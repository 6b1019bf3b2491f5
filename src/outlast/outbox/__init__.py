"""Writes that wait durably until they are delivered: the queue, its tickets, its lease and its delivery loop."""

from outlast.engines.batches import BatchLimits
from outlast.engines.bounds import OutboxLimits
from outlast.engines.delivery import Course, History
from outlast.engines.lease import LeaseConfig
from outlast.engines.op import (
    Accepted,
    Answer,
    Applied,
    AuthNeeded,
    Busy,
    DeliveryPolicy,
    Found,
    Gone,
    InDoubt,
    Missing,
    NotApplied,
    OpState,
    ReadBack,
    Rejected,
    Stale,
    Step,
    Unreadable,
    Verb,
)
from outlast.outbox._core import OutboxCore
from outlast.outbox._doctor import (
    Doubtful,
    Finding,
    SalvageReport,
    Why,
    begin_epoch,
    downgrade,
    examine,
    explain,
    nobody,
    salvage,
)
from outlast.outbox._enqueue_in import aenqueue_in, enqueue_in
from outlast.outbox._gate import OriginGate
from outlast.outbox._identity import Identity
from outlast.outbox._inspection import Inspection, OpSheet, Sealed
from outlast.outbox._judge import Disputed, Reconcile
from outlast.outbox._lease import ProcessingLease
from outlast.outbox._loop import DeliveryLoop
from outlast.outbox._make_write import encode_body
from outlast.outbox._outbox import Outbox, Ticket
from outlast.outbox._parked import ParkedOp
from outlast.outbox._queries import BodyCodec, Coalescing, Report, Terms
from outlast.outbox._recorder import LoopStats
from outlast.outbox._records import Claimed, Counts, Op, OpContent, OpStatus, PendingDiff, SealedRequest, Shadow, Term
from outlast.outbox._retention import Pruned, Retention, keep_pruned
from outlast.outbox._routes import BeforeSettle, Route, Routes
from outlast.outbox._sync import SyncOutbox, SyncTicket
from outlast.outbox._transaction import Transaction
from outlast.outbox._transport import Batching, Parcel, Polling, Refreshing, Transport
from outlast.outbox._upcasters import Upcaster, Upcasters
from outlast.outbox._write import Write

__all__ = [
    "Accepted",
    "Answer",
    "Applied",
    "AuthNeeded",
    "BatchLimits",
    "Batching",
    "BeforeSettle",
    "BodyCodec",
    "Busy",
    "Claimed",
    "Coalescing",
    "Counts",
    "Course",
    "DeliveryLoop",
    "DeliveryPolicy",
    "Disputed",
    "Doubtful",
    "Finding",
    "Found",
    "Gone",
    "History",
    "Identity",
    "InDoubt",
    "Inspection",
    "LeaseConfig",
    "LoopStats",
    "Missing",
    "NotApplied",
    "Op",
    "OpContent",
    "OpSheet",
    "OpState",
    "OpStatus",
    "OriginGate",
    "Outbox",
    "OutboxCore",
    "OutboxLimits",
    "Parcel",
    "ParkedOp",
    "PendingDiff",
    "Polling",
    "ProcessingLease",
    "Pruned",
    "ReadBack",
    "Reconcile",
    "Refreshing",
    "Rejected",
    "Report",
    "Retention",
    "Route",
    "Routes",
    "SalvageReport",
    "Sealed",
    "SealedRequest",
    "Shadow",
    "Stale",
    "Step",
    "SyncOutbox",
    "SyncTicket",
    "Term",
    "Terms",
    "Ticket",
    "Transaction",
    "Transport",
    "Unreadable",
    "Upcaster",
    "Upcasters",
    "Verb",
    "Why",
    "Write",
    "aenqueue_in",
    "begin_epoch",
    "downgrade",
    "encode_body",
    "enqueue_in",
    "examine",
    "explain",
    "keep_pruned",
    "nobody",
    "salvage",
]
