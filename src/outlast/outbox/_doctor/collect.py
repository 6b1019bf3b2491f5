"""Collect what a damaged file still holds, row by row, with the doubts that there are about each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from outlast.outbox._doctor.finds import MOST, PLACED, Finds
from outlast.outbox._doctor.ranges import Ranges
from outlast.outbox._doctor.shapes import fits, judge
from outlast.outbox._queries.identity import LOST_CODEC
from outlast.storage import SalvageReader, StoredRow

_META: Final = ("store", "epoch", "epochs", "decisions")


def collect(reader: SalvageReader, finds: Finds, prefix: str) -> None:
    """Read all that can be read.

    Args:
        reader: The damaged file.
        finds: Where it goes to.
        prefix: What stands before the names of the tables in the damaged file.
    """
    for table in PLACED:
        _add_table(finds, reader, table, prefix)
    for row in reader.rows(f"{prefix}once"):
        _add_name(finds, row)
    for row in reader.loose():
        _add_loose(finds, reader, row)
    _read_meta(finds, reader, prefix)
    finds.fence = max([finds.highest_fence(), *_fences(reader, prefix)])
    bounds = [high for gaps in finds.gaps.values() for _, high in gaps if high is not None and high < MOST]
    counted = list(_counted(reader, prefix))
    finds.last = max([finds.highest(), *counted, *bounds])
    finds.open_end = not counted and any(high is None for _, high in finds.gaps["op"])
    finds.missing = Ranges(finds.find_missing())


def _add_table(finds: Finds, reader: SalvageReader, table: str, prefix: str) -> None:
    for row in reader.rows(prefix + table):
        judged = judge(finds.columns[table], row.rowid, row.values)
        if row.misplaced:
            judged.doubts.append("it does not lie where its place belongs")
        if row.page in reader.suspect:
            judged.doubts.append("the page that it lies on is damaged")
        finds.keep(table, row.rowid, judged)
    finds.gaps[table] = reader.reading(prefix + table).gaps


def _add_loose(finds: Finds, reader: SalvageReader, row: StoredRow) -> None:
    """Keep a row that no tree leads to, unless its place is taken."""
    table = next((name for name in PLACED if fits(finds.columns[name], row.rowid, row.values)), None)
    if table is None:
        if not row.rowid and row.values[0] not in _META:
            _add_name(finds, row)
        return
    if row.rowid >= MOST:
        return
    judged = judge(finds.columns[table], row.rowid, row.values)
    if not reader.certain:
        judged.doubts.append("it may have been settled long ago")
        if table in {"op", "parked"} and finds.has("receipt", row.rowid):
            return
    finds.add(table, judged)


def _add_name(finds: Finds, row: StoredRow) -> None:
    match row.values:
        case (str() as name, int() as seq, *when) if 0 < seq < MOST:
            named = when[0] if len(when) == 1 and isinstance(when[0], (int, float)) else None  # SQLite stores 5.0 as 5
            finds.name(name, seq, named)
        case _:
            pass


def _read_meta(finds: Finds, reader: SalvageReader, prefix: str) -> None:
    finds.meta = {str(row.values[0]): row.values[-1] for row in reader.rows(f"{prefix}meta")}
    gaps = reader.reading(f"{prefix}meta").gaps
    finds.self_lost = bool(gaps) or finds.own_identity is None
    if "codec" not in finds.meta and ("codec_probe" in finds.meta or (gaps and finds.encoded)):
        finds.meta["codec"] = LOST_CODEC


def _fences(reader: SalvageReader, prefix: str) -> Iterator[int]:
    for row in reader.rows(f"{prefix}lease"):
        match row.values:
            case (_, _, int() as fence, *_) if fence < MOST:
                yield fence
            case _:
                pass


def _counted(reader: SalvageReader, prefix: str) -> Iterator[int]:
    for row in reader.rows("sqlite_sequence"):
        match row.values:
            case (str() as name, int() as last) if name == f"{prefix}op" and 0 <= last < MOST:
                yield last
            case _:
                pass
