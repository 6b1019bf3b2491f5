"""Deliver a store's writes in the background, or watch another process deliver them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakKeyDictionary

from outlast.engines.backoff import Backoff, Jitter
from outlast.engines.op import AskCredentials, Conflict, Deliver, OpState, Step
from outlast.errors import LeaseHeldError, LeaseLostError, OutlastError
from outlast.events import DeliveryStopped, OpConflicted, OpDelivered, OpDied, OpEvent
from outlast.outbox import Op, Outbox, OutboxCore, Route
from outlast.policies import CircuitBreaker, CircuitState, HalfOpen, Retry
from outlast.store._backend import Backend
from outlast.store._config import StoreConfig
from outlast.store._pending import WHOLE, PendingWrite, PendingWrites
from outlast.sync_engine import Runner

_LOOK_EVERY: Final = 0.25
_REST: Final = 4.0
"""Times as long as a look took are waited before the next: a long queue is looked at less often."""
_TRY_AGAIN: Final = 5.0
_HEAD_START: Final = 0.3
"""Seconds, a little more than the delivery loop sleeps at most."""

_TURNS: Final[WeakKeyDictionary[OutboxCore, asyncio.Lock]] = WeakKeyDictionary()
"""Stores that share an outbox share a runner: one of them runs it, for the kinds of all."""

_WAITING: Final = frozenset({OpState.READY, OpState.SENT, OpState.WAITING, OpState.ACCEPTED})

Show = Callable[[str, bytes | None, str | None], Awaitable[None]]
Refresh = Callable[[str], Awaitable[None]]


def default_breaker(core: OutboxCore) -> CircuitBreaker:
    """Return a circuit that finds out soon that an API is back."""
    return CircuitBreaker(
        recovery=HalfOpen(max_calls=1, success_threshold=1),
        open_for=1.0,
        open_growth=Backoff(factor=2.0, cap=30.0, jitter=Jitter.NONE),
        clock=core.clock,
        bus=core.bus,
    )


def default_retry(core: OutboxCore, load_timeout: float) -> Retry:
    """Return a retry for reads of what is stored nowhere: better late than never, within the load's limit."""
    return Retry(
        attempts=6,
        backoff=Backoff(base=0.25, factor=2.0, cap=2.0, jitter=Jitter.FULL),
        max_elapsed=load_timeout,
        idempotent=True,
        name="load",
        clock=core.clock,
        bus=core.bus,
    )


class StoreDelivery:
    """Run a runner for as long as a store is open, or let another store of the same outbox run it for both.

    Each brings what carries its own kind; whatever else lies in the outbox is left alone. When another process holds
    the lease, this one watches the file: what the other delivers is no longer pending here either, and when it ends,
    this one takes over.

    Args:
        outbox: Where writes wait.
        backend: Where they go.
        breaker: The circuit of the backend.
        config: The settings of the store.
        pending: What the readers of the store must see.
        show: Called with key, body and version of what the server is known to have now.
        refresh: Called with a key whose entity the server is known to have changed, nobody knows how.
    """

    def __init__(
        self,
        outbox: Outbox,
        backend: Backend,
        breaker: CircuitBreaker,
        config: StoreConfig,
        pending: PendingWrites,
        *,
        show: Show,
        refresh: Refresh,
    ) -> None:
        self._outbox = outbox
        self._backend = backend
        self._breaker = breaker
        self._config = config
        self._pending = pending
        self._show = show
        self._refresh = refresh
        self._turn = _TURNS.setdefault(outbox.core, asyncio.Lock())
        self._route = Route(backend.transport, breaker, self._before_settle, config.conflicts)
        self._shown: set[int] = set()
        self._runner: Runner | None = None
        self._stopped_by: Exception | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._version: int | str = 0

    @property
    def trouble(self) -> str:
        """Return why writes are not being delivered now, empty when they are."""
        match self._stopped_by:
            case None:
                return "" if self._runner is None else self._runner.stats.trouble
            case LeaseHeldError() as error:
                return str(error)
            case error:
                return f"{type(error).__name__}: {error}"

    async def start(self) -> None:
        """Begin to deliver, unless the settings leave that to others, and to watch the file."""
        await self._compare()
        self._subscription = self._outbox.core.bus.subscribe(self._settled, OpDelivered, OpConflicted, OpDied)
        self._tasks.append(asyncio.create_task(self._watch(), name="outlast-store-watch"))
        if self._config.deliver:
            self._outbox.core.routes.add(self._backend.kind, self._route)
            self._outbox.core.notify()
            self._tasks.append(asyncio.create_task(self._deliver(), name="outlast-store-deliver"))

    async def stop(self) -> None:
        """End both tasks; requests on the wire get the runner's time to finish."""
        self._subscription.close()
        self._outbox.core.routes.remove(self._backend.kind, self._route)
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def waits_for_decisions(self) -> bool:
        """Tell whether every write that is left is held back by a conflict or a dead letter."""
        parked = await self._outbox.core.result(self._outbox.core.parked_lanes())
        if not parked:
            return False
        left = await self._outbox.pending(self._backend.kind)
        return bool(left) and all(op.lane in parked for op in left)

    async def give_way(self) -> None:
        """Let a write that waits be the first to find out whether the backend is back.

        Reads are many, and what is stored stands in for them; without this they would take every probe of
        the circuit from the writes.
        """
        probing = self._breaker.state is not CircuitState.CLOSED and not self._breaker.is_tripped()
        delivering = self._turn.locked() and self._stopped_by is None
        if probing and delivering and len(self._pending):
            await self._outbox.core.clock.asleep(_HEAD_START)

    async def _before_settle(self, op: Op, step: Step) -> None:
        """Show the readers what the server has now, before the outbox forgets the write."""
        if not isinstance(step, AskCredentials):
            self._stopped_by = None
        match step:
            case Deliver(etag=etag, outcome="delivered") if op.verb in WHOLE:
                self._pending.applied(op.entity, op.seq, etag)
                await self._show(op.entity, op.body, etag)
                self._shown.add(op.seq)
            case Deliver() | Conflict():
                await self._refresh(op.entity)
                self._shown.add(op.seq)
            case _:
                pass

    def _settled(self, event: OpEvent) -> None:
        """Let the readers see the cache again; what another store has settled is shown to them first, by `_watch`."""
        if event.source != self._outbox.core.name or event.kind != self._backend.kind:
            return
        if event.seq in self._shown or isinstance(event, OpDied):
            self._shown.discard(event.seq)
            self._pending.remove(event.entity, event.seq)

    async def _deliver(self) -> None:
        while True:
            try:
                async with self._turn:
                    await self._run()
            except LeaseHeldError as error:
                self._stopped_by = error
                await self._outbox.core.clock.asleep(min(_TRY_AGAIN, error.retry_after or _TRY_AGAIN))
            except Exception as error:  # whatever it is, the writes wait and must be tried again
                self._stopped_by = error
                await self._tell()

    async def _tell(self) -> None:
        core = self._outbox.core
        core.bus.emit(DeliveryStopped, source=core.name, at=core.clock.now(), reason=self.trouble, wait=_TRY_AGAIN)
        await core.clock.asleep(_TRY_AGAIN)

    async def _run(self) -> None:
        config = self._config
        async with Runner(
            self._outbox,
            self._outbox.core.routes,
            concurrency=config.concurrency,
            policy=config.delivery,
            lease=config.lease,
        ) as runner:
            self._runner = runner
            if isinstance(self._stopped_by, LeaseHeldError | LeaseLostError) or not len(self._pending):
                self._stopped_by = None  # of any other cause only the next delivery shows whether it is gone
            await runner.run_forever()

    async def _watch(self) -> None:
        """See what other processes do to the file."""
        core = self._outbox.core
        while True:
            began = core.clock.now()
            with contextlib.suppress(OutlastError):
                version = await core.result(core.data_version())
                if version != self._version or self._pending.unseen:
                    await self._compare()
                    self._version = version
            await core.clock.asleep(max(_LOOK_EVERY, _REST * (core.clock.now() - began)))

    async def _compare(self) -> None:
        core = self._outbox.core
        contents, known = self._pending.look()
        found = await core.result(core.diff_pending(self._backend.kind, contents, {**contents, **known}))
        for seq in sorted(found.absent):  # of two writes of one key the later is shown last
            if seq in known:
                await self._gone(*known[seq])
        self._pending.adopt(found)

    async def _gone(self, key: str, write: PendingWrite) -> None:
        with contextlib.suppress(LookupError):
            status = await self._outbox.ticket(write.seq).status()
            if status.state in _WAITING:
                return  # it was replayed since it was looked for
            if status.state is OpState.DELIVERED and not write.applied:
                await self._show(key, write.body, status.etag)
            elif status.state is OpState.CONFLICT and write.seq not in self._shown:
                await self._refresh(key)
        self._shown.discard(write.seq)
        self._pending.remove(key, write.seq)
