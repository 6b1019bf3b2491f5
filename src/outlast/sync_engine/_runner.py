"""Deliver an outbox's writes for as long as a block runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self, TypeVar

from outlast.clock import SYSTEM_RANDOM, Random
from outlast.config import check_number
from outlast.engines.lease import LeaseConfig
from outlast.engines.op import DeliveryPolicy
from outlast.engines.reconcile_records import ConflictPolicies, ConflictPolicy
from outlast.errors import ConfigError
from outlast.events import LeaseLost, LeaseTaken
from outlast.outbox import (
    BeforeSettle,
    DeliveryLoop,
    LoopStats,
    Outbox,
    ProcessingLease,
    Retention,
    Routes,
    SyncOutbox,
    Transport,
    keep_pruned,
)
from outlast.policies import CircuitBreaker
from outlast.sync_engine._conflict import Resolver
from outlast.sync_engine._reconciler import Reconciler

R = TypeVar("R", bound=Resolver)
T = TypeVar("T")

DEFAULT_RETENTION: Final = Retention()
Conflicts = ConflictPolicy | ConflictPolicies | Mapping[str, ConflictPolicy]


class Runner:
    """Deliver what waits in an outbox, each lane in order, many lanes at once.

    Entering the block takes the delivery lease; leaving it lets the requests on the wire finish and
    gives the lease back. Whatever ends the process, the writes stay in the outbox, and the next runner
    sends those in doubt again as the same bytes under the same key.

    Args:
        box: The outbox.
        transport: What carries an op, such as `HttpTransport`; or a mapping from kinds to what carries them, and then
            the writes of other kinds are left alone, for a runner that has something for them.
        concurrency: Requests at once, >= 1. Default 8.
        policy: Backoff, budgets and limits of delivery.
        lease: Seconds between beats and until a frozen holder may be replaced.
        breaker: The circuit of the origin. Default: one for each origin, see `OriginGate`.
        conflicts: What is done about conflicts, for all kinds or for each. Default: what only one side changed is
            merged when the base of the write is known, everything else goes to the inbox.
        resolvers: Functions by kind that decide about conflicts instead; see also `resolver`.
        park_lanes: Whether a conflicting or dead write holds back the later ones of its entity. Default True.
        before_settle: Told of every outcome before it is recorded; may be told again after a crash.
        drain: Seconds that requests on the wire get when the block is left. Default 5.
        retention: How long receipts and the like are kept; in small portions, the rest is forgotten while the block
            runs. None: nothing is. Default: see `Retention`.
        random: Where jitter comes from.
    """

    def __init__(
        self,
        box: Outbox | SyncOutbox,
        transport: Transport | Mapping[str, Transport] | Routes,
        *,
        concurrency: int = 8,
        policy: DeliveryPolicy | None = None,
        lease: LeaseConfig | None = None,
        breaker: CircuitBreaker | None = None,
        conflicts: Conflicts | None = None,
        resolvers: Mapping[str, Resolver] | None = None,
        park_lanes: bool = True,
        before_settle: BeforeSettle | None = None,
        drain: float = 5.0,
        retention: Retention | None = DEFAULT_RETENTION,
        random: Random = SYSTEM_RANDOM,
    ) -> None:
        check_number("concurrency", concurrency, least=1)
        self._core = box.core
        self._drain = drain
        self._retention = retention
        self._pruning: asyncio.Task[None] | None = None
        self._lease = ProcessingLease(self._core.database, lease, clock=self._core.clock, on_lost=self._lost)
        self._routes = Routes.of(transport, breaker=breaker)
        self._resolvers = dict(resolvers or {})
        self._loop = DeliveryLoop(
            self._core,
            self._routes,
            self._lease,
            policy=policy or DeliveryPolicy(),
            concurrency=concurrency,
            park_lanes=park_lanes,
            before_settle=before_settle,
            reconcile=Reconciler(self._core, _policies(conflicts), self._resolvers),
            random=random,
        )

    def resolver(self, kind: str) -> Callable[[R], R]:
        """Decorate a function, awaited or not, that decides about the conflicts of a kind.

        It gets a `Conflict` and returns a `Resolution`, a `Resend` or the result of a `merge`. It runs outside of
        every transaction, and again after a crash. What it raises sends the write to the conflict inbox.
        """

        def register(function: R) -> R:
            self._resolvers[kind] = function
            return function

        return register

    @property
    def stats(self) -> LoopStats:
        """Return what was done since the block was entered."""
        return self._loop.stats

    @property
    def breaker(self) -> CircuitBreaker:
        """Return the circuit of the origin; of the first, if there are several."""
        return self._loop.gates.of(self._routes.all()[0]).breaker

    def breaker_of(self, kind: str) -> CircuitBreaker:
        """Return the circuit of the origin that the writes of a kind go to.

        Raises:
            ConfigError: Nothing carries that kind.
        """
        route = self._routes.find(kind)
        if route is None:
            raise ConfigError(f"nothing carries writes of the kind {kind!r}", path="kind")
        return self._loop.gates.of(route).breaker

    async def drain(self) -> None:
        """Let the requests on the wire finish and cut those that take longer; leaving the block does it too."""
        await self._loop.drain(self._drain)

    def _lost(self) -> None:
        core = self._core
        core.bus.emit(LeaseLost, source=core.name, at=core.clock.now(), fence=self._lease.fence)
        core.notify()

    async def __aenter__(self) -> Self:
        """Take the lease.

        Raises:
            ConfigError: It is entered already.
            LeaseHeldError: Another live process delivers from this outbox.
        """
        if self._lease.held:
            raise ConfigError("is entered already; leave its block first, or make another one", path="runner")
        try:
            fence = await _to_its_end(self._lease.acquire)
            core = self._core
            core.bus.emit(LeaseTaken, source=core.name, at=core.clock.now(), fence=fence, reason=self._lease.reason)
            await self._loop.load()
        except BaseException:
            await _to_its_end(self._lease.release)
            raise
        if self._retention is not None:
            self._pruning = asyncio.create_task(keep_pruned(core, self._retention))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the requests on the wire finish and give the lease back."""
        if self._pruning is not None:
            self._pruning.cancel()
        try:
            await self.drain()
        finally:
            await _to_its_end(self._lease.release)

    async def run_until_idle(self) -> None:
        """Deliver until nothing is left that could be delivered.

        What is in conflict or dead, and what it holds back, counts as nothing left. While the server
        does not answer this goes on; bound it with `asyncio.timeout`.

        Raises:
            ConfigError: The block was not entered, or is left.
            LeaseLostError: Another process has taken over.
            AuthenticationError: The server refuses the credentials; nothing is lost.

        Cancel: leave the block, which drains; nothing is lost.
        """
        await self._run(until_idle=True)

    async def run_forever(self) -> None:
        """Deliver until cancelled; raises as `run_until_idle` does."""
        await self._run(until_idle=False)

    async def _run(self, *, until_idle: bool) -> None:
        if not self._lease.fence:
            raise ConfigError("delivers inside its block only: `async with Runner(...) as runner`", path="runner")
        await self._loop.run(until_idle=until_idle)


async def _to_its_end(function: Callable[[], T]) -> T:
    """Return what a function gives in a thread.

    Cancel: it is waited for all the same, so that afterwards nobody holds the lease without knowing.
    """
    # No task: a loop that ends cancels all of those, and then nobody would wait.
    running = asyncio.get_running_loop().run_in_executor(None, function)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _policies(conflicts: Conflicts | None) -> ConflictPolicies:
    match conflicts:
        case None:
            return ConflictPolicies()
        case ConflictPolicies():
            return conflicts
        case ConflictPolicy():
            return ConflictPolicies(default=conflicts)
        case _:
            return ConflictPolicies(conflicts)
