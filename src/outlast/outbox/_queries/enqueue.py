"""Store writes: many rows to a statement, and each name under which something is queued once only once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple

from outlast.errors import ConfigError
from outlast.outbox._queries.bodies import Bodies
from outlast.outbox._queries.fold import Coalescing
from outlast.outbox._queries.plans import Ask, Plan
from outlast.outbox._queries.rows import NEW
from outlast.outbox._queries.tables import Tables, Ways
from outlast.outbox._records import Queued, Write

_MOST_ROWS: Final = 1024
_ROW: Final = f"({', '.join('?' for _ in NEW.split(','))})"


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


@dataclass(slots=True, eq=False)
class _Item:
    write: Write
    wall: float
    queued: Queued = field(default_factory=lambda: Queued(0))


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
    yield from ways.before_enqueue([item.write.lane_id for item in items], names)
    known = yield from _known(names)
    named = _first_of_each_name(items, known)
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
    yield from _name(items, known, named)
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


def _fold(ways: Ways, folding: Coalescing, item: _Item) -> Plan[None]:
    folded = yield from folding.fold(ways, item.write, item.wall)
    if folded is None:
        yield from _insert(ways, [item])
    else:
        item.queued = folded


def _name(items: Sequence[_Item], known: dict[str, int], named: dict[str, _Item]) -> Plan[None]:
    for name, item in named.items():
        known[name] = item.queued.seq
        yield Ask("INSERT INTO $once (name, seq) VALUES (?, ?)", (name, known[name]))
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


def _known(names: Sequence[str]) -> Plan[dict[str, int]]:
    found: dict[str, int] = {}
    for name in names:
        for (seq,) in (yield Ask("SELECT seq FROM $once WHERE name = ?", (name,))):
            found[name] = seq
    return found


def _insert(ways: Ways, items: Sequence[_Item]) -> Plan[None]:
    begin = 0
    for count in chunks(len(items)):
        some = items[begin : begin + count]
        bindings = [value for item in some for value in _values(ways.bodies, item.write, item.wall)]
        rows = yield Ask(f"INSERT INTO $op ({NEW}) VALUES {', '.join([_ROW] * count)}{ways.returning}", bindings)
        places = yield from ways.places(rows, count)
        for item, seq in zip(some, places, strict=True):
            item.queued = Queued(seq)
            if item.write.after is not None and item.write.after >= seq:
                raise ConfigError(f"there is no write {item.write.after} yet", path="write.after")
        begin += count


def _values(bodies: Bodies, write: Write, wall: float) -> tuple[Any, ...]:
    return (
        write.lane_id, write.verb.value, write.kind, write.entity, 0, write.target, write.content_type, write.if_match,
        wall, bodies.pack(write.body), None, write.after, write.schema, 0,
        None if write.expires is None else wall + write.expires, bodies.pack(write.base), write.order == "mutex",
    )  # fmt: skip


def chunks(count: int) -> Iterator[int]:
    """Cut a number of rows into powers of two, so that few statements serve any number.

    >>> list(chunks(11))
    [8, 2, 1]
    """
    size = _MOST_ROWS
    while count:
        while size > count:
            size //= 2
        yield size
        count -= size
