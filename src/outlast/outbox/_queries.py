"""The SQL of an outbox on SQLite: each function is a job for one transaction and may run twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from outlast.engines.op import AskCredentials, Compare, Conflict, Deliver, Die, OpState, Postpone, Step, Verb
from outlast.errors import ConfigError, LeaseLostError
from outlast.outbox._records import Changes, Claimed, Counts, Op, OpStatus, SealedRequest, Unsendable, Write
from outlast.storage import Connection

Sealer = Callable[[Op], SealedRequest]

_OP = "seq, lane, verb, kind, entity, generation, target, content_type, if_match, created, body"


def identity(db: Connection) -> str:
    """Return the outbox's own part of every idempotency key."""
    meta = dict(db.execute("SELECT name, value FROM meta"))
    return f"{meta['store']}.{meta['epoch']}"


def enqueue(db: Connection, writes: Sequence[Write], wall: float) -> list[int]:
    """Store writes and return their places; one that was queued under its `once` before keeps its old place."""
    return [_enqueue_one(db, write, wall) for write in writes]


def _enqueue_one(db: Connection, write: Write, wall: float) -> int:
    if write.once is not None:
        known = db.execute("SELECT seq FROM once WHERE name = ?", (write.once,)).get
        if known is not None:
            return int(known)
    db.execute(
        f"INSERT INTO op ({_OP}) VALUES (NULL, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)",
        (
            write.lane_id, write.verb.value, write.kind, write.entity, write.target, write.content_type,
            write.if_match, wall, write.body,
        ),
    )  # fmt: skip
    seq = db.last_insert_rowid()
    if write.once is not None:
        db.execute("INSERT INTO once VALUES (?, ?)", (write.once, seq))
    return seq


def read_op(row: Sequence[Any], store: str) -> Op:
    """Build an op from a row of the columns of `op`."""
    seq, lane, verb, kind, entity, generation, target, content_type, if_match, created, body = row
    return Op(
        seq=seq, generation=generation, key=f"{store}:{seq}:{generation}", lane=lane, verb=Verb(verb), kind=kind,
        entity=entity, target=target, body=body, content_type=content_type, if_match=if_match, created_at=created,
    )  # fmt: skip


def check_fence(db: Connection, fence: int) -> None:
    """Refuse to write on behalf of a process that no longer holds the lease."""
    current = db.execute("SELECT fence FROM lease WHERE role = 'deliver'").get
    if current != fence:
        raise LeaseLostError(
            f"another process delivers now (its fence is {current}, ours was {fence})", operation="outbox"
        )


def claim(
    db: Connection, store: str, fence: int, seqs: Sequence[int], *, seal: Sealer, wall: float
) -> list[Claimed | Unsendable]:
    """Seal ops that were never sent, count an attempt for each, and return them with their requests."""
    check_fence(db, fence)
    return [_claim_one(db, store, fence, seq, seal=seal, wall=wall) for seq in seqs]


def _claim_one(db: Connection, store: str, fence: int, seq: int, *, seal: Sealer, wall: float) -> Claimed | Unsendable:
    row = db.execute(f"SELECT {_OP} FROM op WHERE seq = ?", (seq,)).fetchone()
    if row is None:
        raise LeaseLostError(f"op {seq} was settled by another process", operation="outbox")
    op = read_op(row, store)
    sealed = db.execute(
        "SELECT attempts, method, url, headers, body_hash, body FROM seal WHERE seq = ?", (seq,)
    ).fetchone()
    if sealed is None:
        return _seal(db, fence, op, seal, wall)
    attempts, method, url, headers, digest, body = sealed
    db.execute("UPDATE seal SET attempts = attempts + 1, fence = ?, due = NULL WHERE seq = ?", (fence, seq))
    pairs = tuple((str(name), str(value)) for name, value in json.loads(headers))
    if body is None and digest == _digest(op.body):
        body = op.body  # kept only once, unless the transport sends other bytes than the op has
    request = SealedRequest(method=method, url=url, headers=pairs, body=body)
    return Claimed(op=op, request=request, attempt=attempts + 1)


def _seal(db: Connection, fence: int, op: Op, seal: Sealer, wall: float) -> Claimed | Unsendable:
    try:
        request = seal(op)
    except Exception as error:
        reason = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
        _park(db, op.seq, OpState.DEAD, reason, attempts=0, wall=wall)
        return Unsendable(op=op, reason=reason)
    own_body = None if request.body == op.body else request.body
    db.execute(
        "INSERT INTO seal (seq, attempts, fence, due, delay, first_sent, reason, method, url, headers, body_hash, body)"
        " VALUES (?, 1, ?, NULL, 0, ?, '', ?, ?, ?, ?, ?)",
        (
            op.seq, fence, wall, request.method, request.url, json.dumps(request.headers), _digest(request.body),
            own_body,
        ),
    )  # fmt: skip
    return Claimed(op=op, request=request, attempt=1)


def _digest(body: bytes | None) -> bytes:
    return b"" if body is None else hashlib.sha256(body).digest()


def settle(
    db: Connection, fence: int, claimed: Claimed, step: Step, *, follower: int | None, known_to: int | None, wall: float
) -> None:
    """Record what became of one attempt, if this process still owns it."""
    check_fence(db, fence)
    guard = (claimed.op.seq, fence, claimed.attempt)
    if not db.execute("SELECT 1 FROM seal WHERE seq = ? AND fence = ? AND attempts = ?", guard).get:
        raise LeaseLostError(f"op {claimed.op.seq} is no longer this process's to settle", operation="outbox")
    match step:
        case Deliver(etag=etag):
            _deliver(db, claimed, etag, wall)
            _hand_on(db, claimed.op, etag, follower=follower, known_to=known_to)
        case Postpone(wait=wait, reason=reason):
            _postpone(db, claimed.op.seq, wait, reason, wall)
        case AskCredentials(reason=reason):
            _postpone(db, claimed.op.seq, 0.0, reason, wall)
        case Conflict(reason=reason):
            _park(db, claimed.op.seq, OpState.CONFLICT, reason, attempts=claimed.attempt, wall=wall)
        case Die(reason=reason):
            _park(db, claimed.op.seq, OpState.DEAD, reason, attempts=claimed.attempt, wall=wall)
        case Compare():
            raise ConfigError("an op that is to be compared is not settled yet", operation="outbox")


def _deliver(db: Connection, claimed: Claimed, etag: str | None, wall: float) -> None:
    op = claimed.op
    db.execute(
        "INSERT INTO receipt (seq, generation, attempts, etag, kind, entity, done) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (op.seq, op.generation, claimed.attempt, etag, op.kind, op.entity, wall),
    )
    _remove(db, op.seq)


def _hand_on(db: Connection, op: Op, etag: str | None, *, follower: int | None, known_to: int | None) -> None:
    """Give the version that an op made to the next one of its lane, which was based on it and would else be refused."""
    # A weak tag never passes If-Match (RFC 9110 section 13.1.1), so it would turn the follower into a conflict.
    if etag is None or etag.startswith("W/"):
        return
    if follower is None and known_to is not None:
        follower = _newcomer(db, op.lane, known_to)
    if follower is not None:
        db.execute(
            "UPDATE op SET if_match = ? WHERE seq = ? AND kind = ? AND entity = ? AND verb NOT IN ('create', 'post')",
            (etag, follower, op.kind, op.entity),
        )


def _newcomer(db: Connection, lane: int, known_to: int) -> int | None:
    """Return the first op of a lane among those that were queued behind a place."""
    found: int | None = db.execute("SELECT min(seq) FROM op WHERE seq > ? AND lane = ?", (known_to, lane)).get
    return found


def _remove(db: Connection, seq: int) -> None:
    db.execute("DELETE FROM op WHERE seq = ?", (seq,))
    db.execute("DELETE FROM seal WHERE seq = ?", (seq,))


def _postpone(db: Connection, seq: int, wait: float, reason: str, wall: float) -> None:
    db.execute("UPDATE seal SET due = ?, delay = ?, reason = ? WHERE seq = ?", (wall + wait, wait, reason, seq))


def _park(db: Connection, seq: int, state: OpState, reason: str, *, attempts: int, wall: float) -> None:
    db.execute(
        f"INSERT INTO parked (state, reason, parked, attempts, {_OP}) SELECT ?, ?, ?, ?, {_OP} FROM op WHERE seq = ?",
        (state.value, reason, wall, attempts, seq),
    )
    _remove(db, seq)


def replay(db: Connection, seq: int, body: bytes | None, if_match: str | None, *, keep_match: bool) -> None:
    """Put a parked op back at its old place under a new generation, and so under a new key."""
    done = db.execute(
        f"INSERT INTO op ({_OP}) SELECT seq, lane, verb, kind, entity, generation + 1, target, content_type,"
        " CASE WHEN ? THEN if_match ELSE ? END, created, coalesce(?, body) FROM parked WHERE seq = ? RETURNING seq",
        (keep_match, if_match, body, seq),
    ).get
    if done is None:
        raise ConfigError(f"no write {seq} lies in the conflicts or dead letters", path="seq")
    db.execute("DELETE FROM parked WHERE seq = ?", (seq,))
    _note_decision(db)


def discard(db: Connection, seq: int) -> None:
    """Forget a parked op."""
    if db.execute("DELETE FROM parked WHERE seq = ? RETURNING seq", (seq,)).get is None:
        raise ConfigError(f"no write {seq} lies in the conflicts or dead letters", path="seq")
    _note_decision(db)


def _note_decision(db: Connection) -> None:
    # A deliverer in another process sees by this number that it must look at old places too.
    db.execute("UPDATE meta SET value = value + 1 WHERE name = 'decisions'")


def decisions(db: Connection) -> int:
    """Return how many parked ops were replayed or discarded so far."""
    return int(db.execute("SELECT value FROM meta WHERE name = 'decisions'").get)


_COUNTS = """
SELECT (SELECT count(*) FROM op), (SELECT count(*) FROM seal), (SELECT count(*) FROM receipt),
       (SELECT count(*) FROM parked WHERE state = 'conflict'), (SELECT count(*) FROM parked WHERE state = 'dead')
"""


def counts(db: Connection) -> Counts:
    """Count the ops by state."""
    # One statement, and so one snapshot: between two of them a write may move from one table to another.
    ops, seals, receipts, conflict, dead = db.execute(_COUNTS).fetchone()
    return Counts(ready=ops - seals, waiting=seals, conflict=conflict, dead=dead, delivered=receipts)


_STATUS = """
SELECT op.seq AS seq, CASE WHEN s.seq IS NULL THEN 'ready' WHEN s.due IS NULL THEN 'sent' ELSE 'waiting' END AS state,
       verb, kind, entity, coalesce(attempts, 0), coalesce(reason, ''), NULL, created
FROM op LEFT JOIN seal s ON s.seq = op.seq
UNION ALL SELECT seq, state, verb, kind, entity, attempts, reason, NULL, parked FROM parked
UNION ALL SELECT seq, 'delivered', NULL, kind, entity, attempts, '', etag, done FROM receipt
"""


def statuses(db: Connection, state: OpState | None, seq: int | None, limit: int) -> list[OpStatus]:
    """List ops by place, of one state or all, or only the one at a place."""
    # Only a plain comparison lets SQLite look a place up instead of reading every row.
    wanted = {"seq = ?": seq, "state = ?": None if state is None else state.value}
    where = {text: value for text, value in wanted.items() if value is not None}
    condition = " AND ".join(where) or "TRUE"
    rows = db.execute(
        f"SELECT * FROM ({_STATUS}) WHERE {condition} ORDER BY seq LIMIT ?",
        (*where.values(), limit),
    )
    return [
        OpStatus(
            seq=row[0], state=OpState(row[1]), verb=None if row[2] is None else Verb(row[2]), kind=row[3],
            entity=row[4], attempts=row[5], reason=row[6], etag=row[7], at=row[8],
        )
        for row in rows
    ]  # fmt: skip


def queued(db: Connection, after: int) -> list[tuple[int, int]]:
    """Return (seq, lane) of every op behind a place."""
    return list(db.execute("SELECT seq, lane FROM op WHERE seq > ? ORDER BY seq", (after,)))


def changes(db: Connection, version: int, decided: int, after: int) -> Changes:
    """Return what is new since a version of the file and a number of decisions, in one snapshot.

    Args:
        db: The connection.
        version: The version that the caller has seen.
        decided: The number of decisions that the caller has seen.
        after: The last place that the caller knows.
    """
    # Asked before the snapshot is taken: too old a version costs one more look, too new a one would miss something.
    now_at = int(db.pragma("data_version"))
    if now_at == version and decided >= 0:
        return Changes(version=now_at, decisions=decided, queued=[], parked=None)
    db.execute("BEGIN")
    try:
        found = decisions(db)
        if found == decided:
            return Changes(version=now_at, decisions=found, queued=queued(db, after), parked=None)
        return Changes(version=now_at, decisions=found, queued=queued(db, 0), parked=set(parked_lanes(db)))
    finally:
        db.execute("ROLLBACK")


def dues(db: Connection) -> list[tuple[int, float | None, float]]:
    """Return (seq, due wall seconds, planned delay) of every op that was sent before."""
    return list(db.execute("SELECT seq, due, delay FROM seal"))


def parked_lanes(db: Connection) -> list[int]:
    """Return the lanes in which a parked op holds back its followers."""
    return [row[0] for row in db.execute("SELECT DISTINCT lane FROM parked")]


def pending(db: Connection, store: str, kind: str) -> list[Op]:
    """Return the ops of a kind that are not delivered yet, oldest first."""
    rows = db.execute(f"SELECT {_OP} FROM op WHERE kind = ? ORDER BY seq", (kind,))
    return [read_op(row, store) for row in rows]


def once_names(db: Connection, prefixes: Sequence[str]) -> list[list[tuple[str, int]]]:
    """Return, for each prefix, the names under which something was queued once, each with its place."""
    query = "SELECT name, seq FROM once WHERE name >= ? AND name < ?"
    return [list(db.execute(query, (prefix, prefix + "\U0010ffff"))) for prefix in prefixes]


def kinds(db: Connection) -> set[str]:
    """Return the kinds of all writes that were ever queued and not discarded."""
    return {
        row[0] for row in db.execute("SELECT kind FROM op UNION SELECT kind FROM parked UNION SELECT kind FROM receipt")
    }


def undelivered(db: Connection) -> list[tuple[Verb, str | None]]:
    """Return what each write that is not delivered does and where it goes, None for what the transport routes."""
    rows = db.execute("SELECT verb, target FROM op UNION ALL SELECT verb, target FROM parked")
    return [(Verb(verb), target) for verb, target in rows]
