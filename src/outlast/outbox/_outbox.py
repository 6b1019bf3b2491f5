"""The async face of the outbox."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.engines.bounds import OutboxLimits, Patience
from outlast.engines.op import OpState, Verb
from outlast.errors import OutboxFullError
from outlast.events import DEFAULT_BUS, EventBus
from outlast.outbox import _queries as sql
from outlast.outbox._core import OutboxCore
from outlast.outbox._make_write import make_write
from outlast.outbox._parked import ParkedOp
from outlast.outbox._queries import BodyCodec, Coalescing
from outlast.outbox._records import KEEP, Counts, Op, OpStatus, Queued
from outlast.outbox._retention import Pruned, Retention, aprune
from outlast.outbox._ticket import TicketCore, Wait, pick_parked, placed
from outlast.outbox._transaction import Transaction, begin
from outlast.outbox._upcasters import Upcasters
from outlast.outbox._write import Write

_ONE_LOOK: Final = 5.0
"""Seconds that one look may take, also where no time is left."""


class Ticket(TicketCore):
    """Follow one queued write; any process that has the outbox open may do so."""

    async def status(self) -> OpStatus:
        """Return where the write is now."""
        found = await self._look(self.seq)
        while found.into is not None:
            found = await self._look(found.into)
        return found

    async def _look(self, seq: int) -> OpStatus:
        return await self._core.result(self._core.status(placed(seq)))

    async def settled(self, timeout: float | None = None) -> OpStatus:
        """Wait until the write is delivered, in conflict or dead, and return its status.

        Args:
            timeout: Seconds to wait at most, or None for ever. With 0 it is looked at once. A database that does not
                answer takes 5 s more at most.

        Raises:
            TimeoutError: It is still on its way; nothing is lost, ask again.
            LookupError: The write was discarded; `ReceiptPrunedError` when it was settled long ago, or discarded.

        Cancel: only the waiting ends.
        """
        wait = Wait(self._core.clock, timeout)
        async with asyncio.timeout(None if timeout is None else timeout + _ONE_LOOK):
            while not wait.over(status := await self.status()):
                await self._core.clock.asleep(wait.pause())
        return status


class Outbox:
    """Keep writes durably until they are delivered.

    Every method that queues returns after the commit: from then on the write survives the death of the
    process and, with `durability="power"`, a power cut. What is queued is delivered by a
    `outlast.sync_engine.Runner`, in this process or in another. Several processes may queue into one
    file; one of them delivers. Open it with `await Outbox.open(path)`.

    Thread-safe: no; use it from one event loop. `SyncOutbox` serves threads.
    """

    def __init__(self, core: OutboxCore) -> None:
        self.core = core
        self._turn = asyncio.Lock()

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        durability: str = "power",
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = DEFAULT_BUS,
        inside: bool = False,
        coalescing: Coalescing | None = None,
        limits: OutboxLimits | None = None,
        upcasters: Upcasters | None = None,
        codec: BodyCodec | None = None,
        commit_on_loop: bool = True,
    ) -> Self:
        """Open an outbox, and make it if it does not exist.

        Args:
            path: A file, or the address of a PostgreSQL database as `postgresql://user@host/database`, with `?schema=`
                for the schema of the tables there. Default schema: `outlast`.
            durability: `power`: an acknowledged write survives a power cut. `process`: only the death of
                the process. Default `power`.
            clock: Where the time comes from.
            bus: Where events go.
            inside: Whether the file is a database of your own, in which the outbox keeps to tables that begin with
                `outlast_`, so that `enqueue_in` can queue in your transactions. It is put into WAL mode.
            coalescing: Which writes are folded into ones of the same entity that wait and were never sent, so that
                fewer are sent; the tickets follow. Default: none.
            limits: How much may wait, and what is done when that much does. Default: only a body is bounded.
            upcasters: What brings the bodies that an older version of the program has queued into the newest shape.
                Default: nothing; then `schema` only says what a body is.
            codec: What writes bodies into the database and reads them, such as by encrypting them; see `BodyCodec`. It
                is chosen when the outbox is made, and later it must be the same. Default: bodies lie there as they are.
            commit_on_loop: Whether the event loop may commit a few writes by itself, which saves waking two threads. It
                does so only while it has nothing else to do and each of the last 64 flushes took less than 1 ms; the
                first one that takes longer keeps it for that long. Default: it may.

        Raises:
            StorageError: The file cannot be used; the subclasses say why.
            ConfigError: Its bodies were written by another codec, with another key, or without one.

        Cancel: it is closed as soon as it is open.
        """
        make = partial(
            OutboxCore, path, durability=durability, clock=clock, bus=bus, inside=inside, coalescing=coalescing,
            limits=limits, upcasters=upcasters, codec=codec, commit_on_loop=commit_on_loop,
        )  # fmt: skip
        return cls(await _opened(make))

    async def create(self, kind: str, entity: str, body: Any, **options: Any) -> Ticket:
        """Queue the making of an entity; if it exists with other content, that becomes a conflict.

        Args:
            kind: The type of the entity, such as `note`.
            entity: Its id, chosen by you.
            body: What to send: bytes as they are, anything else as JSON.
            **options: `target`, `lane`, `once`, `if_match`, `after` (a ticket or a place), `order`, `expires`, `schema`
                and `base` as for `Write`.

        Raises:
            ConfigError: It is at odds with what waits, such as a second create, or nobody could deliver it.
            OutboxFullError: No room is left by the outbox's `limits`, also after waiting if that is wanted.
            StorageFullError: The disk is full; nothing was queued.

        Cancel: the write is queued whole or not at all.
        """
        write = make_write(Verb.CREATE, kind, entity, body, options)
        return Ticket(self.core, (await self._queue((write,)))[0].seq)

    async def put(self, kind: str, entity: str, body: Any, **options: Any) -> Ticket:
        """Queue the replacing of an entity; with `if_match` it must still be the version that you saw."""
        write = make_write(Verb.PUT, kind, entity, body, options)
        return Ticket(self.core, (await self._queue((write,)))[0].seq)

    async def patch(self, kind: str, entity: str, body: Any, **options: Any) -> Ticket:
        """Queue a JSON merge patch (RFC 7396) of an entity."""
        write = make_write(Verb.PATCH, kind, entity, body, options)
        return Ticket(self.core, (await self._queue((write,)))[0].seq)

    async def delete(self, kind: str, entity: str, **options: Any) -> Ticket:
        """Queue the removing of an entity."""
        write = make_write(Verb.DELETE, kind, entity, None, options)
        return Ticket(self.core, (await self._queue((write,)))[0].seq)

    async def post(self, kind: str, entity: str, body: Any, **options: Any) -> Ticket:
        """Queue a message; it takes effect once only if the server honours the idempotency key."""
        write = make_write(Verb.POST, kind, entity, body, options)
        return Ticket(self.core, (await self._queue((write,)))[0].seq)

    async def enqueue(self, *writes: Write) -> list[Ticket]:
        """Queue writes in one commit: all of them or none.

        Cancel: the writes are queued whole or not at all.
        """
        return [Ticket(self.core, one.seq) for one in await self._queue(writes)]

    def _queue(self, writes: Sequence[Write], *, together: bool = False) -> Awaitable[list[Queued]]:
        if not self.core.limits.counted:
            return self.core.aenqueue(writes, together=together)
        return self._queue_patiently(writes, together=together)

    async def _queue_patiently(self, writes: Sequence[Write], *, together: bool) -> list[Queued]:
        core, patience = self.core, Patience(self.core.limits, self.core.clock.now())
        if not self._turn.locked():
            try:
                return await core.aenqueue(writes, together=together)
            except OutboxFullError as full:
                patience.pause(full, core.clock.now())
        # Only the first of those who wait looks for room, and nobody passes them.
        first = await self._take_turn(patience.left(core.clock.now()))
        try:
            while True:
                try:
                    return await core.aenqueue(writes, together=together)
                except OutboxFullError as full:
                    await core.clock.asleep(patience.pause(full, core.clock.now()))
        finally:
            if first:
                self._turn.release()

    async def _take_turn(self, seconds: float | None) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._turn.acquire()
        except TimeoutError:
            return False

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction[Ticket]]:
        """Queue all that is collected in the block in one commit, to be delivered in that order.

        Raises:
            ConfigError: One of the writes cannot be queued; then none is.

        Cancel: they are queued whole or not at all.
        """
        collected = begin(self.core, Ticket)
        yield collected
        collected.placed(await self._queue(collected.writes(), together=True))

    async def enqueue_in(self, connection: Any, *writes: Write) -> list[Ticket]:
        """Queue writes in the transaction that a connection of yours is in: committed with your rows or not at all.

        The delivery sees them after the commit; until then the tickets know nothing, and no event tells of them.

        Args:
            connection: Of apsw or psycopg, awaited or not, to this outbox's database, inside a transaction. For the
                sqlite3 of Python see `outlast.outbox.enqueue_in`.
            *writes: What to queue; all of a transaction in one call, or two transactions may come into a deadlock.

        Raises:
            ConfigError: It is none of those, leads elsewhere, or has no transaction.
            OutboxFullError: No room is left; nothing was queued, and nobody waits inside a transaction.

        Cancel: what psycopg leaves behind; roll back.
        """
        borrowed, plan = self.core.plan_in(connection, writes)
        return [Ticket(self.core, seq) for seq in await sql.arun(plan, self.core.ways.dialect.text, borrowed.aexecute)]

    def ticket(self, seq: int) -> Ticket:
        """Return the ticket of a write by its place."""
        return Ticket(self.core, seq)

    async def counts(self) -> Counts:
        """Count the writes by what became of them."""
        return await self.core.result(self.core.counts())

    async def list(self, state: OpState | None = None, *, limit: int = 100) -> Sequence[OpStatus]:
        """List writes by place.

        Args:
            state: Only those in this state. Default: all.
            limit: How many at most. Default 100.
        """
        return await self.core.result(self.core.statuses(state, None, limit))

    async def pending(self, kind: str, *, after: int = 0, limit: int | None = None) -> Sequence[Op]:
        """List the writes of a kind that are not delivered yet, oldest first, each with its body.

        Args:
            kind: The type of the entity.
            after: The place of the last write that you have seen, to read large ones in portions. Default 0.
            limit: How many at most, or None for all. Default None.
        """
        return await self.core.result(self.core.pending(kind, after, limit))

    async def conflict(self, seq: int) -> ParkedOp:
        """Show a write that waits for a decision, conflicting or dead, with base, ours and theirs.

        Args:
            seq: Its place.

        Raises:
            LookupError: No such write waits for a decision.
        """
        return pick_parked(await self.core.result(self.core.parked(None, seq, 1)), seq)

    async def conflicts(self, *, limit: int = 100) -> Sequence[ParkedOp]:
        """List the conflict inbox, oldest first.

        Args:
            limit: How many at most. Default 100.
        """
        return await self.core.result(self.core.parked(OpState.CONFLICT, None, limit))

    async def dead(self, *, limit: int = 100) -> Sequence[ParkedOp]:
        """List the dead letters, oldest first.

        Args:
            limit: How many at most. Default 100.
        """
        return await self.core.result(self.core.parked(OpState.DEAD, None, limit))

    async def replay(
        self, seq: int, body: Any = None, *, if_match: str | None = KEEP, schema: int | None = None
    ) -> Ticket:
        """Send a conflicting or dead write again, at its old place.

        A changed request goes under a new key. An unchanged one keeps its key, because an attempt before the one that
        was refused may have taken effect unheard; a server that honours keys does it once. One that has expired goes
        all the same, and expires no more.

        Args:
            seq: Its place.
            body: What to send instead. Default: the same.
            if_match: The version that it is based on now, None to overwrite whatever is there. Default: as it
                was, under which a conflict most likely comes again.
            schema: The version of the shape of the new body, where it is another one than that of the old. `Upcasters`
                start from it. Default: as it was.

        Raises:
            ConfigError: No such write waits for a decision.
        """
        await self.core.result(self.core.replay(seq, body, if_match, schema))
        return Ticket(self.core, seq)

    async def discard(self, seq: int) -> None:
        """Forget a conflicting or dead write.

        Raises:
            ConfigError: No such write waits for a decision.
        """
        await self.core.result(self.core.discard(seq))

    async def prune(self, retention: Retention | None = None) -> Pruned:
        """Forget what is done and no longer to be remembered; a `Runner` does so by itself.

        Args:
            retention: How long it is to be remembered. Default: `Retention()`.

        Cancel: what is forgotten stays so; the rest is left.
        """
        return await aprune(self.core, retention or Retention())

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a listener when this process has changed the outbox; returns how to stop.

        It is called from any thread, that of an event loop too, and must not block.
        """
        return self.core.on_change(listener)

    async def aclose(self) -> None:
        """Finish what is being committed and close the file."""
        self.core.flush()
        await asyncio.to_thread(self.core.database.close)

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        await self.aclose()


async def _opened(make: Callable[[], OutboxCore]) -> OutboxCore:
    """Return what is made in a thread."""
    made: list[OutboxCore] = []
    gone = threading.Event()

    def open_one() -> None:
        made.append(make())
        if gone.is_set():
            made[0].database.close()

    try:
        await asyncio.to_thread(open_one)
    except asyncio.CancelledError:
        gone.set()  # before the look, as the thread looks behind it: one of them closes it
        for core in made:
            core.database.close()
        raise
    return made[0]
