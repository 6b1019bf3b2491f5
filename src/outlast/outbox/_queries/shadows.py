"""What the server is known to hold after our own writes, and what that means for the next one of an entity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from outlast.engines.json_values import decode, encode, same
from outlast.engines.merge_patch import apply_patch
from outlast.engines.op import Deliver, Step, Verb
from outlast.errors import CorruptError
from outlast.outbox._queries.rows import listed
from outlast.outbox._queries.tables import Tables
from outlast.outbox._records import REBASED, Op, Shadow

_BLIND: Final = "(verb IN ('put', 'delete') AND if_match IS NULL)"
"""Is true of a write that would overwrite whatever is there."""
_NAMED_PATCH: Final = "(verb = 'patch' AND base IS NOT NULL)"
"""Is true of a patch whose author says what he saw, so that it can be merged."""


def concerned(db: Tables, steps: Iterable[Step]) -> bool:
    """Tell whether deliveries have anything to note or to forget; without versions they have not."""
    if any(isinstance(step, Deliver) and _strong(step.etag) is not None for step in steps):
        return True
    return db.execute("SELECT 1 FROM $shadow LIMIT 1").get is not None


def remember(db: Tables, op: Op, step: Deliver, wall: float) -> None:
    """Note what an entity holds after a delivery, the base of later merges; forget what is not known any more.

    Members that the server adds are not part of it: the next write would seem to have removed them. Nor is anything
    noted of an entity whose name is longer than an index of the store takes, or its delivery could not be recorded.
    """
    if op.verb is Verb.POST:
        return
    known = _strong(step.etag) if step.outcome == "delivered" and op.verb is not Verb.DELETE else None
    if known is None or len(f"{op.kind}{op.entity}".encode()) > db.ways.longest_key:
        db.execute("DELETE FROM $shadow WHERE kind = ? AND entity = ?", (op.kind, op.entity))
        return
    body = _patched(db, op) if op.verb is Verb.PATCH else op.body
    db.execute(
        "INSERT INTO $shadow (kind, entity, etag, seq, known, body) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (kind, entity) DO UPDATE SET etag = excluded.etag, seq = excluded.seq, known = excluded.known,"
        " body = excluded.body",
        (op.kind, op.entity, known, op.seq, wall, db.ways.bodies.pack(body)),
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


def ends_alone(op: Op, step: Deliver) -> bool:
    """Tell whether a delivery has nothing to hand on: it made no version that counts, and nothing but what was said.

    A weak tag never passes If-Match (RFC 9110 section 13.1.1), so it would turn the follower into a conflict.
    """
    return step.outcome == "delivered" and not op.rounds and _strong(step.etag) is None


def hand_on(db: Tables, op: Op, step: Deliver, *, followers: Sequence[int], known_to: int | None) -> None:
    """Give the version that an op made to the next one of its lane, which was based on it and would else be refused.

    A follower that names its base was made by somebody who saw that and nothing else: unless that is what the op has
    left, the follower is to be refused and merged, or it would undo what its author never saw.
    """
    if ends_alone(op, step):
        return
    if step.outcome != "delivered":
        rebase(db, op, followers=followers, known_to=known_to)
        return
    etag = _strong(step.etag)
    follower = _follower(db, op, followers, known_to)
    if follower is None:
        return
    if op.rounds:
        # What was merged holds more than the author of a whole follower, or of one that names its base, has seen.
        _give(db, op, follower, REBASED, f"{_BLIND} OR {_NAMED_PATCH}")
        condition = "verb = 'patch' AND base IS NULL"
    else:
        condition = "verb NOT IN ('create', 'post')"
    seen = None if etag is None else _give(db, op, follower, etag, condition)
    if seen is not None and not _left(db, op, step, seen):
        _give(db, op, follower, REBASED, "TRUE")


def _left(db: Tables, op: Op, step: Deliver, seen: bytes) -> bool:
    """Tell whether what an author saw is what an op has left."""
    known = shadow(db, op.kind, op.entity)
    # What was read back may hold edits of others besides.
    left = step.held or (None if known is None else known.body)
    try:
        if left is None and op.verb is Verb.PATCH:
            left = _made(op)
        return left is not None and (left == seen or same(decode(left), decode(seen)))
    except ValueError:
        return False


def _made(op: Op) -> bytes | None:
    """Return what a patch has made of what its author saw; where it named no version the server held anything."""
    if op.if_match is None or op.base is None or op.body is None:
        return None
    return encode(apply_patch(decode(op.base), decode(op.body)))


def rebase(db: Tables, op: Op, *, followers: Sequence[int], known_to: int | None) -> None:
    """Let the next write of an entity be refused and merged, because the one before it became something else."""
    found = _follower(db, op, followers, known_to)
    if found is None:
        return
    _give(db, op, found, op.if_match or REBASED, f"verb IN ('put', 'delete') OR {_NAMED_PATCH}")
    if not op.rounds:
        _show(db, op, found)


def part(db: Tables, op: Op, *, conflicting: bool) -> None:
    """Let the next write of an entity be merged on what its author saw, because a parked op before it is undone.

    What the server holds then is not what the author of the next one has seen, and must not be overwritten by it.

    Args:
        db: The connection.
        op: The parked op, which somebody discards, or replays as something else.
        conflicting: Whether the server holds something else. If not, only those that name their base are merged.
    """
    found = _behind(db, op, op.seq)
    if found is None:
        return
    if conflicting:
        _show(db, op, found)
        _give(db, op, found, REBASED, _BLIND)
    _give(db, op, found, REBASED, "verb IN ('put', 'delete', 'patch') AND base IS NOT NULL")


def _show(db: Tables, op: Op, follower: int) -> None:
    """Note what the author of a follower saw: what the op said, unless the author named it."""
    if op.verb in {Verb.PUT, Verb.CREATE}:
        db.execute(
            "UPDATE $op SET base = coalesce(base, ?) WHERE seq = ? AND kind = ? AND entity = ?",
            (db.ways.bodies.pack(op.body), follower, *_entity(op)),
        )


def _give(db: Tables, op: Op, follower: int, etag: str, condition: str) -> bytes | None:
    """Let a follower be based on a version, under a condition, and return the base that it names, or None.

    One that has passed the op, as it may in an order of `mutex`, is sealed: what it is based on stays as it was sent.
    """
    base: bytes | None = db.execute(
        f"UPDATE $op SET if_match = ? WHERE seq = ? AND kind = ? AND entity = ? AND ({condition})"
        " AND NOT EXISTS (SELECT 1 FROM $seal WHERE seq = ?) RETURNING base",
        (etag, follower, *_entity(op), follower),
    ).get
    try:
        return db.ways.bodies.unpack(base)
    except CorruptError:
        return b""  # whatever its author saw, nobody can say that it was this; its own turn shows what is wrong


def _entity(op: Op) -> tuple[str, str]:
    return op.kind, op.entity


def _follower(db: Tables, op: Op, followers: Sequence[int], known_to: int | None) -> int | None:
    """Return the next write of an entity in its lane.

    The next ones of the lane may be of other entities, and may have been folded away since.
    """
    for marks, places in listed(followers):
        query = f"SELECT min(seq) FROM $op WHERE seq IN {marks} AND kind = ? AND entity = ?"
        found: int | None = db.execute(query, [*places, *_entity(op)]).get
        if found is not None:
            return found
    if known_to is None:
        return None
    return _behind(db, op, max([db.ways.behind(op.seq, known_to), *followers]))


def _behind(db: Tables, op: Op, place: int) -> int | None:
    query = "SELECT min(seq) FROM $op WHERE seq > ? AND lane = ? AND kind = ? AND entity = ?"
    found: int | None = db.execute(query, (place, op.lane, *_entity(op))).get
    return found


def _strong(etag: str | None) -> str | None:
    return None if etag is None or etag.startswith("W/") else etag
