"""What somebody decides about a parked op, and how others learn of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from outlast.engines.json_values import encode
from outlast.engines.op import OpState
from outlast.errors import ConfigError, CorruptError
from outlast.outbox._identity import NOBODY
from outlast.outbox._queries import shadows
from outlast.outbox._queries.bodies import PLAIN, Bodies
from outlast.outbox._queries.identity import identity
from outlast.outbox._queries.rows import OP, read_op
from outlast.outbox._queries.tables import Tables
from outlast.outbox._records import KEEP, Op
from outlast.outbox._write import check_header


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Say what is to be sent instead when a parked op is sent again.

    Args:
        body: The body, or None for the same.
        if_match: The version that it is based on, None for whatever is there, or `KEEP`.
        schema: The version of the shape of the body, or None for the same.
    """

    body: bytes | None = None
    if_match: str | None = KEEP
    schema: int | None = None

    def __post_init__(self) -> None:
        """Refuse versions that are none."""
        if self.if_match is not None:
            check_header("if_match", self.if_match)
        if self.schema is not None and self.schema < 0:
            raise ConfigError(f"must be a whole number from 0, not {self.schema!r}", path="schema")


def replay(db: Tables, seq: int, change: Change, wall: float) -> None:
    """Put a parked op back at its old place; another request is another generation, and so has another key.

    One that has expired is wanted all the same by whoever sends it again, and expires no more.
    """
    _note_decision(db)
    bodies = db.ways.bodies
    found = db.execute("SELECT body, if_match, base, theirs, generation FROM $parked WHERE seq = ?", (seq,)).fetchone()
    if found is None:
        raise ConfigError(f"no write {seq} lies in the conflicts or dead letters", path="seq")
    if_match, base = found[1:3] if change.if_match == KEEP else (change.if_match, _seen(bodies, found[3], change))
    same_body = change.body is None or bodies.unpack(found[0]) == change.body
    if not same_body:
        _part(db, seq)
    changed = not same_body or if_match != found[1]
    generation = identity(db).next_generation(seq, found[4]) if changed else found[4]
    # The same request keeps its key: an attempt before the one that was refused may have taken effect unheard. As a
    # group of its own it is folded with nothing, because its bytes may be known under that key.
    db.execute(
        f"INSERT INTO $op ({OP}) SELECT seq, lane, verb, kind, entity, CAST(? AS BIGINT), target, content_type, ?,"
        " created, coalesce(?, body), coalesce(grp, seq), after_seq, coalesce(?, schema_v), rounds,"
        " CASE WHEN expires > ? THEN expires END, ?, passable FROM $parked WHERE seq = ?",
        (generation, if_match, bodies.pack(change.body), change.schema, wall, base, seq),
    )
    db.execute("DELETE FROM $parked WHERE seq = ?", (seq,))


def _seen(bodies: Bodies, theirs: bytes | None, change: Change) -> bytes | None:
    """Return what is stored of what somebody saw who bases a parked op on another version: the server's side of it.

    On its old base a later merge would undo what was decided.
    """
    try:
        known: dict[str, Any] = json.loads(bodies.unpack(theirs) or b"{}")
    except (CorruptError, ValueError):
        return None
    shown = "body" in known and known.get("etag") == change.if_match
    return bodies.pack(encode(known["body"])) if shown else None


def discard(db: Tables, seq: int) -> None:
    """Forget a parked op."""
    _note_decision(db)
    _part(db, seq)
    if db.execute("DELETE FROM $parked WHERE seq = ? RETURNING seq", (seq,)).get is None:
        raise ConfigError(f"no write {seq} lies in the conflicts or dead letters", path="seq")


def _part(db: Tables, seq: int) -> None:
    row = db.execute(f"SELECT state, {OP} FROM $parked WHERE seq = ?", (seq,)).fetchone()
    if row is not None:
        shadows.part(db, _parked(db, row[1:]), conflicting=row[0] == OpState.CONFLICT.value)


def _parked(db: Tables, row: Sequence[Any]) -> Op:
    """Return a parked op, without its bodies if the codec cannot read them: that must not keep it here for ever."""
    try:
        return read_op(row, NOBODY, db.ways.bodies)
    except CorruptError:
        return read_op(row, NOBODY, PLAIN)._replace(body=None, base=None)


def _note_decision(db: Tables) -> None:
    db.ways.announce(db)
    # A deliverer in another process sees by this number that it must look at old places too. Counted first, so that
    # two who decide at the same time do it one after the other.
    db.execute("UPDATE $meta SET value = CAST(value AS BIGINT) + 1 WHERE name = 'decisions'")


def decisions(db: Tables) -> int:
    """Return how many parked ops were replayed or discarded so far."""
    return int(db.execute("SELECT value FROM $meta WHERE name = 'decisions'").get)
