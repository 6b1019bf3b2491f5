"""Hold an outbox against itself: its pages, its log, and what its tables say of each other."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from outlast.engines.op import Verb
from outlast.errors import CorruptError, NewerFormatError, NotOursError, StorageBusyError, StorageError
from outlast.outbox._inspection import Inspection
from outlast.outbox._queries.tables import Tables
from outlast.storage import SalvageReader, is_address

_SALVAGE: Final = "outlast outbox doctor FILE --salvage NEW reads what can be read into a new file"
_SHOWN: Final = 5
_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """Say what is wrong with an outbox.

    Args:
        code: What is wrong, as a word.
        text: What is wrong, in words.
        remedy: What to do about it.
        seqs: The places that it is about, the first ones of them.
    """

    code: str
    text: str
    remedy: str
    seqs: tuple[int, ...] = ()


_CONTRADICTIONS: Final = (
    ("seal without op", "sealed, and yet not waiting",
     "SELECT seq FROM $seal WHERE seq NOT IN (SELECT seq FROM $op)"),
    ("op and parked", "waiting and parked at the same time",
     "SELECT seq FROM $op WHERE seq IN (SELECT seq FROM $parked)"),
    ("op and receipt", "waiting, and yet settled",
     "SELECT seq FROM $op WHERE seq IN (SELECT seq FROM $receipt)"),
    ("parked and receipt", "parked, and yet settled",
     "SELECT seq FROM $parked WHERE seq IN (SELECT seq FROM $receipt)"),
    ("after itself", "after one that was queued later",
     "SELECT seq FROM $op WHERE after_seq >= seq"),
)  # fmt: skip
_FAR: Final = (
    "SELECT seq FROM (SELECT seq FROM $op UNION ALL SELECT seq FROM $parked UNION ALL SELECT seq FROM $receipt"
    " UNION ALL SELECT seq FROM $once) AS every WHERE seq > ? OR seq < 1"
)
_CODEC: Final = "SELECT value FROM $meta WHERE name = 'codec'"
_VERBS: Final = "SELECT seq, verb FROM $op UNION ALL SELECT seq, verb FROM $parked"
_SEALS: Final = (
    "SELECT s.seq, s.headers, s.body_hash, CASE WHEN s.body IS NULL THEN o.body ELSE s.body END"
    " FROM $seal AS s JOIN $op AS o ON o.seq = s.seq"
)


def examine(where: str | os.PathLike[str]) -> list[Finding]:
    """Hold an outbox against itself and return what is wrong; nothing is changed.

    Args:
        where: A file, or the address of a PostgreSQL database.

    Raises:
        NotOursError: It is something else.
        StorageError: It is not there, or its server cannot be reached.
    """
    found: list[Finding] = []
    try:
        with Inspection.open(where) as seen:
            if seen.db.ways.dialect.kind == "sqlite":
                # While somebody looks, SQLite writes over no page that was seen, however long reading them takes.
                found += [*_pages(where), *_integrity(seen.db)]
            found += _tables(seen.db)
    except (StorageBusyError, NewerFormatError):
        raise
    except StorageError as error:
        if is_address(where) and not isinstance(error, CorruptError):
            raise  # a server that is away says nothing of what it holds
        if not found and not is_address(where):
            found += _pages(where)
        if isinstance(error, NotOursError) and not found:
            raise
        found.append(Finding("unreadable", str(error), _SALVAGE))
    return found


def _pages(path: str | os.PathLike[str]) -> Iterator[Finding]:
    """Yield what is wrong with the file as SQLite does not tell it: a log that is damaged is left out silently."""
    if not Path(path).is_file() or not Path(path).stat().st_size:
        return
    with closing(SalvageReader(path)) as reader:
        if reader.wal.unseen:
            said = f"the log beside the file is damaged: SQLite leaves out {reader.wal.unseen} of its commits"
            yield Finding("log", said, _SALVAGE)
        yield from (Finding("page", f"damaged: {what}", _SALVAGE) for what in reader.damaged)


def _integrity(db: Tables) -> Iterator[Finding]:
    said = [row[0] for row in db.execute(f"PRAGMA integrity_check({_MOST})")]
    yield from (Finding("integrity", line, _SALVAGE) for line in said if line != "ok")


def _tables(db: Tables) -> Iterator[Finding]:
    remedy = "look at each with: outlast outbox show SEQ; salvage puts them before you as dead letters"
    for code, text, query in _CONTRADICTIONS:
        yield from listed(code, text, [row[0] for row in db.execute(query)], remedy)
    last = db.ways.last_given(db)
    beyond = [row[0] for row in db.execute(_FAR, (last,))]
    yield from listed("beyond", f"at places that were never given (the last one is {last})", beyond, _NEW_EPOCH)
    yield from listed("verb", "of which nobody knows what they do", _nonsense(db), remedy)
    yield from listed("body", "whose bodies were JSON and are none any more", _no_json(db), remedy)
    yield from listed("sealed bytes", "whose sealed bytes are not those that were sent", _changed(db), _SALVAGE)
    if not str(db.execute("SELECT value FROM $meta WHERE name = 'decisions'").get or "").isdecimal():
        yield Finding("meta", "the count of decisions is lost", _SALVAGE)


_NEW_EPOCH: Final = "outlast outbox doctor --new-epoch, so that no place is given twice under one key"


def listed(code: str, text: str, seqs: Sequence[int], remedy: str) -> Iterator[Finding]:
    """Yield one finding about writes, if there are any."""
    if seqs:
        some = ", ".join(map(str, seqs[:_SHOWN])) + (", ..." if len(seqs) > _SHOWN else "")
        yield Finding(code, f"{len(seqs)} writes {text}: {some}", remedy, tuple(seqs[:_MOST]))


def _nonsense(db: Tables) -> list[int]:
    known = set(map(str, Verb))
    return [seq for seq, verb in db.execute(_VERBS) if verb not in known]


def _no_json(db: Tables) -> list[int]:
    if db.execute(_CODEC).get is not None:
        return []  # nobody can tell without it
    rows = db.execute("SELECT seq, content_type, body FROM $op")
    return [seq for seq, media, body in rows if media == "application/json" and is_broken_json(body)]


def is_broken_json(body: bytes | None) -> bool:
    """Tell whether a body begins as a JSON object or list and is none; other bytes may have been meant."""
    if body is None or body[:1] not in {b"{", b"["}:
        return False
    try:
        json.loads(body)
    except ValueError:
        return True
    except RecursionError:
        return False
    return False


def _changed(db: Tables) -> list[int]:
    return [row[0] for row in db.execute(_SEALS) if not sealed_is_whole(*row[1:])]


def sealed_is_whole(headers: Any, digest: Any, body: Any) -> bool:
    """Tell whether a sealed request is the one that was frozen.

    Args:
        headers: Its headers as JSON.
        digest: The hash of its body; empty where it has none.
        body: The bytes that would be sent.
    """
    try:
        dict(json.loads(headers))
    except (TypeError, ValueError):
        return False
    return digest in {b"", hashlib.sha256(body or b"").digest()}
