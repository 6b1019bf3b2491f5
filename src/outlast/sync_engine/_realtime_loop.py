"""Keep a feed connected: do what the ladder says, and tell it what became of that."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from outlast.clock import Clock, Random
from outlast.engines.feed_ladder import FeedLadder
from outlast.engines.feed_records import Due, GiveUp, Listen, Paused, Refresh, Rung, Step, Trouble, Try, Wait
from outlast.errors import ConfigError, SyncError
from outlast.sync_engine._feed_intake import FeedIntake
from outlast.sync_engine._feed_lines import Line
from outlast.sync_engine._feed_records import FeedEvent, FeedPage, Position
from outlast.sync_engine._feed_token import Credentials
from outlast.sync_engine._feed_trouble import RefusedError, RungError

_log = logging.getLogger("outlast.sync_engine")


class Say(Protocol):
    """Tell of the state of the connection."""

    def __call__(self, phase: str, rung: Rung, reason: str = "", wait: float | None = None) -> None:
        """Tell of a state."""
        ...


class LineOpener(Protocol):
    """Open rungs."""

    async def open(self, rung: Rung, position: Position) -> Line:
        """Open one; raises RungError or RefusedError."""
        ...


class RealtimeLoop:
    """Run one feed until it is cancelled or fails for good.

    Cancel: the connection is closed and no task is left; what was committed stays.

    Args:
        ladder: Decides.
        opener: Opens rungs.
        intake: Applies what comes.
        credentials: Asked for a new token when one is refused.
        say: Told of every state.
        on_reconnect: Called each time that the feed is live again after it was not.
        patience: Seconds for one request for credentials.
        clock: Where the time comes from.
        random: Where jitter comes from.
    """

    def __init__(
        self,
        ladder: FeedLadder,
        opener: LineOpener,
        intake: FeedIntake,
        credentials: Credentials,
        *,
        say: Say,
        on_reconnect: Callable[[], object] | None,
        patience: float,
        clock: Clock,
        random: Random,
    ) -> None:
        self._ladder = ladder
        self._opener = opener
        self._intake = intake
        self._credentials = credentials
        self._say = say
        self._on_reconnect = on_reconnect
        self._patience = patience
        self._clock = clock
        self._random = random
        self._line: Line | None = None
        self._hearing: asyncio.Task[Sequence[FeedEvent] | FeedPage] | None = None
        self._woken = asyncio.Event()
        self._reason = ""
        self._tried = 0  # which of the credentials that were brought the rung was opened with

    def wake(self) -> None:
        """End a wait: try at once."""
        self._ladder.wake()
        self._woken.set()

    def renewed(self) -> None:
        """Go on with credentials that were brought."""
        self._ladder.renewed(asked=False)
        self._woken.set()

    async def run(self) -> None:
        """Run; raises what ends the feed for good."""
        try:
            while True:
                await self._turn()
        finally:
            await self._close()

    async def _turn(self) -> None:
        self._woken.clear()
        try:
            await self._act(self._ladder.step(self._clock.now()))
        except RungError as error:
            await self._close()
            self._reason = error.reason
            chance = self._random.random()
            self._ladder.failed(self._clock.now(), chance, error.trouble, at_least=error.at_least)
        except RefusedError as error:
            await self._close()
            self._reason = str(error)
            chance = self._random.random()
            self._ladder.refused(self._clock.now(), chance, refreshable=self._credentials.refreshable)
            if self._credentials.given != self._tried:
                self._ladder.renewed(asked=False)  # those that were brought since were not tried yet

    async def _act(self, step: Step) -> None:
        match step:
            case Try(rung):
                await self._open(rung)
            case Listen(_, seconds, due):
                await self._listen(seconds, due)
            case Wait(seconds):
                self._say("waiting", self._ladder.rung, self._reason, seconds)
                await self._rest(seconds)
            case Refresh():
                await self._refresh()
            case Paused():
                self._say("unauthorised", self._ladder.rung, self._reason)
                await self._rest(math.inf)
            case GiveUp(attempts):
                raise SyncError(f"the feed gave up after {attempts} attempts in a row; the last one: {self._reason}")

    async def _open(self, rung: Rung) -> None:
        self._tried = self._credentials.given
        if self._credentials.missing:
            raise RefusedError(self._reason)
        self._say("connecting", rung, self._reason)
        await self._intake.load()
        self._line = await self._opener.open(rung, self._intake.position)
        self._intake.stats.connections += 1
        # What is pushed from now on waits in the socket, so nothing falls between the pull and the first push.
        self._say("catching-up", rung)
        await self._intake.catch_up("connected")
        self._ladder.opened(self._clock.now(), self._random.random())
        self._reason = ""
        self._say("live", rung)
        self._kick()

    def _kick(self) -> None:
        if self._on_reconnect is not None:
            try:
                self._on_reconnect()
            except Exception:
                _log.exception("the hook for reconnections raised")

    async def _listen(self, seconds: float, due: Due) -> None:
        came = await self._hear(seconds)
        if came is not None:
            self._ladder.heard()
            if await self._intake.take(came):
                self._ladder.pulled(self._clock.now())
            return
        self._ladder.listened(seconds)
        match due:
            case Due.SILENT:
                raise RungError(Trouble.LOST, "nothing was heard for longer than the heartbeat time-out")
            case Due.PULL:
                await self._intake.catch_up("schedule")
                self._ladder.pulled(self._clock.now())
            case Due.CLIMB:
                await self._close()
                self._reason = "to try a quicker way"
                self._ladder.climb()

    async def _hear(self, seconds: float) -> Sequence[FeedEvent] | FeedPage | None:
        """Return what the line brings, or None when that takes too long; what is begun goes on beside other work."""
        if self._hearing is None and self._line is not None:
            self._hearing = asyncio.create_task(self._heard(self._line))
        hearing = self._hearing
        if hearing is None:
            raise RungError(Trouble.LOST, "the connection is closed")
        await asyncio.wait([hearing], timeout=None if seconds == math.inf else seconds)
        if not hearing.done():
            return None
        self._hearing = None
        return hearing.result()

    async def _heard(self, line: Line) -> Sequence[FeedEvent] | FeedPage:
        return await line.receive(self._intake.position)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                await self._woken.wait()

    async def _refresh(self) -> None:
        self._say("unauthorised", self._ladder.rung, self._reason)
        given = self._credentials.given
        try:
            async with asyncio.timeout(self._patience):
                await self._credentials.refresh()
        except Exception as error:
            said = f": {error}" if isinstance(error, ConfigError) else ""  # other texts may hold the secret
            self._reason = f"no new credentials: {type(error).__name__}{said}"
            if self._credentials.given == given:
                self._ladder.refresh_failed(self._clock.now(), self._random.random())
        else:
            if self._credentials.given == given:
                self._ladder.renewed(asked=True)

    async def _close(self) -> None:
        """Close the line, whatever comes between; a line that cannot be closed in peace is dropped."""
        line, hearing = self._line, self._hearing
        self._line = self._hearing = None
        try:
            if hearing is not None:
                hearing.cancel()
                await asyncio.wait([hearing])
                if not hearing.cancelled():
                    hearing.exception()  # looked at, so that nobody reports it as never retrieved
        finally:  # also when who waits for the end of the hearing is interrupted
            if line is not None:
                with suppress(Exception):
                    await line.aclose()
