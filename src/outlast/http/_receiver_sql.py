"""The receiver's tables and statements, whole for each database: what differs is more than the placeholders.

SQLite has one writer at a time, so the first statement that writes waits for whoever holds the same key, and then sees
what it left. On PostgreSQL a lock of the transaction stands for the key: it is asked for without waiting, and the
server drops it with the connection, however that ends. Both tell the time by the database's own clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

VERSION: Final = 1
"""The newest layout of the tables that this code knows."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Hold the statements of one database.

    Args:
        wait: The setting for how many milliseconds to wait for the right to write, or None where nobody waits.
        begin: Open a transaction that may write.
        lock_tables: Keep others from creating the tables at the same time, or None.
        marker: Create the table of the layout's version.
        version: Read it.
        migrations: The statements that lead from layout n to n + 1, one entry for each n from 0.
        mark: Set the version.
        lock_key: Try to take the lock of a key, by number; or None where writing is lock enough.
        prune: Delete up to so many expired rows, one row back for each.
        fence_seen: Read the highest fence of (scope, sender).
        fence_raise: Raise it: (scope, sender, fence).
        fence_hold: Read it, and keep others from raising it until the end of the transaction.
        claim: Insert (scope, key, fingerprint, retention), also over an expired row; one row back if it did.
        find: Read fingerprint, status, headers and body of (scope, key).
        store: Set (status, headers, body) of the claimed (scope, key); one row back if it did.
    """

    wait: str | None
    begin: str
    lock_tables: str | None
    marker: str
    version: str
    migrations: tuple[tuple[str, ...], ...]
    mark: str
    lock_key: str | None
    prune: str
    fence_seen: str
    fence_raise: str
    fence_hold: str
    claim: str
    find: str
    store: str


SQLITE: Final = Dialect(
    wait="PRAGMA busy_timeout",
    begin="BEGIN IMMEDIATE",
    lock_tables=None,
    marker="CREATE TABLE IF NOT EXISTS outlast_receiver (id INTEGER PRIMARY KEY, version INTEGER NOT NULL)",
    version="SELECT version FROM outlast_receiver WHERE id = 1",
    migrations=(
        (
            """CREATE TABLE outlast_receipts (
                scope TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, created_at REAL NOT NULL,
                expires_at REAL NOT NULL, status INTEGER, headers TEXT, body BLOB, PRIMARY KEY (scope, key)
            )""",
            "CREATE INDEX outlast_receipts_by_age ON outlast_receipts (expires_at)",
            """CREATE TABLE outlast_fences (
                scope TEXT NOT NULL, sender TEXT NOT NULL, fence INTEGER NOT NULL, PRIMARY KEY (scope, sender)
            )""",
        ),
    ),
    mark="INSERT INTO outlast_receiver VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET version = excluded.version",
    lock_key=None,
    prune="""DELETE FROM outlast_receipts WHERE rowid IN (
        SELECT rowid FROM outlast_receipts WHERE expires_at <= (julianday('now') - 2440587.5) * 86400.0 LIMIT ?
    ) RETURNING 1""",
    fence_seen="SELECT fence FROM outlast_fences WHERE scope = ? AND sender = ?",
    fence_raise="""INSERT INTO outlast_fences VALUES (?, ?, ?)
        ON CONFLICT (scope, sender) DO UPDATE SET fence = excluded.fence WHERE outlast_fences.fence < excluded.fence""",
    fence_hold="SELECT fence FROM outlast_fences WHERE scope = ? AND sender = ?",
    claim="""INSERT INTO outlast_receipts (scope, key, fingerprint, created_at, expires_at)
        SELECT ?, ?, ?, now, now + ? FROM (SELECT (julianday('now') - 2440587.5) * 86400.0 AS now) WHERE true
        ON CONFLICT (scope, key) DO UPDATE SET
            fingerprint = excluded.fingerprint, created_at = excluded.created_at, expires_at = excluded.expires_at,
            status = NULL, headers = NULL, body = NULL
        WHERE outlast_receipts.expires_at <= excluded.created_at RETURNING 1""",
    find="SELECT fingerprint, status, headers, body FROM outlast_receipts WHERE scope = ? AND key = ?",
    store="""UPDATE outlast_receipts SET status = ?, headers = ?, body = ?
        WHERE scope = ? AND key = ? AND status IS NULL RETURNING 1""",
)

POSTGRES: Final = Dialect(
    wait=None,
    begin="BEGIN",
    # CREATE TABLE IF NOT EXISTS may still fail when two run it at once.
    lock_tables="SELECT pg_advisory_xact_lock(7310587942016)",
    marker="CREATE TABLE IF NOT EXISTS outlast_receiver (id integer PRIMARY KEY, version integer NOT NULL)",
    version="SELECT version FROM outlast_receiver WHERE id = 1",
    migrations=(
        (
            """CREATE TABLE outlast_receipts (
                scope text NOT NULL, key text NOT NULL, fingerprint text NOT NULL, created_at timestamptz NOT NULL,
                expires_at timestamptz NOT NULL, status integer, headers text, body bytea, PRIMARY KEY (scope, key)
            )""",
            "CREATE INDEX outlast_receipts_by_age ON outlast_receipts (expires_at)",
            """CREATE TABLE outlast_fences (
                scope text NOT NULL, sender text NOT NULL, fence bigint NOT NULL, PRIMARY KEY (scope, sender)
            )""",
        ),
    ),
    mark="INSERT INTO outlast_receiver VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET version = excluded.version",
    lock_key="SELECT pg_try_advisory_xact_lock(?::bigint)",
    # Rows that somebody else is deleting, or asks for, are left to another time, so that nobody waits for tidying up.
    prune="""DELETE FROM outlast_receipts WHERE (scope, key) IN (
        SELECT scope, key FROM outlast_receipts WHERE expires_at <= clock_timestamp() LIMIT ? FOR UPDATE SKIP LOCKED
    ) RETURNING 1""",
    fence_seen="SELECT fence FROM outlast_fences WHERE scope = ? AND sender = ?",
    fence_raise="""INSERT INTO outlast_fences VALUES (?, ?, ?)
        ON CONFLICT (scope, sender) DO UPDATE SET fence = excluded.fence WHERE outlast_fences.fence < excluded.fence""",
    # Requests of one term share the row; only the first of a new term waits for them to end.
    fence_hold="SELECT fence FROM outlast_fences WHERE scope = ? AND sender = ? FOR SHARE",
    claim="""INSERT INTO outlast_receipts (scope, key, fingerprint, created_at, expires_at)
        SELECT ?, ?, ?, now, now + make_interval(secs => ?) FROM clock_timestamp() AS now
        ON CONFLICT (scope, key) DO UPDATE SET
            fingerprint = excluded.fingerprint, created_at = excluded.created_at, expires_at = excluded.expires_at,
            status = NULL, headers = NULL, body = NULL
        WHERE outlast_receipts.expires_at <= excluded.created_at RETURNING 1""",
    find="SELECT fingerprint, status, headers, body FROM outlast_receipts WHERE scope = ? AND key = ?",
    store="""UPDATE outlast_receipts SET status = ?, headers = ?, body = ?
        WHERE scope = ? AND key = ? AND status IS NULL RETURNING 1""",
)
