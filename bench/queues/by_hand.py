"""What somebody writes by hand with apsw: one connection, no asyncio, WAL and FULL, groups of a known size."""

import time

import apsw
import msgspec

ENCODE = msgspec.json.Encoder().encode
TABLES = """
CREATE TABLE op (seq INTEGER PRIMARY KEY, lane INTEGER, verb TEXT, kind TEXT, entity TEXT, created REAL, body BLOB);
CREATE TABLE seal (seq INTEGER PRIMARY KEY, attempts INTEGER, fence INTEGER, first_sent REAL, url TEXT);
CREATE TABLE receipt (seq INTEGER PRIMARY KEY, etag TEXT, done REAL)
"""
READINGS = [round(20.5 + n / 8, 3) for n in range(16)]


def body(number):
    """Return a body of about 235 bytes of JSON, another one for each number."""
    return {
        "id": number, "name": "living room", "mode": "heating", "target": 21.5, "at": "2026-11-22T10:15:00Z",
        "readings": READINGS, "unit": "C", "ok": True, "rev": number % 97,
    }  # fmt: skip


def entity(number):
    """Return the id of an entity, 18 characters."""
    return f"device-{number % 100_000:011d}"


class ByHand:
    """Queue and settle by plain statements.

    Args:
        path: A file to be made.
    """

    def __init__(self, path):
        self.db = apsw.Connection(str(path))
        self.db.set_busy_timeout(10_000)
        self.db.pragma("journal_mode", "wal")
        self.db.pragma("synchronous", 2)
        self.db.execute(TABLES)
        self.number = 0

    def enqueue(self, group, groups):
        """Queue in groups and return the rate."""
        statement = "INSERT INTO op (lane, verb, kind, entity, created, body) VALUES (?, ?, ?, ?, ?, ?)"
        began = time.perf_counter()
        for _ in range(groups):
            now, first = time.time(), self.number
            rows = [(n, "put", "device", entity(n), now, ENCODE(body(n))) for n in range(first, first + group)]
            self.db.execute("BEGIN IMMEDIATE")
            if group == 1:
                self.db.execute(statement, rows[0])
            else:
                self.db.executemany(statement, rows)
            self.db.execute("COMMIT")
            self.number += group
        return group * groups / (time.perf_counter() - began)

    def settle(self, group, groups):
        """Claim in one commit and settle in another, group by group, and return the rate; the heads are dense."""
        began = time.perf_counter()
        for _ in range(groups):
            now = time.time()
            found = list(self.db.execute("SELECT seq, kind, entity, body FROM op ORDER BY seq LIMIT ?", (group,)))
            self.db.execute("BEGIN IMMEDIATE")
            self.db.executemany("INSERT INTO seal VALUES (?, 1, 7, ?, ?)", [(row[0], now, row[2]) for row in found])
            self.db.execute("COMMIT")
            self.db.execute("BEGIN IMMEDIATE")
            self.db.executemany("INSERT INTO receipt VALUES (?, NULL, ?)", [(row[0], now) for row in found])
            last = found[-1][0]
            self.db.execute("DELETE FROM op WHERE seq <= ?", (last,))
            self.db.execute("DELETE FROM seal WHERE seq <= ?", (last,))
            self.db.execute("COMMIT")
        return group * groups / (time.perf_counter() - began)

    def close(self):
        """Close the file."""
        self.db.close()
