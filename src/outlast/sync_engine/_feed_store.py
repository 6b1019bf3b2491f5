"""Keep what a feed brought beside the place up to which it was brought, always in one commit."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from outlast.engines.feed_order import sort_pulled
from outlast.storage import Connection, FileFormat, SqliteDatabase
from outlast.sync_engine._feed_records import FeedEvent, Position

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS outlast_feed (name TEXT PRIMARY KEY, cursor TEXT, seq INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outlast_feed_row (
    feed TEXT NOT NULL, entity TEXT NOT NULL, seq INTEGER, body TEXT NOT NULL, PRIMARY KEY (feed, entity)
) WITHOUT ROWID;
"""
FEED: Final = FileFormat(name="feed", application_id=0x4F4C4644, version=1, migrations=(_TABLES,))

Apply = Callable[[Connection, FeedEvent], None]
"""Store one event by SQL, inside the transaction that moves the cursor. It may run twice, so it has no other effect."""


class FeedKeeper(Protocol):
    """Keep the place of a feed, and apply its events."""

    async def position(self) -> Position:
        """Return up to where events were applied."""
        ...

    async def commit(
        self, events: Sequence[FeedEvent], position: Position, *, behind: Position | None = None
    ) -> Sequence[FeedEvent] | None:
        """Apply events and move on, both or neither; return those that were new, or None if `behind` is outdated."""
        ...


@dataclass(frozen=True, slots=True)
class FeedRow:
    """Hold the present content of an entity, as far as the feed has told.

    Args:
        entity: The entity.
        seq: The place of the event that it is from, or None.
        body: The content.
    """

    entity: str
    seq: int | None
    body: Any


class FeedStore:
    """Keep a feed's rows and cursor in SQLite, so that no event is lost or applied twice, whatever ends the process.

    By default the present body of each entity is kept in a file of its own, see `FeedStore.open`. With `apply` the
    events go into tables of yours: give the database that has them.

    Args:
        database: The database; two tables, `outlast_feed` and `outlast_feed_row`, are made in it if they are missing.
        feed: The name of the feed; a database may keep several. Default `main`.
        apply: Stores one event, in the same transaction as the cursor. If it raises, nothing of the group is stored.
            Default: keeps the present body of each entity.

    Thread-safe: yes, but one channel at a time feeds it; a second one would do the work twice, not wrong.
    """

    def __init__(self, database: SqliteDatabase, *, feed: str = "main", apply: Apply | None = None) -> None:
        self.database = database
        self.feed = feed
        self._apply: Apply = self._keep if apply is None else apply
        self._ready = False

    @classmethod
    async def open(
        cls, path: str | os.PathLike[str], *, feed: str = "main", durability: str = "power", apply: Apply | None = None
    ) -> Self:
        """Open a file for a feed, and make it if it does not exist.

        Args:
            path: The file.
            feed: The name of the feed.
            durability: `power` or `process`: what a commit survives. What is lost is pulled again.
            apply: As for the class.

        Raises:
            StorageError: The file cannot be used; the subclasses say why.
        """
        database = await asyncio.to_thread(SqliteDatabase, path, FEED, durability=durability)
        return cls(database, feed=feed, apply=apply)

    async def position(self) -> Position:
        """Return up to where events were applied."""
        await self._prepare()
        return await asyncio.wrap_future(self.database.read(self._position))

    async def _prepare(self) -> None:
        """Make the tables, which a database of the caller may not have yet."""
        if not self._ready:
            await asyncio.wrap_future(self.database.write(lambda db: db.execute(_TABLES)))
            self._ready = True

    def _position(self, db: Connection) -> Position:
        row = db.execute("SELECT cursor, seq FROM outlast_feed WHERE name = ?", (self.feed,)).fetchone()
        return Position() if row is None else Position(*row)

    async def commit(
        self, events: Sequence[FeedEvent], position: Position, *, behind: Position | None = None
    ) -> Sequence[FeedEvent] | None:
        """Apply events and move the cursor, both or neither; return those that were new.

        Args:
            events: The events.
            position: The place behind them.
            behind: The place that they follow on, None for wherever the feed is. Where no numbers tell which events are
                new, and another place is stored by now, nothing is done and None is returned: somebody else has moved
                on, or `reset` was called, and what lies between has to be pulled.

        Raises:
            StorageError: The database refused.
            Exception: What `apply` raised.

        Cancel: the commit takes place or does not; the stored position says which.
        """
        await self._prepare()
        return await asyncio.wrap_future(self.database.write(lambda db: self._commit(db, events, position, behind)))

    def _commit(
        self, db: Connection, events: Sequence[FeedEvent], position: Position, behind: Position | None
    ) -> Sequence[FeedEvent] | None:
        # Whoever else writes here may have been quicker, so what is stored decides what is new, and never goes back.
        stored = self._position(db)
        if behind is not None and behind != stored and not _tells(stored.seq, behind.seq, events):
            return None
        fresh = sort_pulled(stored.seq, events).fresh
        for event in fresh:
            self._apply(db, event)
        if stored.seq is None or position.seq is None or position.seq >= stored.seq:
            row = (self.feed, position.cursor, position.seq)
            db.execute("INSERT OR REPLACE INTO outlast_feed VALUES (?, ?, ?)", row)
        return fresh

    def _keep(self, db: Connection, event: FeedEvent) -> None:
        if event.deleted:
            db.execute("DELETE FROM outlast_feed_row WHERE feed = ? AND entity = ?", (self.feed, event.entity))
            return
        row = (self.feed, event.entity, event.seq, json.dumps(event.body))
        db.execute("INSERT OR REPLACE INTO outlast_feed_row VALUES (?, ?, ?, ?)", row)

    async def get(self, entity: str) -> FeedRow | None:
        """Return the present content of an entity, or None when the feed has told of none or it is deleted."""
        rows = await self._rows("AND entity = ?", entity)
        return rows[0] if rows else None

    async def rows(self) -> list[FeedRow]:
        """Return the present content of every entity, ordered by entity."""
        return await self._rows("")

    async def _rows(self, which: str, *values: str) -> list[FeedRow]:
        await self._prepare()
        query = f"SELECT entity, seq, body FROM outlast_feed_row WHERE feed = ? {which} ORDER BY entity"  # noqa: S608 - put together from constants
        found = self.database.read(lambda db: list(db.execute(query, (self.feed, *values))))
        return [FeedRow(entity, seq, json.loads(body)) for entity, seq, body in await asyncio.wrap_future(found)]

    async def reset(self) -> None:
        """Forget the cursor and the kept rows, so that the next pull starts from the beginning.

        It is for a server that has forgotten what lies behind the cursor. Tables of yours are not touched.
        """
        await self._prepare()
        await asyncio.wrap_future(self.database.write(self._reset))

    def _reset(self, db: Connection) -> None:
        db.execute("DELETE FROM outlast_feed WHERE name = ?", (self.feed,))
        db.execute("DELETE FROM outlast_feed_row WHERE feed = ?", (self.feed,))

    async def aclose(self) -> None:
        """Finish what is being written and close the database."""
        await asyncio.to_thread(self.database.close)

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the database."""
        await self.aclose()


def _tells(stored: int | None, behind: int | None, events: Sequence[FeedEvent]) -> bool:
    """Tell whether the places of events say which are new, and nothing is missing before them."""
    numbered = all(event.seq is not None for event in events)
    return numbered and stored is not None and behind is not None and behind <= stored


class MemoryFeedStore:
    """Keep only the place of a feed, and only as long as the process lives: each start pulls from the beginning."""

    def __init__(self) -> None:
        self._position = Position()

    async def position(self) -> Position:
        """Return up to where events were applied."""
        return self._position

    async def commit(
        self, events: Sequence[FeedEvent], position: Position, *, behind: Position | None = None
    ) -> Sequence[FeedEvent]:
        """Move on."""
        del behind  # nobody else moves it
        self._position = position
        return events
