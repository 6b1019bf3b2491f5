"""The notes of the example API: what is stored, and the rules under which it changes.

One SQLite connection, and one transaction for everything that a request changes: the note, the row in `effects` that
says so, and the answer that a repeat of its idempotency key gets. `effects` is the truth that observers count from.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from outlast.lab._notes import Answer, Change, Plant, Stored, preconditions_hold, problem, seeded_note, write_body

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS notes (note TEXT PRIMARY KEY, revision INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS effects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT NOT NULL, write_id TEXT NOT NULL, verb TEXT NOT NULL,
    revision INTEGER NOT NULL, body TEXT, at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS effects_of_note ON effects (note, revision);
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, body_hash TEXT NOT NULL, status INTEGER NOT NULL, headers TEXT NOT NULL, body TEXT NOT NULL
);
"""
# Late enough for an application to have settled in, early enough to lie within the first healthy phase.
_PLANTED_PUT: Final = 5


class NotesBook:
    """Keep the notes. Not thread-safe: one connection, used by one event loop.

    Args:
        path: Database file; made when it is missing.
        plant: Bug to put in. Default none.
        now: Gives Unix seconds. Default the system's clock.

    Raises:
        sqlite3.Error: The file is not a database, or cannot be written.
    """

    def __init__(self, path: Path, *, plant: Plant | None = None, now: Callable[[], float] = time.time) -> None:
        self._plant = plant
        self._now = now
        self._puts = 0
        # Transactions are opened by hand, since the module's own would leave out the first SELECT.
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def read(self, note: str) -> Stored | None:
        """Return a note, or None when there is none of that id."""
        row = self._db.execute("SELECT revision, body FROM notes WHERE note = ?", (note,)).fetchone()
        return None if row is None else Stored(*row)

    def seed(self, count: int) -> None:
        """Make sure that the notes n0000, n0001, ... exist, `count` of them, in one transaction."""
        with self._transaction():
            for number in range(count):
                note = seeded_note(number)
                if self.read(note) is None:
                    self._effect(Change("PUT", note, f"seed-{note}", write_body(f"seed-{note}", "as at first")))

    def apply(self, change: Change) -> Answer:
        """Apply a change under its preconditions, once per idempotency key; the answer is durable when this returns.

        A precondition that failed is remembered under the key too: a duplicate that comes late must not be applied
        after its client has been told no.
        """
        try:
            with self._transaction():
                answer = self._replay(change)
                if answer is None:
                    answer = self._decide(change)
                    self._remember(change, answer)
                    self._maybe_lose(change, answer)
        except _LostError as lost:
            return lost.answer
        return answer

    def overwrite(self, change: Change) -> None:
        """Apply a change that comes from elsewhere; planted bugs leave it alone."""
        with self._transaction():
            self._effect(change)

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _replay(self, change: Change) -> Answer | None:
        """Return what the first request of this key was answered with, or None for a new key."""
        row = self._db.execute(
            "SELECT body_hash, status, headers, body FROM answers WHERE key = ?", (change.key,)
        ).fetchone()
        if row is None:
            return None
        body_hash, status, headers, body = row
        if body_hash != change.body_hash:
            return problem(422, "the key was used for another request", "/problems/idempotency-key-reused")
        if self._strikes(Plant.DOUBLED):
            self._effect(change)
        return Answer(status, {**json.loads(headers), "idempotent-replayed": "true"}, body)

    def _decide(self, change: Change) -> Answer:
        """Apply a change, or say why not."""
        stored = self.read(change.note)
        if not preconditions_hold(change, stored):
            return problem(412, f"note {change.note} is not in the state that the request asks for")
        if change.verb == "DELETE":
            if stored is None:
                return problem(404, f"there is no note {change.note}")
            self._effect(change)
            return Answer(204)
        applied = self._effect(change)
        self._puts += 1
        if self._puts == _PLANTED_PUT and self._strikes(Plant.DOUBLED):
            self._effect(change)
        return Answer(200 if stored else 201, {"etag": applied.etag}, applied.body)

    def _effect(self, change: Change) -> Stored:
        """Change the note, and write down that it was changed."""
        last = "SELECT coalesce(max(revision), 0) + 1 FROM effects WHERE note = ?"
        # Counted over the note's whole history, so that a tag never comes back after a delete.
        revision: int = self._db.execute(last, (change.note,)).fetchone()[0]
        deleted = change.verb == "DELETE"
        if deleted:
            self._db.execute("DELETE FROM notes WHERE note = ?", (change.note,))
        else:
            self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (change.note, revision, change.body))
        self._db.execute(
            "INSERT INTO effects (note, write_id, verb, revision, body, at) VALUES (?, ?, ?, ?, ?, ?)",
            (change.note, change.write, change.verb, revision, None if deleted else change.body, self._now()),
        )
        return Stored(revision, change.body)

    def _remember(self, change: Change, answer: Answer) -> None:
        if change.key is not None:
            row = (change.key, change.body_hash, answer.status, json.dumps(dict(answer.headers)), answer.body)
            self._db.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", row)

    def _strikes(self, plant: Plant) -> bool:
        """Tell whether a planted bug strikes now; it is used up then."""
        struck = self._plant is plant
        if struck:
            self._plant = None
        return struck

    def _maybe_lose(self, change: Change, answer: Answer) -> None:
        if change.verb == "PUT" and self._puts == _PLANTED_PUT and self._strikes(Plant.LOST):
            raise _LostError(answer)


class _LostError(Exception):
    """Roll the transaction back and answer as if it had been committed."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("planted")
        self.answer = answer


__all__ = ["NotesBook"]
