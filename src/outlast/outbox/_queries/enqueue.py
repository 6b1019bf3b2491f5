"""Store writes: many rows to a statement, and each name under which something is queued once only once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import islice, pairwise
from typing import Any, Final, NamedTuple

from outlast.errors import ConfigError
from outlast.outbox._queries.bodies import Bodies
from outlast.outbox._queries.fold import Coalescing
from outlast.outbox._queries.plans import Ask, Plan
from outlast.outbox._queries.rows import NEW, chunks
from outlast.outbox._queries.tables import Tables, Ways
from outlast.outbox._records import Queued
from outlast.outbox._write import Write

_FIXED: Final = {"generation": "0", "grp": "NULL", "rounds": "0"}
_PLAIN: Final = _FIXED | {"schema_v": "0", "passable": "FALSE"}
_UNSAID: Final = ("target", "if_match", "grp", "after_seq", "expires", "base")
"""What is empty in a write of which only its content is said, and so needs no mention."""
_INTO: Final = "SELECT outcome FROM $receipt WHERE seq = ? AND outcome LIKE 'merged:%'"
_NOT_YET: Final = Queued(0)


class Call(NamedTuple):
    """Hold what one caller wants to have queued.

    Args:
        writes: The writes.
        wall: Unix seconds.
        together: Whether they are one transaction: delivered in their order, none before the one in front of it.
    """

    writes: Sequence[Write]
    wall: float
    together: bool = False


_Row = tuple[Write, int, float]
"""A write, the number of its lane, and Unix seconds."""


class _Item:
    __slots__ = ("queued", "row", "write")

    def __init__(self, write: Write, wall: float) -> None:
        self.write = write
        self.row: _Row = (write, write.lane_id, wall)
        self.queued = _NOT_YET


def enqueue(db: Tables, calls: Sequence[Call], coalescing: Coalescing | None = None) -> list[list[Queued]]:
    """Store what several callers want to have queued and return what became of the writes of each."""
    return db.run(plan(db.ways, calls, coalescing))


def plan(ways: Ways, calls: Sequence[Call], coalescing: Coalescing | None = None) -> Plan[list[list[Queued]]]:
    """Store writes and tell what became of each; one that was queued under its `once` before keeps its old place.

    Args:
        ways: What is done differently on the store.
        calls: What several callers want to have queued.
        coalescing: Which writes are folded into ones that wait, or None for none.

    Raises:
        ConfigError: A write comes after one that is not queued yet, or is at odds with what waits.
    """
    names = [write.once for call in calls for write in call.writes if write.once is not None]
    if not names and coalescing is None and not any(call.together for call in calls):
        return (yield from _append(ways, calls))
    groups = [[_Item(write, call.wall) for write in call.writes] for call in calls]
    items = [item for group in groups for item in group]
    yield from ways.before_enqueue([item.row[1] for item in items], names)
    known = yield from known_names(names)
    named = _first_of_each_name(items, known)
    yield from _store(ways, calls, groups, coalescing, named)
    yield from _name(items, known, named)
    for call, group in zip(calls, groups, strict=True):
        if call.together:
            yield from _chain(ways, group)
    return [[item.queued for item in group] for group in groups]


def _append(ways: Ways, calls: Sequence[Call]) -> Plan[list[list[Queued]]]:
    """Insert writes of which none can be known, folded or part of a transaction, which is what most are."""
    rows = [(write, write.lane_id, wall) for writes, wall, _ in calls for write in writes]
    yield from ways.before_enqueue([lane for _, lane, _ in rows], ())
    queued = map(Queued, (yield from _insert(ways, rows)))
    return [list(islice(queued, len(call.writes))) for call in calls]


def _first_of_each_name(items: Sequence[_Item], known: Mapping[str, int]) -> dict[str, _Item]:
    named: dict[str, _Item] = {}
    for item in items:
        if item.write.once is not None and item.write.once not in known:
            named.setdefault(item.write.once, item)
    return named


def _store(
    ways: Ways,
    calls: Sequence[Call],
    groups: Sequence[Sequence[_Item]],
    coalescing: Coalescing | None,
    named: Mapping[str, _Item],
) -> Plan[None]:
    """Insert what is neither known by its name nor folded, in its order."""
    fresh: list[_Item] = []
    for call, group in zip(calls, groups, strict=True):
        folding = None if call.together else coalescing
        for item in group:
            if folding is not None and folding.takes(item.write):
                yield from _insert_items(ways, fresh)
                fresh = []
                yield from _fold(ways, folding, item)
            elif item.write.once is None or named.get(item.write.once) is item:
                fresh.append(item)
    yield from _insert_items(ways, fresh)


def _fold(ways: Ways, folding: Coalescing, item: _Item) -> Plan[None]:
    folded = yield from folding.fold(ways, item.write, item.row[2])
    if folded is None:
        yield from _insert_items(ways, [item])
    else:
        item.queued = folded


def _name(items: Sequence[_Item], known: dict[str, int], named: dict[str, _Item]) -> Plan[None]:
    for name, item in named.items():
        known[name] = item.queued.seq
        yield Ask("INSERT INTO $once (name, seq, named) VALUES (?, ?, ?)", (name, known[name], item.row[2]))
    for item in items:
        once = item.write.once
        if once is not None and named.get(once) is not item:
            item.queued = Queued(known[once], "known")


def _chain(ways: Ways, group: Sequence[_Item]) -> Plan[None]:
    """Let each write of a transaction come after the one in front of it.

    What was known by its name before is in front of all others then, for a write comes after one other only.
    """
    fresh = [item for item in group if item.queued.how == "queued"]
    if not fresh:
        return
    places = [item.queued.seq for item in fresh]
    known = [item.queued.seq for item in group[: group.index(fresh[-1])] if item.queued.seq < places[0]]
    before: list[int] = []
    if known and fresh[0].write.after is None:
        yield from ways.hold([max(known)])
        before = [(yield from _heir(ways, max(known)))]
    for first, then in pairwise([*before, *places]):
        yield Ask("UPDATE $op SET after_seq = ? WHERE seq = ?", (first, then))
    for seq in places:
        yield Ask("UPDATE $op SET grp = ? WHERE seq = ?", (places[0], seq))


def known_names(names: Sequence[str]) -> Plan[dict[str, int]]:
    """Return the places of what was queued under these names before."""
    found: dict[str, int] = {}
    for name in names:
        for (seq,) in (yield Ask("SELECT seq FROM $once WHERE name = ?", (name,))):
            found[name] = seq
    return found


def _insert_items(ways: Ways, items: Sequence[_Item]) -> Plan[None]:
    places = yield from _insert(ways, [item.row for item in items])
    for item, seq in zip(items, places, strict=True):
        item.queued = Queued(seq)


def _insert(ways: Ways, rows: Sequence[_Row]) -> Plan[list[int]]:
    places: list[int] = []
    for count in chunks(len(rows)):
        some = rows[len(places) : len(places) + count]
        plain = all(write.is_plain for write, _, _ in some)
        if not plain:
            some = yield from _led_on(ways, some)
        values = _values(ways.bodies, some, plain=plain)
        given = yield Ask(_statement(count, ways.returning, plain=plain), values)
        begin = len(places)
        places += yield from ways.places(given, count)
        if not plain:
            _check_order(some, places[begin:])
    return places


def _led_on(ways: Ways, rows: Sequence[_Row]) -> Plan[list[_Row]]:
    """Let what comes after a write that was folded come after the one that has taken it up."""
    if awaited := [write.after for write, _, _ in rows if write.after is not None]:
        yield from ways.hold(awaited)
    found: list[_Row] = []
    for write, lane, wall in rows:
        after = None if write.after is None else (yield from _heir(ways, write.after))
        found.append((write if after == write.after else write._replace(after=after), lane, wall))
    return found


def _heir(ways: Ways, place: int) -> Plan[int]:
    """Return the write that has taken up one that is held, and hold it; the one itself where none has."""
    while into := (yield Ask(_INTO, (place,))):
        place = int(into[0][0].removeprefix("merged:"))
        yield from ways.hold([place])
    return place


def _check_order(rows: Sequence[_Row], places: Sequence[int]) -> None:
    for (write, _, _), seq in zip(rows, places, strict=True):
        if write.after is not None and write.after >= seq:
            raise ConfigError(f"there is no write {write.after} yet", path="write.after")


@cache
def _statement(rows: int, returning: str, *, plain: bool) -> str:
    fixed = _PLAIN if plain else _FIXED
    names = [name for name in NEW.split(", ") if not plain or name not in _UNSAID]
    row = f"({','.join(fixed.get(name, '?') for name in names)})"
    return f"INSERT INTO $op ({','.join(names)}) VALUES {','.join([row] * rows)}{returning}"


def _values(bodies: Bodies, rows: Sequence[_Row], *, plain: bool) -> list[Any]:
    pack, values = bodies.pack, list[Any]()
    for write, lane, wall in rows:
        if plain:
            values += (lane, str(write.verb), write.kind, write.entity, write.content_type, wall, pack(write.body))
        else:
            values += _all_values(bodies, write, lane, wall)
    return values


def _all_values(bodies: Bodies, write: Write, lane: int, wall: float) -> tuple[Any, ...]:
    return (
        lane, str(write.verb), write.kind, write.entity, write.target, write.content_type, write.if_match, wall,
        bodies.pack(write.body), write.after, write.schema, None if write.expires is None else wall + write.expires,
        bodies.pack(write.base), write.order == "mutex",
    )  # fmt: skip
