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
from outlast.outbox._core import OutboxCore, encode_body
from outlast.outbox._enqueue_in import aenqueue_in, enqueue_in
from outlast.outbox._gate import OriginGate
from outlast.outbox._judge import Disputed, Reconcile
from outlast.outbox._lease import ProcessingLease
from outlast.outbox._loop import DeliveryLoop
from outlast.outbox._outbox import Outbox, Ticket
from outlast.outbox._queries import BodyCodec, Coalescing, Report, Terms
from outlast.outbox._recorder import LoopStats
from outlast.outbox._records import Claimed, Counts, Op, OpStatus, ParkedOp, SealedRequest, Shadow, Term, Write
from outlast.outbox._retention import Pruned, Retention, keep_pruned
from outlast.outbox._routes import BeforeSettle, Route, Routes
from outlast.outbox._sync import SyncOutbox, SyncTicket
from outlast.outbox._transaction import Transaction
from outlast.outbox._transport import Batching, Parcel, Polling, Refreshing, Transport
from outlast.outbox._upcasters import Upcaster, Upcasters

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
    "Found",
    "Gone",
    "History",
    "InDoubt",
    "LeaseConfig",
    "LoopStats",
    "Missing",
    "NotApplied",
    "Op",
    "OpState",
    "OpStatus",
    "OriginGate",
    "Outbox",
    "OutboxCore",
    "OutboxLimits",
    "Parcel",
    "ParkedOp",
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
    "Write",
    "aenqueue_in",
    "encode_body",
    "enqueue_in",
    "keep_pruned",
]
