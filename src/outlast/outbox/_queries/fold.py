"""Fold a write into one that waits, where that was never sent, inside the transaction that would queue it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from outlast.engines.coalesce import Fold, OpCoalescer
from outlast.engines.coalesce_records import Annihilate, Append, NoOp, OpView, Reject, Replace
from outlast.engines.json_values import UNKNOWN, decode, same
from outlast.engines.merge_patch import apply_patch
from outlast.engines.op import Verb
from outlast.errors import ConfigError
from outlast.outbox._identity import NOBODY
from outlast.outbox._queries.plans import Ask, Plan
from outlast.outbox._queries.rows import OP, read_op
from outlast.outbox._queries.tables import Tables, Ways
from outlast.outbox._records import Op, Queued
from outlast.outbox._write import Write

Route = tuple[str | None, int, bool]
"""Where a write goes, in which shape, and whether others may pass it while it waits."""
_LOOK_BACK: Final = 4
"""How many of a lane's last ops are looked at; folding into the last is what shortens a queue."""
_LANE: Final = f"SELECT {OP} FROM $op WHERE lane = ? ORDER BY seq DESC LIMIT {_LOOK_BACK}"

_FREE: Final = (
    "SELECT seq FROM $op AS o WHERE seq IN {marks} AND generation = 0"
    " AND NOT EXISTS (SELECT 1 FROM $seal AS s WHERE s.seq = o.seq) ORDER BY seq"
)
"""Those that were never sent; only a claim or another fold changes them, and the lane's lock keeps other folds away."""


class Coalescing:
    """Say which writes are folded, and how.

    Args:
        kinds: The kinds of entity whose writes are folded, or None for all.
        folds: By kind, how to make one body of two that are no merge patches.
        max_body: The size in bytes that no folded body may exceed, or None.
    """

    def __init__(
        self,
        kinds: Collection[str] | None = None,
        *,
        folds: Mapping[str, Fold] | None = None,
        max_body: int | None = None,
    ) -> None:
        self._kinds = None if kinds is None else frozenset(kinds)
        self._folds = folds
        self._max_body = max_body
        self._coalescer = OpCoalescer(folds, max_body=max_body)

    def within(self, max_body: int | None) -> Coalescing:
        """Return the same rules under the tighter of two bounds of a folded body."""
        if max_body is None or (self._max_body is not None and self._max_body <= max_body):
            return self
        return Coalescing(self._kinds, folds=self._folds, max_body=max_body)

    def takes(self, write: Write) -> bool:
        """Tell whether a write may be folded; one that is queued once by a name never is."""
        return write.once is None and (self._kinds is None or write.kind in self._kinds)

    def fold(self, ways: Ways, write: Write, wall: float) -> Plan[Queued | None]:
        """Fold a write, and return what became of it, None when it must be queued behind the others.

        Raises:
            ConfigError: What waits already forbids it, such as a second create.
        """
        views = yield from _views(ways, write)
        match self._coalescer.coalesce(_seen(views, write), _view(write, wall)):
            case Append():
                return None
            case NoOp(seq=seq, expires=expires):
                yield Ask("UPDATE $op SET expires = ? WHERE seq = ?", (expires, seq))
                return Queued(seq, "merged")
            case Reject(reason=reason):
                raise ConfigError(reason, path="write")
            case Replace(removed=removed) | Annihilate(removed=removed) if not (yield from _may_go(ways, removed)):
                return None
            case Replace(op=op, removed=removed):
                yield Ask(
                    "UPDATE $op SET verb = ?, body = ?, content_type = ?, expires = ? WHERE seq = ?",
                    (op.verb.value, ways.bodies.pack(op.body), op.content_type, op.expires, op.seq),
                )
                yield from _take_out(removed, f"merged:{op.seq}", wall)
                return Queued(op.seq, "merged", len(removed))
            case Annihilate(removed=removed):
                yield from _take_out(removed, "annihilated", wall)
                return Queued(removed[0], "annihilated", len(removed))


def index_lanes(db: Tables) -> None:
    """Make the index that folding needs; without folding it would only cost."""
    if db.ways.lane_index:
        db.execute(db.ways.lane_index)


def _views(ways: Ways, write: Write) -> Plan[list[OpView]]:
    """Show the last ops of the lane that are about the same entity, oldest first."""
    rows = yield Ask(_LANE, (write.lane_id,))
    ops = [read_op(row, NOBODY, ways.bodies) for row in reversed(rows)]
    if not ops:
        return []
    passable = [bool(row[-1]) for row in reversed(rows)]
    places = [op.seq for op in ops]
    marks = f"({', '.join('?' for _ in places)})"
    # Only what may be folded is held: what is on its way must be settled, also while this transaction stays open.
    free = _firsts((yield Ask(_FREE.format(marks=marks) + ways.update, places)))
    if ways.update:  # who held one of them when it was asked for may have sealed it
        free -= _firsts((yield Ask(f"SELECT seq FROM $seal WHERE seq IN {marks}", places)))
    awaited = yield from _awaited(places)
    found: list[OpView] = []
    for number, op in enumerate(ops):
        if (op.kind, op.entity) == (write.kind, write.entity):
            followed = any((other.kind, other.entity) != (op.kind, op.entity) for other in ops[number + 1 :])
            route = (op.target, op.schema, passable[number])
            found.append(_shown(op, route, sealed=op.seq not in free, awaited=op.seq in awaited, followed=followed))
    return found


def _may_go(ways: Ways, places: Sequence[int]) -> Plan[bool]:
    """Tell whether nothing comes after these writes, also nothing that another transaction is about to commit."""
    if not places or not ways.update:  # nobody else writes
        return True
    return (yield from ways.take(places)) and not (yield from _awaited(places))


def _awaited(places: Sequence[int]) -> Plan[set[int]]:
    marks = ", ".join("?" for _ in places)
    return _firsts((yield Ask(f"SELECT after_seq FROM $op WHERE after_seq IN ({marks})", places)))


def _firsts(rows: Iterable[Sequence[Any]]) -> set[int]:
    return {row[0] for row in rows}


def _shown(op: Op, route: Route, *, sealed: bool, awaited: bool, followed: bool) -> OpView:
    return OpView(
        seq=op.seq, verb=op.verb, kind=op.kind, entity=op.entity, body=op.body, content_type=op.content_type,
        if_match=op.if_match, route=route, group=None if op.group is None else str(op.group),
        after=op.after, expires=op.expires_at, sealed=sealed, awaited=awaited, followed=followed,
        base=op.base,
    )  # fmt: skip


def _view(write: Write, wall: float) -> OpView:
    return OpView(
        verb=write.verb, kind=write.kind, entity=write.entity, body=write.body, content_type=write.content_type,
        if_match=write.if_match, route=(write.target, write.schema, write.order == "mutex"), after=write.after,
        expires=None if write.expires is None else wall + write.expires,
    )  # fmt: skip


def _seen(views: list[OpView], write: Write) -> list[OpView]:
    """Return the last ops, of which each was seen by the author of the next one and the last by that of the write."""
    base: bytes | None = write.base
    for number in reversed(range(len(views))):
        if base is not None and not _saw(views[number], base):
            return views[number + 1 :]
        base = views[number].base
    return views


def _saw(queued: OpView, base: bytes) -> bool:
    """Tell whether the author of a write saw what the op before it will leave; else it must be merged, not folded."""
    try:
        left: Any = None if queued.body is None else decode(queued.body)
        if queued.verb is Verb.PATCH:
            left = UNKNOWN if queued.base is None else apply_patch(decode(queued.base), left)
        return queued.body == base or same(left, decode(base))
    except ValueError:
        return False


def _take_out(places: Sequence[int], outcome: str, wall: float) -> Plan[None]:
    for seq in places:
        yield Ask(
            "INSERT INTO $receipt (seq, generation, attempts, etag, kind, entity, done, outcome)"
            " SELECT seq, generation, 0, NULL, kind, entity, ?, ? FROM $op WHERE seq = ?",
            (wall, outcome, seq),
        )
        yield Ask("DELETE FROM $op WHERE seq = ?", (seq,))
