"""The SQL of a cache file: each function is a job for one transaction and may run twice.

A removal raises the generation of its key's stripe, and so does a write by hand. A load takes a ticket, the
generation, before it begins, and its value is stored only while the ticket still holds. So a load that began
before a removal never brings the value back, in whichever process either of them ran.

Source: R. Nishtala et al., "Scaling Memcache at Facebook" (NSDI 2013), for leases.
"""

from __future__ import annotations

import zlib
from typing import Final

from outlast.cache._envelope import Row
from outlast.storage import Connection, FileFormat

_V1 = """
CREATE TABLE entries (
    cache TEXT NOT NULL, key TEXT NOT NULL, payload BLOB NOT NULL, etag TEXT, negative INTEGER NOT NULL,
    known REAL NOT NULL, boot TEXT NOT NULL, wall_ms INTEGER NOT NULL, fingerprint TEXT NOT NULL,
    checksum INTEGER NOT NULL, PRIMARY KEY (cache, key)
) STRICT;
CREATE INDEX entries_by_age ON entries (cache, wall_ms);
CREATE TABLE generations (
    cache TEXT NOT NULL, stripe INTEGER NOT NULL, generation INTEGER NOT NULL, PRIMARY KEY (cache, stripe)
) STRICT, WITHOUT ROWID;
"""

CACHE_FILE: Final = FileFormat(name="cache", application_id=0x4F4C4341, version=1, migrations=(_V1,))

_STRIPES = 1024
_WHOLE = -1
"""The stripe that stands for the whole cache: clearing raises it."""


def read_row(db: Connection, cache: str, key: str) -> Row | None:
    """Return what is stored under a key."""
    found = db.execute(
        "SELECT payload, etag, negative, known, boot, wall_ms, fingerprint, checksum"
        " FROM entries WHERE cache = ? AND key = ?",
        (cache, key),
    ).get
    return None if found is None else Row(*found)


def ticket(db: Connection, cache: str, key: str) -> int:
    """Return the generation under which a load of this key begins."""
    sql = "SELECT coalesce(sum(generation), 0) FROM generations WHERE cache = ? AND stripe IN (?, ?)"
    return int(db.execute(sql, (cache, _WHOLE, _stripe(key))).get)


def fill(db: Connection, cache: str, key: str, row: Row, admitted: int | None) -> bool:
    """Store what a load brought, unless its ticket is void, and tell whether it was stored.

    Of two loads that ran at once the one that began later wins.
    """
    if ticket(db, cache, key) != admitted:
        return False
    there = read_row(db, cache, key)
    if there is None or there.boot != row.boot or there.known <= row.known:
        _store(db, cache, key, row)
    return True


def put(db: Connection, cache: str, key: str, row: Row) -> None:
    """Store what a caller knows, and void the tickets of loads under way."""
    _raise_generation(db, cache, _stripe(key))
    _store(db, cache, key, row)


def remove(db: Connection, cache: str, key: str) -> None:
    """Delete a key, and void the tickets of loads under way."""
    _raise_generation(db, cache, _stripe(key))
    db.execute("DELETE FROM entries WHERE cache = ? AND key = ?", (cache, key))


def clear(db: Connection, cache: str) -> None:
    """Delete everything of a cache, and void the tickets of all its loads."""
    _raise_generation(db, cache, _WHOLE)
    db.execute("DELETE FROM entries WHERE cache = ?", (cache,))


def sweep(db: Connection, cache: str, *, before_ms: float, max_items: int) -> None:
    """Delete what is too old to be of use, and the oldest of what is too much."""
    db.execute("DELETE FROM entries WHERE cache = ? AND wall_ms < ?", (cache, before_ms))
    count = int(db.execute("SELECT count(*) FROM entries WHERE cache = ?", (cache,)).get)
    db.execute(
        "DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries WHERE cache = ? ORDER BY wall_ms LIMIT ?)",
        (cache, max(0, count - max_items)),
    )


def _store(db: Connection, cache: str, key: str, row: Row) -> None:
    db.execute(
        "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (cache, key, row.payload, row.etag, row.negative, row.known, row.boot, row.wall_ms, row.fingerprint,
         row.checksum),
    )  # fmt: skip


def _raise_generation(db: Connection, cache: str, stripe: int) -> None:
    db.execute(
        "INSERT INTO generations VALUES (?, ?, 1)"
        " ON CONFLICT (cache, stripe) DO UPDATE SET generation = generation + 1",
        (cache, stripe),
    )


def _stripe(key: str) -> int:
    return zlib.crc32(key.encode()) % _STRIPES
