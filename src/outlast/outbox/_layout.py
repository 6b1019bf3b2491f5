"""The tables of an outbox file.

`op` holds what waits; it has no secondary index because one would cost more than the flush. A row in
`seal` means that the op was sent at least once: request, key and body are frozen. `receipt` says that
the effect took place. `parked` keeps what needs a decision, with its reason. `once` remembers names
under which something was queued.
"""

from __future__ import annotations

from outlast.storage import FileFormat

_V1 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES ('store', lower(hex(randomblob(8)))), ('epoch', 1), ('decisions', 0);
CREATE TABLE op (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, lane INTEGER NOT NULL, verb TEXT NOT NULL, kind TEXT NOT NULL,
    entity TEXT NOT NULL, generation INTEGER NOT NULL, target TEXT, content_type TEXT NOT NULL,
    if_match TEXT, created REAL NOT NULL, body BLOB
);
CREATE TABLE seal (
    seq INTEGER PRIMARY KEY, attempts INTEGER NOT NULL, fence INTEGER NOT NULL, due REAL, delay REAL NOT NULL,
    first_sent REAL NOT NULL, reason TEXT NOT NULL, method TEXT NOT NULL, url TEXT NOT NULL, headers TEXT NOT NULL,
    body_hash BLOB NOT NULL, body BLOB
);
CREATE TABLE receipt (
    seq INTEGER PRIMARY KEY, generation INTEGER NOT NULL, attempts INTEGER NOT NULL, etag TEXT,
    kind TEXT NOT NULL, entity TEXT NOT NULL, done REAL NOT NULL
);
CREATE TABLE parked (
    seq INTEGER PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL, parked REAL NOT NULL, attempts INTEGER NOT NULL,
    lane INTEGER NOT NULL, verb TEXT NOT NULL, kind TEXT NOT NULL, entity TEXT NOT NULL, generation INTEGER NOT NULL,
    target TEXT, content_type TEXT NOT NULL, if_match TEXT, created REAL NOT NULL, body BLOB
);
CREATE TABLE once (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE lease (
    role TEXT PRIMARY KEY, holder TEXT NOT NULL, fence INTEGER NOT NULL, boot TEXT NOT NULL, beat REAL NOT NULL,
    ttl REAL NOT NULL, locked INTEGER NOT NULL
) WITHOUT ROWID;
"""

OUTBOX = FileFormat(name="outbox", application_id=0x4F4C4F42, version=1, migrations=(_V1,))
