"""Store writes: many rows to a statement, and each name under which something is queued once only once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from outlast.outbox._queries.plans import Ask, Plan
from outlast.outbox._queries.rows import NEW
from outlast.outbox._queries.tables import Tables, Ways
from outlast.outbox._records import Write

_MOST_ROWS: Final = 1024
_ROW: Final = f"({', '.join('?' for _ in NEW.split(','))})"

Call = tuple[Sequence[Write], float]
"""What one caller wants to have queued, and when."""


def enqueue(db: Tables, calls: Sequence[Call]) -> list[list[int]]:
    """Store what several callers want to have queued and return the places of each."""
    places = iter(db.run(plan(db.ways, [(write, wall) for writes, wall in calls for write in writes])))
    return [[next(places) for _ in writes] for writes, _ in calls]


def plan(ways: Ways, writes: Sequence[tuple[Write, float]]) -> Plan[list[int]]:
    """Store writes and return their places; one that was queued under its `once` before keeps its old place.

    Args:
        ways: What is done differently on the store.
        writes: The writes, each with the time.
    """
    names = [write.once for write, _ in writes if write.once is not None]
    yield from ways.before_enqueue([write.lane_id for write, _ in writes], names)
    known = yield from _known(names)
    fresh: list[tuple[Write, float]] = []
    named = set(known)
    for write, wall in writes:
        if write.once is None or write.once not in named:
            fresh.append((write, wall))
        if write.once is not None:
            named.add(write.once)
    places = iter((yield from _insert(ways, fresh)))
    found: list[int] = []
    for write, _ in writes:
        if write.once is None:
            found.append(next(places))
        else:
            if write.once not in known:
                known[write.once] = next(places)
                yield Ask("INSERT INTO $once (name, seq) VALUES (?, ?)", (write.once, known[write.once]))
            found.append(known[write.once])
    return found


def _known(names: Sequence[str]) -> Plan[dict[str, int]]:
    found: dict[str, int] = {}
    for name in names:
        for (seq,) in (yield Ask("SELECT seq FROM $once WHERE name = ?", (name,))):
            found[name] = seq
    return found


def _insert(ways: Ways, writes: Sequence[tuple[Write, float]]) -> Plan[list[int]]:
    places: list[int] = []
    begin = 0
    for count in chunks(len(writes)):
        bindings = [value for write, wall in writes[begin : begin + count] for value in _values(write, wall)]
        rows = yield Ask(f"INSERT INTO $op ({NEW}) VALUES {', '.join([_ROW] * count)}{ways.returning}", bindings)
        places += yield from ways.places(rows, count)
        begin += count
    return places


def _values(write: Write, wall: float) -> tuple[Any, ...]:
    return (
        write.lane_id, write.verb.value, write.kind, write.entity, 0, write.target, write.content_type, write.if_match,
        wall, write.body, None, write.after, write.schema, 0,
        None if write.expires is None else wall + write.expires, write.base,
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
