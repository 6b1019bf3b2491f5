"""Fill a new file with what was found in a damaged one."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final

from outlast.outbox._doctor.doubts import accepted_is_whole, doubts, parked_doubts
from outlast.outbox._doctor.epoch import write_identity
from outlast.outbox._doctor.finds import Finds, Found
from outlast.outbox._doctor.ranges import joined
from outlast.outbox._queries.tables import Tables, ways_of
from outlast.storage import Connection, Dialect, SqliteDatabase

_AT_ONCE: Final = 2000
"""Rows that are stored in one commit, and are in memory until then."""
_LOST_FENCE: Final = 1000
"""Added to the highest fence that is known when the lease is lost, so that no server takes the new one for an old."""
_MADE_ANEW: Final = frozenset({"store", "epoch", "epochs", "codec_probe"})


@dataclass(frozen=True, slots=True)
class Doubtful:
    """Name a write that was put into the dead letters instead of being sent.

    Args:
        seq: Its place in the new file.
        why: What is doubtful about it.
    """

    seq: int
    why: str


Stored = tuple[str, Mapping[str, Any]]
"""A table and what a row of it holds."""


class Filling:
    """Fill a new file.

    Args:
        finds: What the old one still holds.
        wall: Unix seconds.
        chance: Sixteen hexadecimal digits, for the new epoch and, if need be, for a new name.
    """

    def __init__(self, finds: Finds, wall: float, chance: str) -> None:
        self._finds = finds
        self._wall = wall
        self._chance = chance
        self._last = finds.last
        self.read: Counter[str] = Counter()
        self.doubtful: list[Doubtful] = []
        self.epoch = ""

    def fill(self, database: SqliteDatabase) -> None:
        """Store everything, a few at a time."""
        rows = self._rows()
        while some := list(islice(rows, _AT_ONCE)):
            database.write(partial(_store, some)).result()
        self.epoch = database.write(self._end).result()

    def _rows(self) -> Iterator[Stored]:
        finds = self._finds
        for receipt in finds.settled():
            yield self._counted("receipt", receipt)
        for parked in finds.writes("parked"):
            yield self._parked(parked.values["seq"], parked, parked_doubts(parked))
        yield from self._ops()
        for table in ("parked", "op"):
            for stray in finds.writes(table, strays=True):
                self._last += 1
                yield self._parked(self._last, stray, (stray.doubts,))
        for name, seq, named in finds.names():
            yield "once", {"name": name, "seq": seq, "named": self._wall if named is None else named}

    def _ops(self) -> Iterator[Stored]:
        finds = self._finds
        unsealed = joined(finds.gaps["seal"], finds.last)
        plain = "codec" not in finds.meta
        for op in finds.writes("op"):
            if op.elsewhere:
                continue
            why = list(filter(None, doubts(op, missing=finds.missing, unsealed=unsealed, plain=plain)))
            seq = op.values["seq"]
            if why:
                yield self._parked(seq, op, why)
                continue
            # What is lost may have been its sending, so nothing is folded into it.
            yield self._counted("op", {**op.values, "grp": op.values["grp"] or seq})
            if op.sealed is not None:
                sealed, _ = op.sealed
                accepted = sealed["accepted"] if accepted_is_whole(sealed["accepted"]) else None
                yield self._counted("seal", {**sealed, "doubt": 1, "first_sent": 0.0, "accepted": accepted})

    def _counted(self, table: str, values: Mapping[str, Any]) -> Stored:
        self.read[table] += 1
        return table, values

    def _parked(self, seq: int, found: Found, why: Iterable[str]) -> Stored:
        said = sys.intern("; ".join(filter(None, why)))  # one reason often holds for very many
        values = {**found.values, "seq": seq}
        if said:
            self.doubtful.append(Doubtful(seq, said))
            attempts = 0 if found.sealed is None else found.sealed[0]["attempts"]
            before = f" ({values['reason']})" if values.get("reason") else ""
            values = {
                "state": "dead", "parked": self._wall, "attempts": attempts,
                **values, "reason": f"salvaged: {said}{before}",
            }  # fmt: skip
        known = (column.name for column in self._finds.columns["parked"])
        return self._counted("parked", {name: values[name] for name in known if name in values})

    def _end(self, db: Connection) -> str:
        """Store what the outbox knows of itself and return the new epoch."""
        finds = self._finds
        for name, value in finds.meta.items():
            usable = str(value).isdecimal() if name == "decisions" else value is not None
            if usable and name not in _MADE_ANEW:
                db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))
        identity = finds.identity()
        identity = identity if identity.store else type(identity)(self._chance, identity.epochs)
        identity = identity.after(finds.last, self._chance[:4])  # those without a place of their own have new keys
        write_identity(Tables(db, ways_of(Dialect("sqlite"))), identity)
        db.execute("DELETE FROM sqlite_sequence WHERE name = 'op'")
        db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('op', ?)", (self._last,))
        if finds.fence:
            row = ("deliver", "", finds.fence + _LOST_FENCE, "", 0.0, 0.0, 0)
            db.execute("INSERT INTO lease VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return identity.epoch


def _store(rows: Sequence[Stored], db: Connection) -> None:
    for table, values in rows:
        marks = ", ".join("?" * len(values))
        db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
