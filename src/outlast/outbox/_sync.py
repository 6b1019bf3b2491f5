"""The blocking face of the outbox, over the same core."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

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
from outlast.outbox._retention import Pruned, Retention, prune
from outlast.outbox._ticket import TicketCore, Wait, pick_parked, placed
from outlast.outbox._transaction import Transaction, begin
from outlast.outbox._upcasters import Upcasters
from outlast.outbox._write import Write


class SyncTicket(TicketCore):
    """Follow one queued write from blocking code."""

    def status(self) -> OpStatus:
        """Return where the write is now."""
        found = self._look(self.seq)
        while found.into is not None:
            found = self._look(found.into)
        return found

    def _look(self, seq: int) -> OpStatus:
        return self._core.status(placed(seq)).result()

    def settled(self, timeout: float | None = None) -> OpStatus:
        """Wait until the write is delivered, in conflict or dead; see `Ticket.settled`."""
        wait = Wait(self._core.clock, timeout)
        while not wait.over(status := self.status()):
            self._core.clock.sleep(wait.pause())
        return status


class SyncOutbox:
    """Keep writes durably until they are delivered, for blocking code.

    The same methods as `Outbox`. Thread-safe: yes; threads that queue at the same time share a commit. Not to be
    called by the handler of a signal: what it interrupts may be a write of the same thread.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with SyncOutbox.open(pathlib.Path(folder) / "app.db") as box:
    ...         ticket = box.create("note", "n1", {"text": "buy milk"})
    ...         print(ticket.status().state.value, box.counts().ready)
    ready 1
    """

    def __init__(self, core: OutboxCore) -> None:
        self.core = core
        self._turn = threading.Lock()

    @classmethod
    def open(
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
    ) -> Self:
        """Open an outbox; see `Outbox.open`."""
        return cls(
            OutboxCore(
                path,
                durability=durability,
                clock=clock,
                bus=bus,
                inside=inside,
                coalescing=coalescing,
                limits=limits,
                upcasters=upcasters,
                codec=codec,
            )
        )

    def create(self, kind: str, entity: str, body: Any, **options: Any) -> SyncTicket:
        """Queue the making of an entity; see `Outbox.create`."""
        return self._one(Verb.CREATE, kind, entity, body, options)

    def put(self, kind: str, entity: str, body: Any, **options: Any) -> SyncTicket:
        """Queue the replacing of an entity."""
        return self._one(Verb.PUT, kind, entity, body, options)

    def patch(self, kind: str, entity: str, body: Any, **options: Any) -> SyncTicket:
        """Queue a JSON merge patch of an entity."""
        return self._one(Verb.PATCH, kind, entity, body, options)

    def delete(self, kind: str, entity: str, **options: Any) -> SyncTicket:
        """Queue the removing of an entity."""
        return self._one(Verb.DELETE, kind, entity, None, options)

    def post(self, kind: str, entity: str, body: Any, **options: Any) -> SyncTicket:
        """Queue a message; see `Outbox.post`."""
        return self._one(Verb.POST, kind, entity, body, options)

    def _one(self, verb: Verb, kind: str, entity: str, body: Any, options: dict[str, Any]) -> SyncTicket:
        return self.enqueue(make_write(verb, kind, entity, body, options))[0]

    def enqueue(self, *writes: Write) -> list[SyncTicket]:
        """Queue writes in one commit: all of them or none."""
        return [SyncTicket(self.core, one.seq) for one in self._queue(writes)]

    def _queue(self, writes: Sequence[Write], *, together: bool = False) -> list[Queued]:
        core, patience = self.core, Patience(self.core.limits, self.core.clock.now())
        if not self._turn.locked():
            try:
                return core.store(writes, together=together)
            except OutboxFullError as full:
                patience.pause(full, core.clock.now())
        seconds = patience.left(core.clock.now())
        first = self._turn.acquire(timeout=-1 if seconds is None else seconds)
        try:
            while True:
                try:
                    return core.store(writes, together=together)
                except OutboxFullError as full:
                    core.clock.sleep(patience.pause(full, core.clock.now()))
        finally:
            if first:
                self._turn.release()

    @contextmanager
    def transaction(self) -> Generator[Transaction[SyncTicket]]:
        """Queue all that is collected in the block in one commit; see `Outbox.transaction`."""
        collected = begin(self.core, SyncTicket)
        yield collected
        collected.placed(self._queue(collected.writes(), together=True))

    def enqueue_in(self, connection: Any, *writes: Write) -> list[SyncTicket]:
        """Queue writes in the transaction that a connection of yours is in; see `Outbox.enqueue_in`."""
        borrowed, plan = self.core.plan_in(connection, writes)
        return [SyncTicket(self.core, seq) for seq in sql.run(plan, self.core.ways.dialect.text, borrowed.execute)]

    def ticket(self, seq: int) -> SyncTicket:
        """Return the ticket of a write by its place."""
        return SyncTicket(self.core, seq)

    def counts(self) -> Counts:
        """Count the writes by what became of them."""
        return self.core.counts().result()

    def list(self, state: OpState | None = None, *, limit: int = 100) -> Sequence[OpStatus]:
        """List writes by place; see `Outbox.list`."""
        return self.core.statuses(state, None, limit).result()

    def pending(self, kind: str, *, after: int = 0, limit: int | None = None) -> Sequence[Op]:
        """List the writes of a kind that are not delivered yet, oldest first; see `Outbox.pending`."""
        return self.core.pending(kind, after, limit).result()

    def conflict(self, seq: int) -> ParkedOp:
        """Show a write that waits for a decision; see `Outbox.conflict`."""
        return pick_parked(self.core.parked(None, seq, 1).result(), seq)

    def conflicts(self, *, limit: int = 100) -> Sequence[ParkedOp]:
        """List the conflict inbox, oldest first."""
        return self.core.parked(OpState.CONFLICT, None, limit).result()

    def dead(self, *, limit: int = 100) -> Sequence[ParkedOp]:
        """List the dead letters, oldest first."""
        return self.core.parked(OpState.DEAD, None, limit).result()

    def replay(
        self, seq: int, body: Any = None, *, if_match: str | None = KEEP, schema: int | None = None
    ) -> SyncTicket:
        """Send a conflicting or dead write again; see `Outbox.replay`."""
        self.core.replay(seq, body, if_match, schema).result()
        return SyncTicket(self.core, seq)

    def discard(self, seq: int) -> None:
        """Forget a conflicting or dead write."""
        self.core.discard(seq).result()

    def prune(self, retention: Retention | None = None) -> Pruned:
        """Forget what is done and no longer to be remembered; see `Outbox.prune`."""
        return prune(self.core, retention or Retention())

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a listener when this process has changed the outbox; returns how to stop.

        It is called from any thread, that of an event loop too, and must not block.
        """
        return self.core.on_change(listener)

    def close(self) -> None:
        """Finish what is being committed and close the file."""
        self.core.database.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()
