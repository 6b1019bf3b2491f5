"""Hear of changes as they happen, and miss none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from outlast.clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, Random
from outlast.config import check_number
from outlast.engines.backoff import Backoff
from outlast.engines.feed_ladder import FeedLadder
from outlast.engines.feed_records import LadderConfig, Rung
from outlast.errors import ConfigError, ShuttingDownError
from outlast.events import DEFAULT_BUS, ConnectionChanged, EventBus, EventStream, FeedStopped, Subscription
from outlast.sync_engine._feed_http import FeedHttp, StreamingClient, check_address
from outlast.sync_engine._feed_intake import FeedIntake, FeedStats
from outlast.sync_engine._feed_messages import FeedMessages
from outlast.sync_engine._feed_open import RungOpener
from outlast.sync_engine._feed_records import FeedFormat, JsonFeed, Position
from outlast.sync_engine._feed_store import FeedKeeper, MemoryFeedStore
from outlast.sync_engine._feed_token import Credentials, TokenProvider
from outlast.sync_engine._realtime_loop import RealtimeLoop


class RealtimeChannel:
    """Follow a server's feed of changes over the best connection that there is.

    The ladder is WebSocket, server-sent events, long poll, poll: what the server or a proxy does not let through is
    left for the next lower, and tried again later. A lost connection is opened again with full jitter and the same
    credentials. After each connection everything since the stored cursor is pulled before pushes are applied, a gap
    between pushes is pulled too, and what comes twice is dropped; rows and cursor are stored in one commit, so no event
    is lost or applied twice, whatever ends the process.

    Use it as `async with` block; leaving it closes the connection and leaves no task behind. Whatever the feed fails
    with for good is raised there, by `closed`, and to who reads `messages`.

    Args:
        url: The address of the feed, http, https, ws or wss; `http` and `ws` stand for each other.
        store: Where events and cursor are stored, such as a `FeedStore`. It is not closed here. Default: only the place
            is kept, in memory, and each start pulls from the beginning.
        endpoints: Other addresses for single rungs; the one of `Rung.POLL` is pulled from.
        token: As for `connect`.
        ladder: Rungs, heartbeat and the other limits of the connection. Default `LadderConfig()`.
        reconnect: The waits between attempts, instead of those of `ladder`: 3 s, doubling to 60 s, full jitter.
        max_attempts: Attempts in a row without a connection after which the feed fails, instead of that of `ladder`.
        form: How the server writes the feed. Default `JsonFeed()`.
        own: Tells from the idempotency key of an event whether the write behind it was ours; such an event updates the
            store and is no message. Default: none is.
        on_reconnect: Called when the feed is live again, in the event loop; what it raises is logged. Give it what
            makes the uploader try at once, such as `Outbox.core.notify`.
        retry_apply: The waits between attempts to store what could not be stored. Default None: the feed fails with
            what was raised, and the events are neither stored nor skipped.
        page_limit: Events to ask for in one pull, >= 1; fewer while so many do not arrive in time. Default 500.
        hold: Seconds for which a long poll is held, > 0. Default 25.
        call_timeout: Seconds for one request, handshake or question for a token, > 0. Default 10.
        client: A client of httpx2 or httpx to use; it is not closed here. Default: an own one.
        bus: Where events go.
        clock: Where the time comes from.
        random: Where jitter comes from.

    Raises:
        ConfigError: An address, a number or the token makes no sense.
        MissingExtraError: httpx2 is not installed; websockets is looked for when that rung is tried.

    Thread-safe: no; use it from one event loop.
    """

    def __init__(
        self,
        url: str,
        *,
        store: FeedKeeper | None = None,
        endpoints: Mapping[Rung, str] | None = None,
        token: str | TokenProvider | None = None,
        ladder: LadderConfig | None = None,
        reconnect: Backoff | None = None,
        max_attempts: int | None = None,
        form: FeedFormat | None = None,
        own: Callable[[str], bool] | None = None,
        on_reconnect: Callable[[], object] | None = None,
        retry_apply: Backoff | None = None,
        page_limit: int = 500,
        hold: float = 25.0,
        call_timeout: float = 10.0,
        client: StreamingClient | None = None,
        bus: EventBus = DEFAULT_BUS,
        clock: Clock = SYSTEM_CLOCK,
        random: Random = SYSTEM_RANDOM,
    ) -> None:
        check_number("page_limit", page_limit, least=1)
        check_number("hold", hold, above=0)
        check_number("call_timeout", call_timeout, above=0)
        config = _settings(ladder or LadderConfig(), reconnect, max_attempts)
        addresses = {rung: check_address(url, "url") for rung in Rung}
        addresses |= {rung: check_address(other, f"endpoints.{rung}") for rung, other in (endpoints or {}).items()}
        self._url, self._bus, self._clock = addresses[Rung.POLL].partition("?")[0], bus, clock
        self._credentials = Credentials(token)
        form = form or JsonFeed()
        self._http = FeedHttp(
            addresses, form, self._credentials.headers,
            page_limit=page_limit, call_timeout=call_timeout, client=client, clock=clock,
        )  # fmt: skip
        self._intake = FeedIntake(
            self._http, store or MemoryFeedStore(),
            own=own, retry_apply=retry_apply, name=self._url, bus=bus, clock=clock, random=random,
        )  # fmt: skip
        opener = RungOpener(self._http, form, addresses, hold=hold, heartbeat=config.heartbeat_timeout, clock=clock)
        self._loop = RealtimeLoop(
            FeedLadder(config), opener, self._intake, self._credentials,
            say=self._say, on_reconnect=on_reconnect, patience=call_timeout, clock=clock, random=random,
        )  # fmt: skip
        self._states = EventBus()
        self._state = ConnectionChanged(source=self._url, at=clock.now(), phase="stopped", rung=config.rungs[0].value)
        self._live = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        """Return the address, without a query, and the state; nothing of the credentials."""
        return f"RealtimeChannel({self._url!r}, {self._state.phase}, {self._state.rung})"

    @property
    def state(self) -> ConnectionChanged:
        """Return the present state of the connection."""
        return self._state

    @property
    def stats(self) -> FeedStats:
        """Return what was done so far."""
        return self._intake.stats

    @property
    def position(self) -> Position:
        """Return up to where the feed was applied, as far as this channel knows."""
        return self._intake.position

    async def connect(self, token: str | TokenProvider | None = None) -> None:
        """Start to follow the feed, or go on with new credentials; await `caught_up` to know that it is there.

        The credentials are kept over reconnections and never stored. When the server refuses them, a function is asked
        for new ones, once; a token that was brought, or a second refusal, pauses the feed until the next `connect`.

        Args:
            token: A token for `Authorization: Bearer`, a function that returns one, plain or async, or None for what
                was given before.

        Raises:
            ConfigError: The token holds what cannot stand in a header.
            ShuttingDownError: The channel was closed.
        """
        if self._closed:
            raise ShuttingDownError(f"the channel to {self._url} is closed", operation="connect")
        self._credentials.give(token)
        self._loop.renewed()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"feed {self._url}")

    async def _run(self) -> None:
        failure: BaseException | None = None
        try:
            await self._loop.run()
        except Exception as error:
            failure = error
            said = f"{type(error).__name__}: {error}"
            self._bus.emit(FeedStopped, source=self._url, at=self._clock.now(), reason=said)
            raise
        finally:
            for reader in self._intake.readers:
                reader.end(failure)
            self._say("stopped", Rung(self._state.rung), "" if failure is None else type(failure).__name__)

    def _say(self, phase: str, rung: Rung, reason: str = "", wait: float | None = None) -> None:
        at = self._clock.now()
        self._state = ConnectionChanged(source=self._url, at=at, phase=phase, rung=rung.value, reason=reason, wait=wait)
        if self._state.live:
            self._live.set()
        else:
            self._live.clear()
        self._states.publish(self._state)
        self._bus.publish(self._state)

    def wake(self) -> None:
        """Try at once instead of waiting further, for when something else has told that the network is back."""
        self._loop.wake()

    def on_state(self, listener: Callable[[ConnectionChanged], None]) -> Subscription:
        """Call a listener with each further state; close what is returned to stop."""
        return self._states.subscribe(listener, ConnectionChanged)

    def states(self) -> AbstractAsyncContextManager[EventStream]:
        """Open an async stream of the further states for the length of a block."""
        return self._states.stream(ConnectionChanged)

    @asynccontextmanager
    async def messages(self, max_buffer: int = 256) -> AsyncGenerator[FeedMessages]:
        """Open an async stream of the events that others have caused, each after it was stored.

        The feed waits for a reader that is behind, so read in a task of its own while you await `caught_up`: it would
        wait for you, and you for it, as soon as more than `max_buffer` are to be pulled. An event is given once; who
        must not miss one when the process ends stores it by the `apply` of a `FeedStore`.

        Args:
            max_buffer: Events that may wait unread, >= 1. Default 256.

        Cancel: leaving the block in any way ends the stream.
        """
        check_number("max_buffer", max_buffer, least=1)
        reader = FeedMessages(max_buffer, self._over)
        self._intake.readers.append(reader)
        try:
            yield reader
        finally:
            self._intake.readers.remove(reader)
            reader.end()

    def _over(self) -> BaseException | None:
        """Return why no event will come, or None while some may."""
        if self._closed:
            return StopAsyncIteration()
        task = self._task
        return None if task is None or not task.done() or task.cancelled() else task.exception()

    async def caught_up(self) -> None:
        """Wait until the feed is live; raises what it fails with.

        Raises:
            ConfigError: `connect` was not called.
            ShuttingDownError: The channel was closed before that.

        Cancel: only the waiting ends.
        """
        running = self._running()
        waiting = asyncio.create_task(self._live.wait())
        try:
            await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if running.done():
            await self.closed()
            raise ShuttingDownError(f"the channel to {self._url} was closed", operation="caught_up")

    async def closed(self) -> None:
        """Wait for the end of the feed; raises what it has failed with, and returns after `aclose`.

        Cancel: only the waiting ends.
        """
        task = self._running()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    def _running(self) -> asyncio.Task[None]:
        if self._task is None:
            raise ConfigError("the feed was not started; call `await channel.connect(token)`", path="connect")
        return self._task

    async def aclose(self) -> None:
        """Close the connection and wait until nothing is left; the failure of the feed is not raised here.

        Cancel: only the waiting ends; call it again to wait further.
        """
        first, self._closed = not self._closed, True
        for reader in self._intake.readers:
            reader.end()
        if self._task is not None:
            if first:  # a second time would cut short what the first has set going, and leave the connection open
                self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.exception()
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Return itself; `connect` starts."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; raises what the feed has failed with, unless the block fails itself."""
        task = self._task
        failed = task is not None and task.done() and not task.cancelled()
        await self.aclose()
        if task is not None and failed and error is None:
            task.result()


def _settings(ladder: LadderConfig, reconnect: Backoff | None, max_attempts: int | None) -> LadderConfig:
    return replace(
        ladder,
        reconnect=ladder.reconnect if reconnect is None else reconnect,
        max_attempts=ladder.max_attempts if max_attempts is None else max_attempts,
    )
