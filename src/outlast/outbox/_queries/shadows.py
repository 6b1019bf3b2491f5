"""What the server is known to hold after our own writes, and what that means for the next one of an entity."""

from __future__ import annotations

from typing import Final

from outlast.engines.json_values import decode, encode
from outlast.engines.merge_patch import apply_patch
from outlast.engines.op import Deliver, Verb
from outlast.outbox._queries.tables import Tables
from outlast.outbox._records import Op, Shadow

_REBASED: Final = '"outlast-rebased"'
"""A version that no server has, for a write that must not pass because it is based on what never came to be."""


def remember(db: Tables, op: Op, step: Deliver) -> None:
    """Note what an entity holds after a delivery, the base of later merges; forget what is not known any more.

    Members that the server adds are not part of it: the next write would seem to have removed them.
    """
    if op.verb is Verb.POST:
        return
    known = _strong(step.etag) if step.outcome == "delivered" and op.verb is not Verb.DELETE else None
    if known is None:
        db.execute("DELETE FROM $shadow WHERE kind = ? AND entity = ?", (op.kind, op.entity))
        return
    body = _patched(db, op) if op.verb is Verb.PATCH else op.body
    db.execute(
        "INSERT INTO $shadow (kind, entity, etag, seq, body) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (kind, entity) DO UPDATE SET etag = excluded.etag, seq = excluded.seq, body = excluded.body",
        (op.kind, op.entity, known, op.seq, db.ways.bodies.pack(body)),
    )


def _patched(db: Tables, op: Op) -> bytes | None:
    before = shadow(db, op.kind, op.entity)
    if before is None or before.etag != op.if_match or before.body is None or op.body is None:
        return None
    try:
        return encode(apply_patch(decode(before.body), decode(op.body)))
    except ValueError:
        return None


def shadow(db: Tables, kind: str, entity: str) -> Shadow | None:
    """Return what an entity held after our own last write of it."""
    row = db.execute("SELECT etag, body FROM $shadow WHERE kind = ? AND entity = ?", (kind, entity)).fetchone()
    return None if row is None or row[0] is None else Shadow(etag=row[0], body=db.ways.bodies.unpack(row[1]))


def hand_on(db: Tables, op: Op, step: Deliver, *, follower: int | None, known_to: int | None) -> None:
    """Give the version that an op made to the next one of its lane, which was based on it and would else be refused."""
    if step.outcome != "delivered":
        rebase(db, op, follower=follower, known_to=known_to)
        return
    # A weak tag never passes If-Match (RFC 9110 section 13.1.1), so it would turn the follower into a conflict.
    etag = _strong(step.etag)
    follower = _follower(db, op, follower, known_to) if etag is not None or op.rounds else None
    if follower is None:
        return
    if op.rounds:
        # What was merged holds more than the author of a whole follower has seen.
        _give(db, op, follower, _REBASED, "verb IN ('put', 'delete') AND if_match IS NULL")
        condition = "verb = 'patch'"
    else:
        condition = "verb NOT IN ('create', 'post')"
    if etag is not None:
        _give(db, op, follower, etag, condition)


def rebase(db: Tables, op: Op, *, follower: int | None, known_to: int | None) -> None:
    """Let the next write of an entity be refused and merged, because the one before it became something else."""
    found = _follower(db, op, follower, known_to)
    if found is None:
        return
    _give(db, op, found, op.if_match or _REBASED, "verb IN ('put', 'delete')")
    if not op.rounds and op.verb in {Verb.PUT, Verb.CREATE}:
        db.execute(
            "UPDATE $op SET base = ? WHERE seq = ? AND kind = ? AND entity = ?",
            (db.ways.bodies.pack(op.body), found, *_entity(op)),
        )


def _give(db: Tables, op: Op, follower: int, etag: str, condition: str) -> None:
    db.execute(
        f"UPDATE $op SET if_match = ? WHERE seq = ? AND kind = ? AND entity = ? AND {condition}",
        (etag, follower, *_entity(op)),
    )


def _entity(op: Op) -> tuple[str, str]:
    return op.kind, op.entity


def _follower(db: Tables, op: Op, follower: int | None, known_to: int | None) -> int | None:
    if follower is not None or known_to is None:
        return follower
    place = db.ways.behind(op.seq, known_to)
    found: int | None = db.execute("SELECT min(seq) FROM $op WHERE seq > ? AND lane = ?", (place, op.lane)).get
    return found


def _strong(etag: str | None) -> str | None:
    return None if etag is None or etag.startswith("W/") else etag
