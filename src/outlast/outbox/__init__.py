"""Writes that wait durably until they are delivered: the queue, its tickets, its lease and its delivery loop."""

from outlast.engines.lease import LeaseConfig
from outlast.engines.op import (
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
from outlast.outbox._lease import ProcessingLease
from outlast.outbox._loop import BeforeSettle, DeliveryLoop, LoopStats
from outlast.outbox._outbox import Outbox, Ticket
from outlast.outbox._queries import Coalescing
from outlast.outbox._records import Claimed, Counts, Op, OpStatus, SealedRequest, Write
from outlast.outbox._sync import SyncOutbox, SyncTicket
from outlast.outbox._transaction import Transaction
from outlast.outbox._transport import Transport

__all__ = [
    "Answer",
    "Applied",
    "AuthNeeded",
    "BeforeSettle",
    "Busy",
    "Claimed",
    "Coalescing",
    "Counts",
    "DeliveryLoop",
    "DeliveryPolicy",
    "Found",
    "Gone",
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
    "ProcessingLease",
    "ReadBack",
    "Rejected",
    "SealedRequest",
    "Stale",
    "Step",
    "SyncOutbox",
    "SyncTicket",
    "Ticket",
    "Transaction",
    "Transport",
    "Unreadable",
    "Verb",
    "Write",
    "aenqueue_in",
    "encode_body",
    "enqueue_in",
]
