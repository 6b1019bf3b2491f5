"""Record what became of an attempt, if this process still holds the lease."""

from __future__ import annotations

from outlast.engines.op import AskCredentials, Compare, Conflict, Deliver, Die, OpState, Postpone, Step
from outlast.errors import ConfigError, LeaseLostError
from outlast.outbox._queries.rows import OP
from outlast.outbox._queries.tables import Tables
from outlast.outbox._records import Claimed, Op


def check_fence(db: Tables, fence: int) -> None:
    """Refuse to write on behalf of a process that no longer holds the lease."""
    current = db.execute(f"SELECT fence FROM $lease WHERE role = 'deliver'{db.ways.share}").get
    if current != fence:
        raise LeaseLostError(
            f"another process delivers now (its fence is {current}, ours was {fence})", operation="outbox"
        )


def settle(
    db: Tables, fence: int, claimed: Claimed, step: Step, *, follower: int | None, known_to: int | None, wall: float
) -> None:
    """Record what became of one attempt, if this process still owns it."""
    check_fence(db, fence)
    guard = (claimed.op.seq, fence, claimed.attempt)
    if not db.execute("SELECT 1 FROM $seal WHERE seq = ? AND fence = ? AND attempts = ?", guard).get:
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
            park(db, claimed.op.seq, OpState.CONFLICT, reason, attempts=claimed.attempt, wall=wall)
        case Die(reason=reason):
            park(db, claimed.op.seq, OpState.DEAD, reason, attempts=claimed.attempt, wall=wall)
        case Compare():
            raise ConfigError("an op that is to be compared is not settled yet", operation="outbox")


def _deliver(db: Tables, claimed: Claimed, etag: str | None, wall: float) -> None:
    op = claimed.op
    db.execute(
        "INSERT INTO $receipt (seq, generation, attempts, etag, kind, entity, done) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (op.seq, op.generation, claimed.attempt, etag, op.kind, op.entity, wall),
    )
    _remove(db, op.seq)


def _hand_on(db: Tables, op: Op, etag: str | None, *, follower: int | None, known_to: int | None) -> None:
    """Give the version that an op made to the next one of its lane, which was based on it and would else be refused."""
    # A weak tag never passes If-Match (RFC 9110 section 13.1.1), so it would turn the follower into a conflict.
    if etag is None or etag.startswith("W/"):
        return
    if follower is None and known_to is not None:
        follower = _newcomer(db, op.lane, db.ways.behind(op.seq, known_to))
    if follower is not None:
        db.execute(
            "UPDATE $op SET if_match = ? WHERE seq = ? AND kind = ? AND entity = ? AND verb NOT IN ('create', 'post')",
            (etag, follower, op.kind, op.entity),
        )


def _newcomer(db: Tables, lane: int, known_to: int) -> int | None:
    """Return the first op of a lane among those that were queued behind a place."""
    found: int | None = db.execute("SELECT min(seq) FROM $op WHERE seq > ? AND lane = ?", (known_to, lane)).get
    return found


def _remove(db: Tables, seq: int) -> None:
    db.execute("DELETE FROM $op WHERE seq = ?", (seq,))
    db.execute("DELETE FROM $seal WHERE seq = ?", (seq,))


def _postpone(db: Tables, seq: int, wait: float, reason: str, wall: float) -> None:
    db.execute("UPDATE $seal SET due = ?, delay = ?, reason = ? WHERE seq = ?", (wall + wait, wait, text(reason), seq))


def park(db: Tables, seq: int, state: OpState, reason: str, *, attempts: int, wall: float) -> None:
    db.execute(
        f"INSERT INTO $parked (state, reason, parked, attempts, {OP}) SELECT ?, ?, ?, ?, {OP} FROM $op WHERE seq = ?",
        (state.value, text(reason), wall, attempts, seq),
    )
    _remove(db, seq)


def text(reason: str) -> str:
    """Return what a server said as every store can hold it."""
    return reason.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
