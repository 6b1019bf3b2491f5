"""Begin a new epoch: places that are given from now on have keys which nobody has seen."""

from __future__ import annotations

import os
import uuid
from typing import Final

from outlast.outbox import _queries as sql
from outlast.outbox._identity import Identity
from outlast.outbox._inspection import Inspection
from outlast.outbox._layout import open_database
from outlast.outbox._lease import ProcessingLease

LAST: Final = """
SELECT coalesce(max(seq), 0) FROM (SELECT max(seq) AS seq FROM $op UNION ALL SELECT max(seq) FROM $parked
UNION ALL SELECT max(seq) FROM $receipt UNION ALL SELECT max(seq) FROM $once) AS every
"""


def begin_epoch(where: str | os.PathLike[str]) -> Identity:
    """Begin a new epoch after a backup was restored, in a transaction; the delivery must stand still.

    What lies in the backup keeps its key, for it may have been sent since the backup was made; so nothing is folded
    into it any more, and where its content changes it has a key of the new epoch. What was sent before the backup is
    in doubt, however its last sending ended, and is read back before it is sent again.

    Args:
        where: A file, or the address of a PostgreSQL database.

    Raises:
        LeaseHeldError: A process delivers from it.
        StorageError: There is no outbox, or it cannot be used.
    """
    with Inspection.open(where) as seen:
        inside = seen.inside
    database = open_database(where, durability="power", inside=inside)
    try:
        lease = ProcessingLease(database)
        lease.acquire()
        try:
            ways = sql.ways_of(database.dialect)
            chance = uuid.uuid4().hex[:4]
            return database.write(lambda db: _begin(sql.Tables(db, ways), chance)).result()
        finally:
            lease.release()
    finally:
        database.close()


def _begin(db: sql.Tables, chance: str) -> Identity:
    last = max(db.execute(LAST).get, db.ways.last_given(db))
    identity = sql.identity(db).after(last, chance)
    write_identity(db, identity)
    db.execute("UPDATE $seal SET doubt = 1, first_sent = 0")
    db.execute("UPDATE $op SET grp = seq WHERE grp IS NULL")  # in a group of its own nothing is folded into it
    return identity


def write_identity(db: sql.Tables, identity: Identity) -> None:
    """Store an identity."""
    for name, value in identity.rows():
        db.execute(
            "INSERT INTO $meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )
