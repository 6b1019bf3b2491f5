"""Forget what is done, some rows at a time.

Nothing here reads a table as a whole: receipts are looked at from the oldest place on, names and shadows in portions
from where the last look has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from outlast.outbox._queries.tables import Tables

PORTION: Final = 500
_SWEEP: Final = 100
_BUSY: Final = 1_000
"""How many writes may wait while shadows are pruned: for each of these it must be told which entity it is about."""
_UNDONE: Final = (
    "EXISTS (SELECT 1 FROM $op AS o WHERE o.seq = {seq}) OR EXISTS (SELECT 1 FROM $parked AS p WHERE p.seq = {seq})"
)
_HEIR: Final = "CAST(substr(r.outcome, 8) AS BIGINT)"
_INTO: Final = (
    f"{_UNDONE.format(seq=_HEIR)}"
    f" OR EXISTS (SELECT 1 FROM $receipt AS h WHERE h.seq = {_HEIR} AND h.outcome LIKE 'merged:%')"
)
_RECEIPTS: Final = (
    "DELETE FROM $receipt AS r WHERE seq BETWEEN ? AND ? AND done < ?"
    f" AND NOT (outcome LIKE 'merged:%' AND CASE WHEN outcome LIKE 'merged:%' THEN {_INTO} END) RETURNING outcome"
)
_OLD_NAMES: Final = "SELECT name, named FROM $once WHERE name > ? ORDER BY name LIMIT ?"
_NAME: Final = f"DELETE FROM $once WHERE name = ? AND NOT ({_UNDONE.format(seq='$once.seq')}) RETURNING 1"
_OLD_SHADOWS: Final = (
    "SELECT kind, entity, known FROM $shadow WHERE (kind, entity) > (?, ?) ORDER BY kind, entity LIMIT ?"
)
_ABOUT: Final = "EXISTS (SELECT 1 FROM {table} AS o WHERE o.kind = s.kind AND o.entity = s.entity)"
_SHADOW: Final = (
    "DELETE FROM $shadow AS s WHERE kind = ? AND entity = ? AND known < ?"
    f" AND NOT {_ABOUT.format(table='$op')} AND NOT {_ABOUT.format(table='$parked')} RETURNING 1"
)


class Receipts(NamedTuple):
    """Say which receipts could go.

    Args:
        number: How many there are.
        oldest: When the first one was written, None when there is none.
    """

    number: int
    oldest: float | None


Place = tuple[str, ...]


class Portion(NamedTuple):
    """Hold what may go of a portion, and must be looked at once more inside the transaction that removes it.

    Args:
        at: Behind what the next portion begins, None when this was the last one.
        found: The keys of what may go.
    """

    at: Place | None
    found: Sequence[Place]


def receipts(db: Tables) -> Receipts:
    """Return how many receipts there are, and how old the first one is."""
    oldest = db.execute("SELECT done FROM $receipt ORDER BY seq LIMIT 1").get
    return Receipts(int(db.execute("SELECT count(*) FROM $receipt").get), oldest)


def prune_receipts(db: Tables, at: int, before: float, limit: int) -> tuple[int | None, int]:
    """Forget receipts behind a place that were written before a moment, but none that leads to what still waits.

    Returns:
        Behind what place the next portion begins, None when this was the last one; and how many are gone.
    """
    rows = list(db.execute("SELECT seq, done FROM $receipt WHERE seq > ? ORDER BY seq LIMIT ?", (at, limit)))
    if not rows:
        return None, 0
    last: int = rows[-1][0]
    gone = [str(row[0]) for row in db.execute(_RECEIPTS, (rows[0][0], last, before))]
    if gone:
        delivered = sum(outcome.startswith("delivered") for outcome in gone)
        for name, change in (("pruned_delivered", delivered), ("pruned_folded", len(gone) - delivered)):
            db.execute("UPDATE $meta SET value = CAST(value AS BIGINT) + ? WHERE name = ?", (change, name))
        db.execute(
            "UPDATE $meta SET value = ? WHERE name = 'pruned_to' AND CAST(value AS BIGINT) < ?", (str(last), last)
        )
    # They lie nearly in the order of their age, so the first portion with a young one ends it.
    young = len(rows) < limit or any(done >= before for _, done in rows)
    return None if young else last, len(gone)


def old_names(db: Tables, at: Place, before: float) -> Portion:
    """Find names behind one that were given before a moment."""
    rows = list(db.execute(_OLD_NAMES, (*at, _SWEEP)))
    found = [(name,) for name, named in rows if named < before]
    return Portion((rows[-1][0],) if len(rows) == _SWEEP else None, found)


def prune_names(db: Tables, found: Sequence[Place]) -> int:
    """Forget names that were found, but none whose write still waits; return how many went."""
    return sum(db.execute(_NAME, one).get is not None for one in found)


def old_shadows(db: Tables, at: Place, before: float) -> Portion:
    """Find shadows behind one that are known since before a moment; none while much waits."""
    if len(list(db.execute("SELECT 1 FROM $op LIMIT ?", (_BUSY + 1,)))) > _BUSY:
        return Portion(None, ())
    rows = list(db.execute(_OLD_SHADOWS, (*at, _SWEEP)))
    found = [(kind, entity) for kind, entity, known in rows if known < before]
    return Portion(tuple(rows[-1][:2]) if len(rows) == _SWEEP else None, found)


def prune_shadows(db: Tables, found: Sequence[Place], before: float) -> int:
    """Forget shadows that were found, but none of an entity with a write that waits; return how many went."""
    return sum(db.execute(_SHADOW, (*one, before)).get is not None for one in found)
