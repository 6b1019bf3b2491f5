"""Collect what a damaged file still holds, row by row, with the doubts that there are about each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from outlast.errors import CorruptError
from outlast.outbox._doctor.examine import is_broken_json, sealed_is_whole
from outlast.outbox._doctor.shapes import Column, Judged, fits, judge
from outlast.outbox._identity import Identity, identity_of
from outlast.outbox._queries.identity import LOST_CODEC
from outlast.storage import SalvageReader

Columns = Mapping[str, Sequence[Column]]
Range = tuple[int, int]
_PLACED: Final = ("receipt", "seal", "parked", "op")
_KEY: Final = re.compile(r"([0-9a-f]{16})\.(\d+(?:-\w+)?):\d+:\d+")
_META: Final = ("store", "epoch", "epochs", "decisions")
_MOST: Final = 1 << 53
"""No place and no term is as high; a damaged one can be."""


@dataclass(slots=True)
class Finds:
    """Hold what a damaged file still holds.

    Args:
        rows: By table and place.
        strays: Rows whose place another row has, or that cannot be one.
        meta: Names and values.
        names: What was queued once by a name, and its place.
        named: When that was, in Unix seconds, where it is known.
        gaps: By table, between which places some rows could not be read.
        self_lost: Whether some of the names and values could not be read.
        fence: The highest number of a term that is known.
        last: The last place that is known to have been given.
        open_end: Whether more places may have been given, and what lay there could not be read.
    """

    rows: dict[str, dict[int, Judged]] = field(default_factory=dict[str, dict[int, Judged]])
    strays: list[tuple[str, Judged]] = field(default_factory=list[tuple[str, Judged]])
    meta: dict[str, Any] = field(default_factory=dict[str, Any])
    names: dict[str, int] = field(default_factory=dict[str, int])
    named: dict[str, float] = field(default_factory=dict[str, float])
    gaps: dict[str, list[tuple[int | None, int | None]]] = field(
        default_factory=dict[str, list[tuple[int | None, int | None]]]
    )
    self_lost: bool = False
    fence: int = 0
    last: int = 0
    open_end: bool = False

    @property
    def settled(self) -> Mapping[int, Judged]:
        """Return the receipts."""
        return self.rows["receipt"]

    def in_gap(self, table: str, seq: int) -> bool:
        """Tell whether a row of a table may have been there and could not be read."""
        return any((low is None or seq > low) and (high is None or seq <= high) for low, high in self.gaps[table])

    def missing(self) -> list[Range]:
        """Return the ranges of places at which a write may have waited that could not be read."""
        known = set[int]().union(self.rows["op"], self.rows["parked"], self.settled)
        ends = pairwise((0, *sorted(known), self.last + 1))
        holes = [(before + 1, after - 1) for before, after in ends if after - before > 1]
        return [*_overlaps(holes, _joined([*self.gaps["op"], *self.gaps["parked"]], self.last))]

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
        for sealed in self.rows["seal"].values():
            told = _KEY.search(f"{sealed.values['url']} {sealed.values['headers']}")
            if told is not None:
                return Identity(told[1], ((0, told[2]),))
        return Identity("")


def _joined(gaps: Sequence[tuple[int | None, int | None]], last: int) -> list[Range]:
    """Return gaps as ranges, those that meet as one."""
    found: list[Range] = []
    for low, high in sorted((max(low or 0, 0) + 1, last if high is None else high) for low, high in gaps):
        if found and low <= found[-1][1] + 1:
            low, high = found[-1][0], max(high, found.pop()[1])  # noqa: PLW2901 - it grows
        found.append((low, high))
    return found


def _overlaps(some: Sequence[Range], others: Sequence[Range]) -> Iterator[Range]:
    """Yield where two rows of ranges have places in common; each is sorted, and no two of its ranges meet."""
    one = other = 0
    while one < len(some) and other < len(others):
        low, high = max(some[one][0], others[other][0]), min(some[one][1], others[other][1])
        if low <= high:
            yield low, high
        if some[one][1] < others[other][1]:
            one += 1
        else:
            other += 1


def collect(reader: SalvageReader, columns: Columns, prefix: str) -> Finds:
    """Read all that can be read.

    Args:
        reader: The damaged file.
        columns: The tables as a whole file has them.
        prefix: What stands before the names of the tables in the damaged file.
    """
    finds = Finds()
    for table in _PLACED:
        reading = reader.table(prefix + table)
        finds.gaps[table] = reading.gaps
        finds.rows[table] = {}
        for row in reading.rows:
            judged = judge(columns[table], row.rowid, row.values)
            if (row.page, row.rowid) in reading.misplaced:
                judged.doubts.append("it does not lie where its place belongs")
            if row.page in reader.suspect:
                judged.doubts.append("the page that it lies on is damaged")
            _keep(finds, table, row.rowid, judged)
    _add_loose(finds, reader, columns)
    _read_keyed(finds, reader, prefix)
    places = [seq for rows in finds.rows.values() for seq in rows]
    bounds = [high for gaps in finds.gaps.values() for _, high in gaps if high is not None and high < _MOST]
    counted = list(_counted(reader, prefix))
    finds.last = max([*places, *finds.names.values(), *counted, *bounds, 0])
    finds.open_end = not counted and any(high is None for _, high in finds.gaps["op"])
    return finds


def _keep(finds: Finds, table: str, seq: int, judged: Judged) -> None:
    if not 0 < seq < _MOST or seq in finds.rows[table]:
        judged.doubts.append(f"it lay at place {seq}, which cannot be its own")
        finds.strays.append((table, judged))
    else:
        finds.rows[table][seq] = judged


def _add_loose(finds: Finds, reader: SalvageReader, columns: Columns) -> None:
    for row in reader.loose:
        table = next((name for name in _PLACED if fits(columns[name], row.rowid, row.values)), None)
        if table is None:
            match row.values:
                case (str() as name, int() as seq, *when) if not row.rowid and 0 < seq < _MOST and name not in _META:
                    _name(finds, name, finds.names.get(name, seq), when)
                case _:
                    pass
            continue
        if row.rowid in finds.rows[table] or row.rowid >= _MOST:
            continue
        judged = judge(columns[table], row.rowid, row.values)
        if not reader.certain:
            judged.doubts.append("it may have been settled long ago")
            if table in {"op", "parked"} and row.rowid in finds.settled:
                continue
        finds.rows[table][row.rowid] = judged


def _read_keyed(finds: Finds, reader: SalvageReader, prefix: str) -> None:
    meta = reader.table(f"{prefix}meta")
    finds.meta = {str(row.values[0]): row.values[-1] for row in meta.rows}
    finds.self_lost = bool(meta.gaps) or finds.own_identity is None
    if "codec" not in finds.meta and ("codec_probe" in finds.meta or (meta.gaps and _is_encoded(finds))):
        finds.meta["codec"] = LOST_CODEC
    for row in reader.table(f"{prefix}once").rows:
        match row.values:
            case (str() as name, int() as seq, *when) if 0 < seq < _MOST:
                _name(finds, name, seq, when)
            case _:
                pass
    fences = [sealed.values["fence"] for sealed in finds.rows["seal"].values()]
    for row in reader.table(f"{prefix}lease").rows:
        match row.values:
            case (_, _, int() as fence, *_):
                fences.append(fence)
            case _:
                pass
    finds.fence = max((fence for fence in fences if fence < _MOST), default=0)


def _is_encoded(finds: Finds) -> bool:
    """Tell whether a codec has written the bodies: all that must be JSON are none."""
    rows = (judged.values for table in ("op", "parked") for judged in finds.rows[table].values())
    bodies = [row["body"] for row in rows if row["body"] is not None and row["content_type"] == "application/json"]
    return bool(bodies) and not any(map(_is_json, bodies))


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (RecursionError, ValueError) as error:
        return isinstance(error, RecursionError)
    return True


def _name(finds: Finds, name: str, seq: int, when: Sequence[Any]) -> None:
    finds.names[name] = seq
    match when:
        case [float() as named]:
            finds.named[name] = named
        case _:
            pass


def _counted(reader: SalvageReader, prefix: str) -> Iterator[int]:
    for row in reader.table("sqlite_sequence").rows:
        match row.values:
            case (str() as name, int() as last) if name == f"{prefix}op" and 0 <= last < _MOST:
                yield last
            case _:
                pass


def parked_doubts(finds: Finds, seq: int) -> list[str]:
    """Return what is doubtful about a write that waits for a decision anyway."""
    found = list(finds.rows["parked"][seq].doubts)
    if seq in finds.rows["op"]:
        found.append("it seems to wait at the same time")
    if seq in finds.settled:
        found.append("a receipt says that it is settled")
    return found


def doubts(finds: Finds, seq: int, missing: Sequence[Range]) -> list[str]:
    """Return why a write that waits must not simply go on.

    Args:
        finds: All that could be read.
        seq: Its place.
        missing: The ranges of places at which a write may have been lost.
    """
    op, sealed = finds.rows["op"][seq], finds.rows["seal"].get(seq)
    found = list(op.doubts)
    if seq in finds.settled:
        found.append("a receipt says that it is settled")
    if sealed is None and finds.in_gap("seal", seq):
        found.append("it may have been sent: what tells so could not be read")
    if sealed is not None:
        found += sealed.doubts
        own = sealed.values["body"]
        body = op.values["body"] if own is None else own
        if not sealed_is_whole(sealed.values["headers"], sealed.values["body_hash"], body):
            found.append("it was sent, and its sealed bytes are damaged")
    plain = "codec" not in finds.meta and op.values["content_type"] == "application/json"
    if plain and is_broken_json(op.values["body"]):
        found.append("its body was JSON and is none any more")
    if (op.values["after_seq"] or 0) >= seq:
        found.append("it comes after a write that was queued later")
    after = op.values["after_seq"]
    if after is not None and any(low <= after <= high for low, high in missing):
        found.append(f"it comes after write {after}, which could not be read")
    return found


def accepted_is_whole(text: Any) -> bool:
    """Tell whether what is known of a server that has accepted an op can be read."""
    try:
        return text is None or isinstance(json.loads(text)["url"], str)
    except (KeyError, TypeError, ValueError):
        return False
