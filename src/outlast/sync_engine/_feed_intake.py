"""Bring a feed's events into its store, in order and once each; a push is a hint, the pull is the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from outlast.clock import Clock, Random
from outlast.engines.backoff import Backoff
from outlast.engines.feed_order import sort_pulled, sort_pushed
from outlast.engines.feed_records import Trouble
from outlast.events import Event, EventBus, FeedApplyFailed, FeedResynced
from outlast.sync_engine._feed_http import FeedHttp
from outlast.sync_engine._feed_messages import FeedMessages
from outlast.sync_engine._feed_records import FeedEvent, FeedPage, Position
from outlast.sync_engine._feed_store import FeedKeeper
from outlast.sync_engine._feed_trouble import RungError


@dataclass(slots=True)
class FeedStats:
    """Count what a feed has done.

    Args:
        applied: Events that were applied, own ones too.
        own: Those of them that our own writes had caused.
        duplicates: Events that came again and were dropped.
        gaps: Pushes that showed that something was missing.
        pulls: Requests for a page, held ones too.
        connections: Times that a rung was opened.
    """

    applied: int = 0
    own: int = 0
    duplicates: int = 0
    gaps: int = 0
    pulls: int = 0
    connections: int = 0


class FeedIntake:
    """Apply what comes, and remember up to where.

    Args:
        http: Where to pull.
        store: Where to apply.
        own: Tells from an idempotency key whether the write was ours.
        retry_apply: The waits between attempts to apply what could not be applied, or None to fail at once.
        name: The source of the events.
        bus: Where events go.
        clock: Where the time comes from.
        random: Where jitter comes from.
    """

    def __init__(
        self,
        http: FeedHttp,
        store: FeedKeeper,
        *,
        own: Callable[[str], bool] | None,
        retry_apply: Backoff | None,
        name: str,
        bus: EventBus,
        clock: Clock,
        random: Random,
    ) -> None:
        self._http = http
        self._store = store
        self._own = own
        self._retry_apply = retry_apply
        self._name = name
        self._bus = bus
        self._clock = clock
        self._random = random
        self.position = Position()
        self.stats = FeedStats()
        self.readers: list[FeedMessages] = []

    async def load(self) -> None:
        """Read up to where events were applied: what was begun before may or may not have been committed."""
        self.position = await self._store.position()

    async def take(self, came: Sequence[FeedEvent] | FeedPage) -> bool:
        """Apply what a rung has brought; tell whether everything up to now is known."""
        if isinstance(came, FeedPage):
            self.stats.pulls += 1
            if not await self._take_page(came) or came.more:
                await self.catch_up("gap")
            return True
        found = sort_pushed(self.position.seq, came)
        self.stats.duplicates += found.duplicates
        gap = found.gap
        if found.fresh:
            last = found.fresh[-1]
            gap |= not await self._commit(found.fresh, Position(last.cursor or self.position.cursor, last.seq))
        if gap:
            self.stats.gaps += 1
            await self.catch_up("gap")
        return gap

    async def catch_up(self, reason: str) -> None:
        """Pull until there is no more; raises as `FeedHttp.pull` does."""
        await self.load()
        pages, before = 0, self.stats.applied
        seen = {None, self.position.cursor}
        more = True
        while more:
            page = await self._http.pull(self.position)
            self.stats.pulls += 1
            pages += 1
            more = page.more
            if more and page.cursor in seen:
                raise RungError(Trouble.UNREACHABLE, "the server says that there is more, and gives no new cursor")
            seen.add(page.cursor)
            if not await self._take_page(page):
                more, seen = True, {None, self.position.cursor}
        events = self.stats.applied - before
        self._emit(FeedResynced, reason=reason, events=events, pages=pages)

    async def _take_page(self, page: FeedPage) -> bool:
        found = sort_pulled(self.position.seq, page.events)
        self.stats.duplicates += found.duplicates
        # The furthest place: a copy of the server that lags behind moves the cursor back, but makes nothing new again.
        places = (self.position.seq, page.seq, *(event.seq for event in found.fresh))
        furthest = max((place for place in places if place is not None), default=None)
        after = Position(page.cursor or self.position.cursor, furthest)
        return not (found.fresh or after != self.position) or await self._commit(found.fresh, after)

    async def _commit(self, events: Sequence[FeedEvent], after: Position) -> bool:
        """Store events and tell the readers; False says that the place has been moved by somebody else."""
        marked = [replace(event, own=self._is_own(event)) for event in events]
        fresh = await self._applied(marked, after)
        if fresh is None:
            await self.load()
            return False
        self.position = after
        self.stats.applied += len(fresh)
        for event in fresh:
            if event.own:
                self.stats.own += 1
            else:
                for reader in tuple(self.readers):
                    await reader.put(event)
        return True

    def _is_own(self, event: FeedEvent) -> bool:
        return self._own is not None and event.key is not None and self._own(event.key)

    async def _applied(self, events: Sequence[FeedEvent], after: Position) -> Sequence[FeedEvent] | None:
        attempt = 0
        while True:
            try:
                return await self._store.commit(events, after, behind=self.position)
            except Exception as error:
                if self._retry_apply is None:
                    raise
                attempt += 1
                wait = self._retry_apply.wait(attempt, self._random.random())
                self._emit(FeedApplyFailed, error=type(error).__name__, wait=wait)
            await self._clock.asleep(wait)

    def _emit(self, kind: type[Event], **fields: object) -> None:
        self._bus.emit(kind, source=self._name, at=self._clock.now(), **fields)
