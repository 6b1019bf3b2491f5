"""Bring what a damaged file still holds into a new one, and put what is doubtful before a person."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.errors import ConfigError, CorruptError, NotOursError
from outlast.outbox._doctor.collect import collect
from outlast.outbox._doctor.examine import Finding, examine
from outlast.outbox._doctor.filling import Doubtful, Filling
from outlast.outbox._doctor.finds import PLACED, Columns, Finds
from outlast.outbox._doctor.shapes import Column
from outlast.outbox._layout import INSIDE, OUTBOX
from outlast.storage import (
    Connection,
    SalvageReader,
    SqliteDatabase,
    check_closed,
    check_unchanged,
    publish,
    quarantine,
    scratch,
    stamps,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SalvageReport:
    """Say what came of a salvage.

    Args:
        new: The new file.
        quarantined: Where the old files are now, empty when they were left.
        damaged: What was damaged in the old file.
        read: How many rows of each table are in the new file.
        doubtful: Writes that lie in the dead letters now.
        missing: Ranges of places at which writes may have waited that could not be read.
        open_end: Whether writes may have waited behind the last place that is known, too.
        names_lost: Whether some of the names could not be read under which something was queued once.
        receipts_lost: Whether some receipts could not be read, so that it is not known what became of those writes.
        self_lost: Whether some of what the outbox knew of itself could not be read: its name, without which its keys
            are new, or by which codec bodies are written; where they seem to be, it is opened with that codec only.
        unseen_commits: How many commits SQLite had left out of the old file silently; they are in the new one.
        unfinished_commits: How many commits a crash has left half written, so that nobody was told of them; they are
            left out. Damage to the very last commit looks the same.
        epoch: The new epoch.
        findings: What is wrong with the new file; nothing, or it is a mistake.
    """

    new: str
    quarantined: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    read: Mapping[str, int] = field(default_factory=dict[str, int])
    doubtful: tuple[Doubtful, ...] = ()
    missing: tuple[tuple[int, int], ...] = ()
    open_end: bool = False
    names_lost: bool = False
    receipts_lost: bool = False
    self_lost: bool = False
    unseen_commits: int = 0
    unfinished_commits: int = 0
    epoch: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def whole(self) -> bool:
        """Tell whether everything could be read and nothing is doubtful."""
        losses = (self.open_end, self.names_lost, self.receipts_lost, self.self_lost)
        return not (self.doubtful or self.missing or any(losses) or self.findings)


def salvage(
    path: str | os.PathLike[str],
    new: str | os.PathLike[str],
    *,
    move_away: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> SalvageReport:
    """Read every row of a file that can be read into a new file; the old one is not changed.

    Places, order and keys stay. What was sent before is in doubt, and is read back before it is sent again. What is
    doubtful lies in the dead letters with the reason. Places that are given later are of a new epoch, so that
    their keys are new, too. The new file is there as a whole or not at all.

    Args:
        path: The damaged file; no process may have it open, this one included.
        new: The new file, which must not exist yet; with `move_away` it may be the old name.
        move_away: Whether to give the old file, and what lies beside it, another name. Nothing is ever deleted.
        clock: Where the time comes from.

    Raises:
        ConfigError: The new file exists already, or the old one is to be moved away and holds tables of others, too.
        CorruptError: Not one page can be read.
        StorageBusyError: A process has the file open, or has written to it meanwhile.
        StorageFullError: The disk of the new file has no room for it and for what was found.
        NotOursError: Nothing in it looks like an outbox.

    Cancel: nothing is left of the new file. A process that is killed leaves a file whose name ends in `.part`, with
        what SQLite keeps beside it; it is of no use and may be deleted.
    """
    old, target = Path(path).resolve(), Path(new).resolve()
    in_place = move_away and target == old
    if target.exists() and not in_place:
        raise ConfigError(f"{target} exists already; name a new file", path="new")
    check_closed(old)
    before = stamps(old)
    part = Path(f"{target}.{uuid.uuid4().hex[:8]}.part")  # of its own, for two may be at it
    try:
        with closing(SalvageReader(old)) as reader:
            report = _fill(part, old, reader, _prefix(reader, old, move_away=move_away), clock.wall())
        findings = examine(part)
        check_unchanged(old, before)
        if not in_place:
            _publish(part, target)
        moved = quarantine(old, clock.wall(), part if in_place else None) if move_away else ()
    finally:
        _remove(part)
    return replace(report, new=str(target), quarantined=tuple(map(str, moved)), findings=tuple(findings))


def _prefix(reader: SalvageReader, old: Path, *, move_away: bool) -> str:
    """Return what stands before the names of the tables."""
    prefix = INSIDE if f"{INSIDE}op" in reader.roots else ""
    if prefix and move_away:
        raise ConfigError(
            f"{old} holds tables of others, too, which would be missing; leave it where it is", path="new"
        )
    return prefix


def _fill(part: Path, old: Path, reader: SalvageReader, prefix: str, wall: float) -> SalvageReport:
    """Make the new file and report what came of it."""
    database = SqliteDatabase(part, OUTBOX, durability="process")  # flushed as a whole before it gets its name
    try:
        with scratch(Path(f"{part}.found")) as db:
            finds = Finds(db, database.read(_columns).result())
            collect(reader, finds, prefix)
            _check_found(old, reader, finds, prefix)
            filling = Filling(finds, wall, uuid.uuid4().hex[:16])
            filling.fill(database)
    finally:
        database.close()
    return SalvageReport(
        new="",
        damaged=tuple(reader.damaged),
        read=dict(filling.read),
        doubtful=tuple(filling.doubtful),
        missing=tuple(finds.missing),
        open_end=finds.open_end,
        receipts_lost=bool(finds.gaps["receipt"]),
        self_lost=finds.self_lost,
        names_lost=bool(reader.reading(f"{prefix}once").gaps),
        unseen_commits=reader.wal.unseen,
        unfinished_commits=reader.wal.unfinished,
        epoch=filling.epoch,
    )


def _publish(part: Path, target: Path) -> None:
    try:
        publish(part, target, replace=False)
    except FileExistsError as error:
        raise ConfigError(f"{target} exists already; name a new file", path="new") from error


def _check_found(old: Path, reader: SalvageReader, finds: Finds, prefix: str) -> None:
    if f"{prefix}op" not in reader.roots and finds.empty:
        raise NotOursError(f"nothing in {old} looks like an outbox; it was not touched", operation="salvage")
    # Two signs, for either could be what is damaged.
    if "store" in finds.meta and "pruned_to" not in finds.meta and f"{prefix}backlog" not in reader.roots:
        raise CorruptError(
            f"{old} has an older layout, whose rows this version would read wrongly; salvage it with the version of "
            "outlast that has written it. It was not touched",
            operation="salvage",
        )


def _remove(part: Path) -> None:
    for end in ("", "-wal", "-shm", "-gate", ".mark"):
        Path(f"{part}{end}").unlink(missing_ok=True)


def _columns(db: Connection) -> Columns:
    """Return the columns of the tables as the present layout has them."""
    return {
        table: [
            Column(name, kind, bool(needed), _default(default), bool(place))
            for _, name, kind, needed, default, place in db.execute(f"PRAGMA table_info({table})")
        ]
        for table in PLACED
    }


def _default(text: str | None) -> Any:
    match text:
        case None | "NULL":
            return None
        case _ if text.startswith("'"):
            return text[1:-1]
        case _:
            return int(text)
