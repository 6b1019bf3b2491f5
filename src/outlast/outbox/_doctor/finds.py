"""Collect what a damaged file still holds, row by row, with the doubts that there are about each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from outlast.outbox._doctor.examine import is_broken_json, sealed_is_whole
from outlast.outbox._doctor.shapes import Column, Judged, fits, judge
from outlast.outbox._identity import Identity, identity_of
from outlast.storage import SalvageReader

Columns = Mapping[str, Sequence[Column]]
_PLACED: Final = ("receipt", "seal", "parked", "op")
_KEY: Final = re.compile(r"([0-9a-f]{16})\.([^:\s]+):\d+:\d+")
_META: Final = ("store", "epoch", "epochs", "decisions")


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

    def missing(self) -> list[tuple[int, int]]:
        """Return the ranges of places at which a write may have waited that could not be read."""
        known = set[int]().union(self.rows["op"], self.rows["parked"], self.settled)
        found: list[tuple[int, int]] = []
        for seq in range(1, self.last + 1):
            if seq in known or not (self.in_gap("op", seq) or self.in_gap("parked", seq)):
                continue
            if found and found[-1][1] == seq - 1:
                found[-1] = (found[-1][0], seq)
            else:
                found.append((seq, seq))
        return found

    def identity(self) -> Identity:
        """Return which outbox it was; if that cannot be read, what the key of a sealed request tells."""
        try:
            return identity_of(self.meta.items())
        except (KeyError, TypeError, ValueError):
            pass
        for sealed in self.rows["seal"].values():
            told = _KEY.search(f"{sealed.values['url']} {sealed.values['headers']}")
            if told is not None:
                return Identity(told[1], ((0, told[2]),))
        return Identity("")


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
    bounds = [high for gaps in finds.gaps.values() for _, high in gaps if high is not None]
    counted = list(_counted(reader, prefix))
    finds.last = max([*places, *finds.names.values(), *counted, *bounds, 0])
    finds.open_end = not counted and any(high is None for _, high in finds.gaps["op"])
    return finds


def _keep(finds: Finds, table: str, seq: int, judged: Judged) -> None:
    if seq < 1 or seq in finds.rows[table]:
        judged.doubts.append(f"it lay at place {seq}, which cannot be its own")
        finds.strays.append((table, judged))
    else:
        finds.rows[table][seq] = judged


def _add_loose(finds: Finds, reader: SalvageReader, columns: Columns) -> None:
    for row in reader.loose:
        table = next((name for name in _PLACED if fits(columns[name], row.rowid, row.values)), None)
        if table is None:
            match row.values:
                case (str() as name, int() as seq, *when) if not row.rowid and seq > 0 and name not in _META:
                    _name(finds, name, finds.names.get(name, seq), when)
                case _:
                    pass
            continue
        if row.rowid in finds.rows[table]:
            continue
        judged = judge(columns[table], row.rowid, row.values)
        if not reader.certain:
            judged.doubts.append("it may have been settled long ago")
            if table in {"op", "parked"} and row.rowid in finds.settled:
                continue
        finds.rows[table][row.rowid] = judged


def _read_keyed(finds: Finds, reader: SalvageReader, prefix: str) -> None:
    finds.meta = {str(row.values[0]): row.values[-1] for row in reader.table(f"{prefix}meta").rows}
    for row in reader.table(f"{prefix}once").rows:
        match row.values:
            case (str() as name, int() as seq, *when) if seq > 0:
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
    finds.fence = max(fences, default=0)


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
            case (str() as name, int() as last) if name == f"{prefix}op":
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


def doubts(finds: Finds, seq: int, missing: set[int]) -> list[str]:
    """Return why a write that waits must not simply go on.

    Args:
        finds: All that could be read.
        seq: Its place.
        missing: The places at which a write may have been lost.
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
    if op.values["after_seq"] in missing:
        found.append(f"it comes after write {op.values['after_seq']}, which could not be read")
    return found


def accepted_is_whole(text: Any) -> bool:
    """Tell whether what is known of a server that has accepted an op can be read."""
    try:
        return text is None or isinstance(json.loads(text), dict)
    except (TypeError, ValueError):
        return False
