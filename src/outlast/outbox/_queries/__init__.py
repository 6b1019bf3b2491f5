"""The SQL of an outbox, the same for every store: each function is a job for one transaction and may run twice.

By theme: `enqueue` stores, `room` within bounds, `fold` shortens, `claim` seals, `settle` records, `decide` replays
and discards, `prune` forgets, `look` reads. `tables` holds all in which the stores differ, `plans` what also runs on a
connection that is awaited.
"""

from outlast.outbox._queries.bodies import Bodies, BodyCodec
from outlast.outbox._queries.claim import Admit, Claim, Sealer, Terms, claim
from outlast.outbox._queries.decide import Change, decisions, discard, replay
from outlast.outbox._queries.enqueue import Call, enqueue, plan
from outlast.outbox._queries.fold import Coalescing, index_lanes
from outlast.outbox._queries.identity import IDENTITY, adopt, check_codec, identity, meta_of
from outlast.outbox._queries.look import (
    absent,
    changes,
    counts,
    diff_pending,
    dues,
    kinds,
    once_names,
    parked,
    parked_lanes,
    pending,
    queued,
    status,
    statuses,
    undelivered,
)
from outlast.outbox._queries.plans import Ask, Plan, arun, run
from outlast.outbox._queries.prune import (
    PORTION,
    Place,
    Portion,
    Receipts,
    old_names,
    old_shadows,
    prune_names,
    prune_receipts,
    prune_shadows,
    receipts,
)
from outlast.outbox._queries.room import count_backlog, is_scattered, plan_within
from outlast.outbox._queries.rows import read_op
from outlast.outbox._queries.settle import Report, Settlement, check_fence, leaves_nothing, pauses, settle
from outlast.outbox._queries.shadows import shadow
from outlast.outbox._queries.tables import Tables, Version, Ways, ways_of

__all__ = [
    "IDENTITY",
    "PORTION",
    "Admit",
    "Ask",
    "Bodies",
    "BodyCodec",
    "Call",
    "Change",
    "Claim",
    "Coalescing",
    "Place",
    "Plan",
    "Portion",
    "Receipts",
    "Report",
    "Sealer",
    "Settlement",
    "Tables",
    "Terms",
    "Version",
    "Ways",
    "absent",
    "adopt",
    "arun",
    "changes",
    "check_codec",
    "check_fence",
    "claim",
    "count_backlog",
    "counts",
    "decisions",
    "diff_pending",
    "discard",
    "dues",
    "enqueue",
    "identity",
    "index_lanes",
    "is_scattered",
    "kinds",
    "leaves_nothing",
    "meta_of",
    "old_names",
    "old_shadows",
    "once_names",
    "parked",
    "parked_lanes",
    "pauses",
    "pending",
    "plan",
    "plan_within",
    "prune_names",
    "prune_receipts",
    "prune_shadows",
    "queued",
    "read_op",
    "receipts",
    "replay",
    "run",
    "settle",
    "shadow",
    "status",
    "statuses",
    "undelivered",
    "ways_of",
]
