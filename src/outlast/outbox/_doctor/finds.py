"""Hold what a damaged file still holds, in a file, for it may be more than the memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any, Final, NamedTuple

from outlast.errors import CorruptError
from outlast.outbox._doctor.ranges import Bounds, Range, Ranges, joined, overlaps
from outlast.outbox._doctor.shapes import Column, Judged
from outlast.outbox._identity import Identity, identity_of
from outlast.storage import Connection

Columns = Mapping[str, Sequence[Column]]
PLACED: Final = ("receipt", "seal", "parked", "op")
"""The tables whose rows have a place; a row that no tree leads to is held against them in this order."""
MOST: Final = 1 << 53
"""No place and no term is as high; a damaged one can be."""
_KEY: Final = re.compile(r"([0-9a-f]{16})\.(\d+(?:-\w+)?):\d+:\d+")
_ONCE: Final = "CREATE TABLE once (name TEXT PRIMARY KEY, seq, named) WITHOUT ROWID"
_NAMED: Final = (
    "INSERT INTO once VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET named = coalesce(named, excluded.named)"
)
_KNOWN: Final = (
    "SELECT seq FROM op WHERE seq > 0 UNION SELECT seq FROM parked WHERE seq > 0"
    " UNION SELECT seq FROM receipt WHERE seq > 0 ORDER BY seq"
)
_LAST: Final = (
    "SELECT max(seq) FROM (SELECT max(seq) AS seq FROM op UNION ALL SELECT max(seq) FROM seal"
    " UNION ALL SELECT max(seq) FROM parked UNION ALL SELECT max(seq) FROM receipt UNION ALL SELECT max(seq) FROM once)"
)
_SETTLED: Final = (
    "SELECT * FROM receipt AS r WHERE seq > 0 AND NOT EXISTS (SELECT 1 FROM op WHERE seq = r.seq)"
    " AND NOT EXISTS (SELECT 1 FROM parked WHERE seq = r.seq) ORDER BY seq"
)
_WRITES: Final = (
    "SELECT w.*, s.*, EXISTS (SELECT 1 FROM {other} WHERE seq = w.seq),"
    " EXISTS (SELECT 1 FROM receipt WHERE seq = w.seq)"
    " FROM {table} AS w LEFT JOIN seal AS s ON s.seq = w.seq WHERE {which}"
)
_BODIES: Final = "SELECT body FROM {} WHERE body IS NOT NULL AND content_type = 'application/json' AND seq > 0"


Row = tuple[dict[str, Any], str]
"""What a row holds, by the names of its columns, and what had to be guessed, as one text."""


class Found(NamedTuple):
    """Hold a write that was found.

    Args:
        values: What it holds.
        doubts: What had to be guessed.
        sealed: What was sent, and the doubts about that; None if nothing tells that it was sent.
        elsewhere: Whether it seems both to wait and to wait for a decision.
        settled: Whether a receipt says that it is settled.
    """

    values: dict[str, Any]
    doubts: str
    sealed: Row | None
    elsewhere: bool
    settled: bool


@dataclass(slots=True)
class Finds:
    """Hold what a damaged file still holds.

    Args:
        db: Where the rows lie. What has no place of its own is there at places below 0, in the order it was found.
        columns: The tables as a whole file has them.
        meta: Names and values.
        gaps: By table, between which places some rows could not be read.
        self_lost: Whether some of the names and values could not be read.
        fence: The highest number of a term that is known.
        last: The last place that is known to have been given.
        open_end: Whether more places may have been given, and what lay there could not be read.
        missing: Places at which a write may have waited that could not be read.
    """

    db: Connection
    columns: Columns
    meta: dict[str, Any] = field(default_factory=dict[str, Any])
    gaps: dict[str, list[Bounds]] = field(default_factory=dict[str, list[Bounds]])
    self_lost: bool = False
    fence: int = 0
    last: int = 0
    open_end: bool = False
    missing: Ranges = field(default_factory=Ranges)
    _strays: int = 0

    def __post_init__(self) -> None:
        """Make the tables, which take whatever was found as it is."""
        for table, columns in self.columns.items():
            names = (f"{one.name} INTEGER PRIMARY KEY" if one.is_place else one.name for one in columns)
            self.db.execute(f"CREATE TABLE {table} ({', '.join(names)}, doubts)")
        self.db.execute(_ONCE)

    def keep(self, table: str, seq: int, judged: Judged) -> None:
        """Keep a row; it is a stray where another has its place, or where that cannot be one."""
        if not (0 < seq < MOST and self.add(table, judged)):
            judged.doubts.append(f"it lay at place {seq}, which cannot be its own")
            self._strays += 1
            judged.values["seq"] = -self._strays
            self.add(table, judged)

    def add(self, table: str, judged: Judged) -> bool:
        """Add a row unless its place is taken, and tell whether it was not."""
        row = (*judged.values.values(), "; ".join(judged.doubts))
        self.db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        return self.db.changes() > 0

    def name(self, name: str, seq: int, named: float | None) -> None:
        """Keep a name under which something was queued once; the place that was found first counts."""
        self.db.execute(_NAMED, (name, seq, named))

    def has(self, table: str, seq: int) -> bool:
        """Tell whether a row of a table was found at a place."""
        return self.db.execute(f"SELECT 1 FROM {table} WHERE seq = ?", (seq,)).get is not None

    @property
    def empty(self) -> bool:
        """Tell whether no row was found that has a place."""
        return not any(self.db.execute(f"SELECT 1 FROM {table} WHERE seq > 0 LIMIT 1").get for table in self.columns)

    def highest(self) -> int:
        """Return the highest place at which something was found."""
        return max(self.db.execute(_LAST).get or 0, 0)

    def highest_fence(self) -> int:
        """Return the highest term under which something was sent."""
        return self.db.execute("SELECT max(fence) FROM seal WHERE seq > 0 AND fence < ?", (MOST,)).get or 0

    def find_missing(self) -> Iterator[Range]:
        """Yield the ranges of places at which a write may have waited that could not be read."""
        known = (seq for (seq,) in self.db.execute(_KNOWN))
        ends = pairwise(chain((0,), known, (self.last + 1,)))
        holes = ((before + 1, after - 1) for before, after in ends if after - before > 1)
        return overlaps(holes, joined([*self.gaps["op"], *self.gaps["parked"]], self.last))

    @property
    def encoded(self) -> bool:
        """Tell whether a codec has written the bodies: all that must be JSON are none."""
        found = False
        for (body,) in chain.from_iterable(self.db.execute(_BODIES.format(table)) for table in ("op", "parked")):
            if _is_json(body):
                return False
            found = True
        return found

    @property
    def own_identity(self) -> Identity | None:
        """Return which outbox it was, None if that cannot be read."""
        try:
            return identity_of(self.meta.items())
        except CorruptError:
            return None

    def identity(self) -> Identity:
        """Return which outbox it was; if that cannot be read, what the key of a sealed request tells."""
        own = self.own_identity
        if own is not None:
            return own
        for url, headers in self.db.execute("SELECT url, headers FROM seal WHERE seq > 0"):
            told = _KEY.search(f"{url} {headers}")
            if told is not None:
                return Identity(told[1], ((0, told[2]),))
        return Identity("")

    def names(self) -> Iterator[tuple[str, int, float | None]]:
        """Yield the names under which something was queued once, each with its place and, if it is known, the time."""
        yield from self.db.execute("SELECT name, seq, named FROM once")

    def settled(self) -> Iterator[dict[str, Any]]:
        """Yield the receipts, without those of what seems to wait still."""
        for row in self.db.execute(_SETTLED):
            yield self._named("receipt", row)[0]

    def writes(self, table: str, *, strays: bool = False) -> Iterator[Found]:
        """Yield the writes of a table in their order.

        Args:
            table: `op` or `parked`.
            strays: Whether those without a place of their own are wanted, or those that have one.
        """
        end = len(self.columns[table]) + 1
        other = "op" if table == "parked" else "parked"
        which = "w.seq < 0 ORDER BY w.seq DESC" if strays else "w.seq > 0 ORDER BY w.seq"
        for *row, elsewhere, settled in self.db.execute(_WRITES.format(table=table, other=other, which=which)):
            values, doubts = self._named(table, row[:end])
            sealed = None if row[end] is None else self._named("seal", row[end:])
            yield Found(values, doubts, sealed, bool(elsewhere), bool(settled))

    def _named(self, table: str, row: Sequence[Any]) -> Row:
        names = (column.name for column in self.columns[table])
        return dict(zip(names, row, strict=False)), row[-1]


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (RecursionError, ValueError) as error:
        return isinstance(error, RecursionError)
    return True
