"""Look at an outbox without changing it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from outlast.engines.op import OpState, Verb
from outlast.errors import ReceiptPrunedError
from outlast.outbox._identity import Identity
from outlast.outbox._parked import ParkedOp, read_theirs
from outlast.outbox._queries.decide import decisions
from outlast.outbox._queries.rows import OP, listed, read_op, state_of, verb_of
from outlast.outbox._queries.tables import NEWCOMER, Tables, Version
from outlast.outbox._records import Changes, Counts, Newcomer, Op, OpContent, OpStatus, PendingDiff

_COUNTS = """
SELECT (SELECT count(*) FROM $op), (SELECT count(*) FROM $seal),
       (SELECT count(*) FROM $receipt WHERE outcome LIKE 'delivered%')
           + (SELECT CAST(value AS BIGINT) FROM $meta WHERE name = 'pruned_delivered'),
       (SELECT count(*) FROM $receipt WHERE outcome NOT LIKE 'delivered%')
           + (SELECT CAST(value AS BIGINT) FROM $meta WHERE name = 'pruned_folded'),
       (SELECT count(*) FROM $parked WHERE state = 'conflict'), (SELECT count(*) FROM $parked WHERE state = 'dead')
"""


def counts(db: Tables) -> Counts:
    """Count the ops by state."""
    # One statement, and so one snapshot: between two of them a write may move from one table to another.
    ops, seals, receipts, folded, conflict, dead = db.execute(_COUNTS).fetchone()
    return Counts(
        ready=ops - seals, waiting=seals, conflict=conflict, dead=dead, delivered=receipts, folded=folded
    )  # fmt: skip


_STATUS = """
SELECT o.seq AS seq, CASE WHEN s.seq IS NULL THEN 'ready' WHEN s.accepted IS NOT NULL THEN 'accepted'
       WHEN s.due IS NULL THEN 'sent' ELSE 'waiting' END AS state,
       verb, kind, entity, coalesce(attempts, 0), coalesce(reason, ''), NULL, created, CAST(NULL AS BIGINT) AS into_seq
FROM $op AS o LEFT JOIN $seal AS s ON s.seq = o.seq
UNION ALL SELECT seq, state, verb, kind, entity, attempts, reason, NULL, parked, NULL FROM $parked
UNION ALL SELECT seq, CASE WHEN outcome LIKE 'merged:%' THEN 'merged'
       WHEN outcome LIKE 'delivered:%' THEN 'delivered' ELSE outcome END, NULL, kind, entity, attempts,
       CASE outcome WHEN 'delivered' THEN '' ELSE outcome END, etag, done,
       CASE WHEN outcome LIKE 'merged:%' THEN CAST(substr(outcome, 8) AS BIGINT) END FROM $receipt
"""


def statuses(
    db: Tables, state: OpState | None, seq: int | None, limit: int, *, kind: str | None = None
) -> list[OpStatus]:
    """List ops by place, of one state or all, of one kind or all, or only the one at a place."""
    # Only a plain comparison lets SQLite look a place up instead of reading every row.
    wanted = {"seq = ?": seq, "state = ?": None if state is None else state.value, "kind = ?": kind}
    where = {text: value for text, value in wanted.items() if value is not None}
    condition = " AND ".join(where) or "TRUE"
    rows = db.execute(
        f"SELECT * FROM ({_STATUS}) AS found WHERE {condition} ORDER BY seq LIMIT ?",
        (*where.values(), limit),
    )
    return [
        OpStatus(
            seq=row[0], state=state_of(row[1], row[0]), verb=None if row[2] is None else verb_of(row[2], row[0]),
            kind=row[3], entity=row[4], attempts=row[5], reason=row[6], etag=row[7], at=row[8], into=row[9],
        )
        for row in rows
    ]  # fmt: skip


def status(db: Tables, seq: int) -> OpStatus:
    """Return where the write at a place is.

    Raises:
        LookupError: It was discarded; `ReceiptPrunedError` when it may be that its receipt was pruned.
    """
    found = statuses(db, None, seq, 1)
    if found:
        return found[0]
    pruned_to = int(db.execute("SELECT value FROM $meta WHERE name = 'pruned_to'").get)
    if seq > pruned_to:
        raise LookupError(f"the outbox does not know write {seq}; it was discarded")
    raise ReceiptPrunedError(
        f"write {seq} waits no longer, and its receipt is gone, for some up to {pruned_to} were pruned: it was "
        "delivered or folded into another one, or somebody has discarded it; keep receipts for longer to be told",
        operation="status",
    )


def queued(db: Tables) -> Iterator[tuple[int, int, int | None, bool]]:
    """Return the fields of a `Newcomer` for every op, in the order of their places."""
    return iter(db.execute(f"SELECT {NEWCOMER} ORDER BY seq"))


def changes(db: Tables, version: Version, decided: int, after: int) -> Changes:
    """Return what is new since a moment and a number of decisions, in one snapshot.

    Args:
        db: The connection.
        version: The moment that the caller has seen.
        decided: The number of decisions that the caller has seen.
        after: The last place that the caller knows.
    """
    # Asked before the snapshot is taken: too old a version costs one more look, too new a one would miss something.
    now_at = db.ways.version(db)
    if now_at == version and decided >= 0:
        return Changes(version=now_at, decisions=decided, queued=[], parked=None)
    db.ways.begin(db)
    try:
        found = decisions(db)
        if found == decided and db.ways.continues(version, now_at):
            rows = [Newcomer(*row) for row in db.execute(*db.ways.newer(version, after))]
            return Changes(version=now_at, decisions=found, queued=rows, parked=None)
        rows = [Newcomer(*row) for row in queued(db)]
        return Changes(version=now_at, decisions=found, queued=rows, parked=set(parked_lanes(db)))
    finally:
        db.ways.end(db)


def absent(db: Tables, places: Sequence[int]) -> list[int]:
    """Return the places at which nothing waits any more."""
    there: set[int] = set()
    for marks, some in listed(places):
        there.update(row[0] for row in db.execute(f"SELECT seq FROM $op WHERE seq IN {marks}", some))
    return [seq for seq in places if seq not in there]


def dues(db: Tables) -> list[tuple[int, float | None, float]]:
    """Return (seq, due wall seconds, planned delay) of every op that was sent before."""
    return list(db.execute("SELECT seq, due, delay FROM $seal"))


def parked_lanes(db: Tables) -> list[int]:
    """Return the lanes in which a parked op holds back its followers."""
    return [row[0] for row in db.execute("SELECT DISTINCT lane FROM $parked")]


def parked(
    db: Tables, identity: Identity, *, state: OpState | None = None, seq: int | None = None, limit: int = 1
) -> list[ParkedOp]:
    """List writes that wait for a decision by place, of one state or both, or only the one at a place."""
    wanted = {"seq = ?": seq, "state = ?": None if state is None else state.value}
    where = {text: value for text, value in wanted.items() if value is not None}
    rows = db.execute(
        f"SELECT state, reason, attempts, parked, theirs, {OP} FROM $parked"
        f" WHERE {' AND '.join(where) or 'TRUE'} ORDER BY seq LIMIT ?",
        (*where.values(), limit),
    )
    bodies = db.ways.bodies
    return [
        ParkedOp(
            op=read_op(row[5:], identity, bodies), state=state_of(row[0], row[5]), reason=row[1], attempts=row[2],
            at=row[3], **read_theirs(bodies.unpack(row[4])),
        )
        for row in rows
    ]  # fmt: skip


def pending(db: Tables, identity: Identity, kind: str, after: int, limit: int | None) -> list[Op]:
    """Return the ops of a kind that are not delivered yet, oldest first, behind a place and so many at most."""
    query = f"SELECT {OP} FROM $op WHERE kind = ? AND seq > ? ORDER BY seq"
    rows = db.execute(query, (kind, after)) if limit is None else db.execute(f"{query} LIMIT ?", (kind, after, limit))
    return [read_op(row, identity, db.ways.bodies) for row in rows]


def diff_pending(
    db: Tables, identity: Identity, kind: str, contents: Mapping[int, OpContent], places: Collection[int]
) -> PendingDiff:
    """Compare the undelivered ops of a kind with what somebody knows of them, and return what is otherwise.

    All of them are looked at, for any may have been folded or merged; but only what is otherwise becomes an `Op`.

    Args:
        db: The connection.
        identity: Whose ops they are.
        kind: The type of the entities.
        contents: What each known op does, by its place.
        places: Where the caller believes that ops wait.
    """
    db.ways.begin(db)
    try:
        held: set[int] = set()
        changed: dict[int, OpContent] = {}
        for seq, verb, body in db.execute("SELECT seq, verb, body FROM $op WHERE kind = ? ORDER BY seq", (kind,)):
            held.add(seq)
            if contents.get(seq) != (verb, body):
                changed[seq] = verb, body
        query = f"SELECT {OP} FROM $op WHERE seq IN {{marks}} ORDER BY seq"
        rows = (row for marks, some in listed([*changed]) for row in db.execute(query.format(marks=marks), some))
        ops = [read_op(row, identity, db.ways.bodies) for row in rows]
    finally:
        db.ways.end(db)
    return PendingDiff(ops, changed, [seq for seq in places if seq not in held])


def once_names(db: Tables, prefixes: Sequence[str]) -> list[list[tuple[str, int]]]:
    """Return, for each prefix, the names under which something was queued once, each with its place."""
    query = "SELECT name, seq FROM $once WHERE name >= ? AND name < ?"
    return [list(db.execute(query, (prefix, prefix + "\U0010ffff"))) for prefix in prefixes]


def kinds(db: Tables) -> set[str]:
    """Return the kinds of all writes that were ever queued and not discarded."""
    return {
        row[0]
        for row in db.execute("SELECT kind FROM $op UNION SELECT kind FROM $parked UNION SELECT kind FROM $receipt")
    }


def undelivered(db: Tables) -> list[tuple[Verb, str | None]]:
    """Return what each write that is not delivered does and where it goes, None for what the transport routes."""
    rows = db.execute("SELECT verb, target FROM $op UNION ALL SELECT verb, target FROM $parked")
    return [(Verb(verb), target) for verb, target in rows]
