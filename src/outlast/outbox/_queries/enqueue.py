"""Store writes: many rows to a statement, and each name under which something is queued once only once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain, pairwise
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
_ROW: Final = f"({','.join(_FIXED.get(name.strip(), '?') for name in NEW.split(','))})"
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


class _Item:
    __slots__ = ("lane", "queued", "wall", "write")

    def __init__(self, write: Write, wall: float) -> None:
        self.write = write
        self.wall = wall
        self.lane = write.lane_id
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
    groups = [[_Item(write, call.wall) for write in call.writes] for call in calls]
    items = [item for group in groups for item in group]
    names = [item.write.once for item in items if item.write.once is not None]
    yield from ways.before_enqueue([item.lane for item in items], names)
    known = yield from known_names(names)
    named = _first_of_each_name(items, known) if names else {}
    if names or coalescing is not None:
        yield from _store(ways, calls, groups, coalescing, named)
        yield from _name(items, known, named)
    else:
        yield from _insert(ways, items)
    for call, group in zip(calls, groups, strict=True):
        if call.together:
            yield from _chain(group)
    return [[item.queued for item in group] for group in groups]


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
                yield from _insert(ways, fresh)
                fresh = []
                yield from _fold(ways, folding, item)
            elif item.write.once is None or named.get(item.write.once) is item:
                fresh.append(item)
    yield from _insert(ways, fresh)


def _fold(ways: Ways, folding: Coalescing, item: _Item) -> Plan[None]:
    folded = yield from folding.fold(ways, item.write, item.wall)
    if folded is None:
        yield from _insert(ways, [item])
    else:
        item.queued = folded


def _name(items: Sequence[_Item], known: dict[str, int], named: dict[str, _Item]) -> Plan[None]:
    for name, item in named.items():
        known[name] = item.queued.seq
        yield Ask("INSERT INTO $once (name, seq, named) VALUES (?, ?, ?)", (name, known[name], item.wall))
    for item in items:
        once = item.write.once
        if once is not None and named.get(once) is not item:
            item.queued = Queued(known[once], "known")


def _chain(group: Sequence[_Item]) -> Plan[None]:
    """Let each write of a transaction come after the one in front of it."""
    for before, item in pairwise(group):
        if item.queued.how == "queued":
            yield Ask("UPDATE $op SET after_seq = ? WHERE seq = ?", (before.queued.seq, item.queued.seq))
    places = [item.queued.seq for item in group if item.queued.how == "queued"]
    for seq in places:
        yield Ask("UPDATE $op SET grp = ? WHERE seq = ?", (places[0], seq))


def known_names(names: Sequence[str]) -> Plan[dict[str, int]]:
    """Return the places of what was queued under these names before."""
    found: dict[str, int] = {}
    for name in names:
        for (seq,) in (yield Ask("SELECT seq FROM $once WHERE name = ?", (name,))):
            found[name] = seq
    return found


def _insert(ways: Ways, items: Sequence[_Item]) -> Plan[None]:
    begin = 0
    for count in chunks(len(items)):
        some = items[begin : begin + count]
        values = [_values(ways.bodies, item) for item in some]
        rows = yield Ask(_statement(count, ways.returning), list(chain.from_iterable(values)))
        places = yield from ways.places(rows, count)
        for item, seq in zip(some, places, strict=True):
            item.queued = Queued(seq)
            if item.write.after is not None and item.write.after >= seq:
                raise ConfigError(f"there is no write {item.write.after} yet", path="write.after")
        begin += count


@cache
def _statement(rows: int, returning: str) -> str:
    return f"INSERT INTO $op ({NEW}) VALUES {','.join([_ROW] * rows)}{returning}"


def _values(bodies: Bodies, item: _Item) -> tuple[Any, ...]:
    write, wall = item.write, item.wall
    return (
        item.lane, str(write.verb), write.kind, write.entity, write.target, write.content_type, write.if_match, wall,
        bodies.pack(write.body), write.after, write.schema, None if write.expires is None else wall + write.expires,
        bodies.pack(write.base), write.order == "mutex",
    )  # fmt: skip
