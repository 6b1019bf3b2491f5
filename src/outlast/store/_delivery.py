"""Deliver a store's writes in the background, or watch another process deliver them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from outlast.engines.backoff import Backoff, Jitter
from outlast.engines.op import Deliver, OpState, Step
from outlast.errors import LeaseHeldError, OutlastError
from outlast.events import DeliveryStopped, OpConflicted, OpDelivered, OpDied, OpEvent
from outlast.outbox import Op, Outbox, OutboxCore
from outlast.policies import CircuitBreaker, HalfOpen, Retry
from outlast.store._backend import Backend
from outlast.store._config import StoreConfig
from outlast.store._pending import PendingWrite, PendingWrites
from outlast.sync_engine import Runner

_LOOK_EVERY: Final = 0.25
_TRY_AGAIN: Final = 5.0

Show = Callable[[str, bytes | None, str | None], Awaitable[None]]


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
    """Run a runner for as long as a store is open.

    When another process holds the lease, this one watches the file: what the other delivers is no longer
    pending here either, and when it ends, this one takes over.

    Args:
        outbox: Where writes wait.
        backend: Where they go.
        breaker: The circuit of the backend.
        config: The settings of the store.
        pending: What the readers of the store must see.
        show: Called with key, body and version of what the server is known to have now.
    """

    def __init__(
        self,
        outbox: Outbox,
        backend: Backend,
        breaker: CircuitBreaker,
        config: StoreConfig,
        pending: PendingWrites,
        show: Show,
    ) -> None:
        self._outbox = outbox
        self._backend = backend
        self._breaker = breaker
        self._config = config
        self._pending = pending
        self._show = show
        self._tasks: list[asyncio.Task[None]] = []
        self._version = 0
        self.trouble = ""

    async def start(self) -> None:
        """Begin to deliver, unless the settings leave that to others, and to watch the file."""
        self._pending.adopt(await self._outbox.pending(self._backend.kind))
        self._subscription = self._outbox.core.bus.subscribe(self._settled, OpDelivered, OpConflicted, OpDied)
        self._tasks.append(asyncio.create_task(self._watch(), name="outlast-store-watch"))
        if self._config.deliver:
            self._tasks.append(asyncio.create_task(self._deliver(), name="outlast-store-deliver"))

    async def stop(self) -> None:
        """End both tasks; requests on the wire get the runner's time to finish."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._subscription.close()

    async def _before_settle(self, op: Op, step: Step) -> None:
        """Show the readers what the server has now, before the outbox forgets the write."""
        if op.kind == self._backend.kind and isinstance(step, Deliver):
            self._pending.applied(op.entity, op.seq, step.etag)
            await self._show(op.entity, op.body, step.etag)

    def _settled(self, event: OpEvent) -> None:
        if event.source == self._outbox.core.name and event.kind == self._backend.kind:
            self._pending.remove(event.entity, event.seq)

    async def _deliver(self) -> None:
        while True:
            try:
                await self._run()
            except LeaseHeldError as error:
                self.trouble = str(error)
                await self._outbox.core.clock.asleep(min(_TRY_AGAIN, error.retry_after or _TRY_AGAIN))
            except Exception as error:  # noqa: BLE001 - whatever it is, the writes wait and must be tried again
                await self._stopped(f"{type(error).__name__}: {error}")

    async def _stopped(self, reason: str) -> None:
        self.trouble = reason
        core = self._outbox.core
        core.bus.emit(DeliveryStopped, source=core.name, at=core.clock.now(), reason=reason, wait=_TRY_AGAIN)
        await core.clock.asleep(_TRY_AGAIN)

    async def _run(self) -> None:
        config = self._config
        async with Runner(
            self._outbox,
            self._backend.transport,
            concurrency=config.concurrency,
            policy=config.delivery,
            lease=config.lease,
            breaker=self._breaker,
            before_settle=self._before_settle,
        ) as runner:
            self.trouble = ""
            await runner.run_forever()

    async def _watch(self) -> None:
        """See what other processes do to the file."""
        core = self._outbox.core
        while True:
            with contextlib.suppress(OutlastError):
                version = await asyncio.wrap_future(core.data_version())
                if version != self._version:
                    self._version = version
                    await self._compare()
            await core.clock.asleep(_LOOK_EVERY)

    async def _compare(self) -> None:
        known = self._pending.items()
        queued = await self._outbox.pending(self._backend.kind)
        waiting = {op.seq for op in queued}
        for key, write in known:
            if write.seq not in waiting:
                await self._gone(key, write)
        self._pending.adopt(queued)

    async def _gone(self, key: str, write: PendingWrite) -> None:
        with contextlib.suppress(LookupError):
            status = await self._outbox.ticket(write.seq).status()
            if status.state is OpState.DELIVERED and not write.applied:
                await self._show(key, write.body, status.etag)
        self._pending.remove(key, write.seq)
