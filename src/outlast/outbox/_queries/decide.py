"""What somebody decides about a parked op, and how others learn of it."""

from __future__ import annotations

from outlast.engines.op import OpState
from outlast.errors import ConfigError
from outlast.outbox._queries import shadows
from outlast.outbox._queries.rows import OP, read_op
from outlast.outbox._queries.tables import Tables


def replay(db: Tables, seq: int, body: bytes | None, if_match: str | None, *, keep_match: bool) -> None:
    """Put a parked op back at its old place; another request is another generation, and so has another key."""
    _note_decision(db)
    if body is not None:
        _part(db, seq, conflicting=True)
    # The same request keeps its key: an attempt before the one that was refused may have taken effect unheard. As a
    # group of its own it is folded with nothing, because its bytes may be known under that key.
    done = db.execute(
        f"INSERT INTO $op ({OP}) SELECT seq, lane, verb, kind, entity, CASE WHEN wanted IS NOT DISTINCT FROM body AND"
        " matched IS NOT DISTINCT FROM if_match THEN generation ELSE generation + 1 END, target, content_type, matched,"
        " created, wanted, coalesce(grp, seq), after_seq, schema_v, rounds, expires, base, passable FROM"
        " (SELECT parked.*, CASE WHEN ? THEN if_match ELSE ? END AS matched, coalesce(?, body) AS wanted"
        " FROM $parked AS parked WHERE seq = ?) AS found RETURNING seq",
        (keep_match, if_match, body, seq),
    ).get
    if done is None:
        raise ConfigError(f"no write {seq} lies in the conflicts or dead letters", path="seq")
    db.execute("DELETE FROM $parked WHERE seq = ?", (seq,))


def discard(db: Tables, seq: int) -> None:
    """Forget a parked op."""
    _note_decision(db)
    _part(db, seq)
    if db.execute("DELETE FROM $parked WHERE seq = ? RETURNING seq", (seq,)).get is None:
        raise ConfigError(f"no write {seq} lies in the conflicts or dead letters", path="seq")


def _part(db: Tables, seq: int, *, conflicting: bool = False) -> None:
    row = db.execute(f"SELECT state, {OP} FROM $parked WHERE seq = ?", (seq,)).fetchone()
    if row is not None:
        op = read_op(row[1:], "")
        shadows.part(db, op, conflicting=conflicting or row[0] == OpState.CONFLICT.value)


def _note_decision(db: Tables) -> None:
    # A deliverer in another process sees by this number that it must look at old places too. Counted first, so that
    # two who decide at the same time do it one after the other.
    db.execute("UPDATE $meta SET value = CAST(value AS BIGINT) + 1 WHERE name = 'decisions'")


def decisions(db: Tables) -> int:
    """Return how many parked ops were replayed or discarded so far."""
    return int(db.execute("SELECT value FROM $meta WHERE name = 'decisions'").get)
