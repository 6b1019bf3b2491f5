"""The outbox without colour: every question and every order as a future of the one database."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar, cast

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.config import check_known
from outlast.engines.bounds import OutboxLimits
from outlast.engines.op import OpState, Verb
from outlast.engines.origin_pause import OriginPause
from outlast.errors import ConfigError, OutboxFullError, ShuttingDownError
from outlast.events import DEFAULT_BUS, EventBus, OpEnqueued, OpFolded
from outlast.outbox import _queries as sql
from outlast.outbox._assist import LoopAssist
from outlast.outbox._enqueue_in import borrow_beside, plan_in
from outlast.outbox._layout import open_database
from outlast.outbox._parked import ParkedOp
from outlast.outbox._records import (
    Changes,
    Claimed,
    Counts,
    Newcomer,
    Op,
    OpStatus,
    Queued,
    Shadow,
    Write,
)
from outlast.outbox._routes import Routes
from outlast.outbox._sizes import check_bodies, size_of
from outlast.outbox._upcasters import Upcasters
from outlast.storage import Borrowed, Failed, Session, require

T = TypeVar("T")

_OPTIONS: Final = ("after", "base", "expires", "if_match", "lane", "once", "order", "schema", "target")
_log = logging.getLogger("outlast.outbox")


class OutboxCore:
    """Hold what the async and the sync face and the delivery loop share. Thread-safe."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: str = "power",
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = DEFAULT_BUS,
        inside: bool = False,
        coalescing: sql.Coalescing | None = None,
        limits: OutboxLimits | None = None,
        upcasters: Upcasters | None = None,
        codec: sql.BodyCodec | None = None,
    ) -> None:
        self.clock = clock
        self.bus = bus
        self.limits = limits or OutboxLimits()
        self.database = open_database(path, durability=durability, inside=inside)
        self.ways = sql.ways_of(self.database.dialect, self.database.sender, sql.Bodies(codec))
        self.name = self.database.name
        try:
            (self._read if codec is None else self._write)(sql.adopt).result()
            self.identity = self._read(sql.identity).result()
        except BaseException:
            self.database.close()
            raise
        self.store_id = str(self.identity)
        """What the keys of new ops begin with."""
        self.upcasters = upcasters or Upcasters()
        self._coalescing = None if coalescing is None else coalescing.within(self.limits.max_body)
        if coalescing is not None:
            self._write(sql.index_lanes).result()
        if self.limits.counted:
            self._write(sql.count_backlog).result()
        self._listeners: list[Callable[[], None]] = []
        self._listeners_lock = threading.Lock()
        self._assist: LoopAssist | None = None
        self.routes = Routes()
        """What carries the writes of each kind in this process, for those who share one runner."""

    async def result(self, future: Future[T]) -> T:
        """Wait on the running event loop for one of the futures below; a busy loop does not starve its thread.

        Cancel: what has not begun is not done; what has begun runs to its end.
        """
        loop = asyncio.get_running_loop()
        if self._assist is None or self._assist.loop is not loop:
            self._assist = LoopAssist(loop)
        return await self._assist.result(future)

    def enqueue(self, writes: Sequence[Write], *, together: bool = False) -> Future[list[Queued]]:
        """Store writes in one commit; the future tells what became of each once that is durable.

        Args:
            writes: The writes.
            together: Whether they are delivered one after the other, none before the one in front of it.

        Raises:
            ConfigError: A body is too large; the future raises what else stands against it.
        """
        check_bodies(self.limits, writes)
        future = self.database.write_item(self._enqueue, sql.Call(writes, self.clock.wall(), together))
        future.add_done_callback(lambda done: self._announce(done, writes))
        return future

    def _enqueue(self, db: Session, calls: Sequence[sql.Call]) -> list[list[Queued]]:
        tables = sql.Tables(db, self.ways)
        coming = sum(size_of(call.writes) for call in calls)
        self.database.check_space(db, coming, self.limits.reserve, self.clock.now())
        if not self.limits.counted:
            return sql.enqueue(tables, calls, self._coalescing)
        found = tables.run(sql.plan_within(self.ways, calls, self._coalescing, self.limits))
        return cast("list[list[Queued]]", [Failed(one) if isinstance(one, OutboxFullError) else one for one in found])

    def plan_in(self, connection: Any, writes: Sequence[Write]) -> tuple[Borrowed, sql.Plan[list[int]]]:
        """Return a caller's connection and the plan that queues writes in its transaction.

        Raises:
            ConfigError: The connection is none of this outbox's database, or has no transaction.
            StorageFullError: The rest of the disk is kept back.
        """
        borrowed = borrow_beside(connection, self.database.dialect)
        self.database.check_space_outside(size_of(writes), self.limits.reserve)
        plan = plan_in(
            self.ways, writes, self.clock.wall(), self.identity, coalescing=self._coalescing, limits=self.limits
        )
        return borrowed, plan

    def _announce(self, done: Future[list[Queued]], writes: Sequence[Write]) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        self.notify()
        if self.bus.wants(OpEnqueued) or self.bus.wants(OpFolded):
            for one, write in zip(done.result(), writes, strict=True):
                self._tell(one, write)

    def _tell(self, queued: Queued, write: Write) -> None:
        about = {"source": self.name, "at": self.clock.now(), "kind": write.kind, "entity": write.entity}
        if queued.how == "queued":
            self.bus.emit(OpEnqueued, **about, seq=queued.seq)
        elif queued.how != "known":
            self.bus.emit(OpFolded, **about, seq=queued.seq, how=queued.how)

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a listener, from any thread, after every change that this process makes; returns how to stop."""
        with self._listeners_lock:
            self._listeners.append(listener)
        return lambda: self._forget(listener)

    def watch(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a listener as `on_change` does, and when another process says that it has changed something.

        The latter is a hint only: SQLite gives none, and a lost connection loses some.
        """
        stops = (self.on_change(listener), self.database.listen(listener))

        def stop() -> None:
            for end in stops:
                end()

        return stop

    def _forget(self, listener: Callable[[], None]) -> None:
        with self._listeners_lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def notify(self) -> None:
        """Tell the listeners that something changed; what one of them raises is logged."""
        with self._listeners_lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            try:
                listener()
            except Exception:  # one listener's mistake must not keep the news from the others
                _log.exception("a listener for changes of %s raised", self.name)

    def _write(self, job: Callable[[sql.Tables], T]) -> Future[T]:
        return self.database.write(lambda db: job(sql.Tables(db, self.ways)))

    def _read(self, job: Callable[[sql.Tables], T]) -> Future[T]:
        try:
            return self.database.read(lambda db: job(sql.Tables(db, self.ways)))
        except RuntimeError as error:  # what a pool says that was shut down
            raise ShuttingDownError(f"{self.name} is closed", operation="read") from error

    def claim(self, fence: int, seqs: Sequence[int], terms: sql.Terms) -> Future[list[sql.Claim]]:
        """Seal and claim ops for one attempt each."""
        wall = self.clock.wall()
        return self._write(lambda db: sql.claim(db, self.identity, fence, seqs, terms=terms, wall=wall))

    def settle(self, fence: int, claimed: Claimed, report: sql.Report) -> Future[None]:
        """Record what became of one attempt, claimed in a term."""
        wall = self.clock.wall()
        return self._write(lambda db: sql.settle(db, fence, claimed, report, wall=wall))

    def pauses(self) -> Future[Mapping[str, OriginPause]]:
        """Return the pauses that origins have asked for, those that are over too."""
        return self._read(sql.pauses)

    def shadow(self, kind: str, entity: str) -> Future[Shadow | None]:
        """Return what an entity held after our own last write of it."""
        return self._read(lambda db: sql.shadow(db, kind, entity))

    def parked(self, state: OpState | None, seq: int | None, limit: int) -> Future[list[ParkedOp]]:
        """List writes that wait for a decision."""
        return self._read(lambda db: sql.parked(db, self.identity, state=state, seq=seq, limit=limit))

    def replay(self, seq: int, body: Any, if_match: str | None, schema: int | None = None) -> Future[None]:
        """Put a parked op back at its place, under a new key if the request is another one."""
        change = sql.Change(body=encode_body(body), if_match=if_match, schema=schema)
        self.limits.check_body("body", change.body)
        return self._changing(self._write(lambda db: sql.replay(db, seq, change)))

    def discard(self, seq: int) -> Future[None]:
        """Forget a parked op."""
        return self._changing(self._write(lambda db: sql.discard(db, seq)))

    def _changing(self, future: Future[None]) -> Future[None]:
        future.add_done_callback(lambda _: self.notify())
        return future

    def step(self, job: Callable[[sql.Tables], T], *, write: bool) -> Future[T]:
        """Run one job of several that belong together, each in a transaction of its own."""
        return self._write(job) if write else self._read(job)

    def status(self, seq: int) -> Future[OpStatus]:
        """Return where the write at a place is."""
        return self._read(lambda db: sql.status(db, seq))

    def counts(self) -> Future[Counts]:
        """Count the ops by state."""
        return self._read(sql.counts)

    def statuses(self, state: OpState | None, seq: int | None, limit: int) -> Future[list[OpStatus]]:
        """List ops."""
        return self._read(lambda db: sql.statuses(db, state, seq, limit))

    def pending(self, kind: str, after: int = 0, limit: int | None = None) -> Future[list[Op]]:
        """List the undelivered ops of a kind, oldest first, in the newest shape that is known."""
        return self._read(lambda db: list(map(self.upcasters.show, sql.pending(db, self.identity, kind, after, limit))))

    def queued(self, after: int) -> Future[list[Newcomer]]:
        """Return every op behind a place."""
        return self._read(lambda db: sql.queued(db, after))

    def changes(self, version: sql.Version, decisions: int, after: int) -> Future[Changes]:
        """Return what is new since a moment and a number of decisions."""
        return self._read(lambda db: sql.changes(db, version, decisions, after))

    def dues(self) -> Future[list[tuple[int, float | None, float]]]:
        """Return (seq, due wall seconds, planned delay) of every op that was sent before."""
        return self._read(sql.dues)

    def parked_lanes(self) -> Future[list[int]]:
        """Return the lanes in which something waits for a decision."""
        return self._read(sql.parked_lanes)

    def decisions(self) -> Future[int]:
        """Return how many parked ops were replayed or discarded so far."""
        return self._read(sql.decisions)

    def once_names(self, prefixes: Sequence[str]) -> Future[list[list[tuple[str, int]]]]:
        """Return, for each prefix, the `once` names that begin with it, each with its place."""
        return self._read(lambda db: sql.once_names(db, prefixes))

    def kinds(self) -> Future[set[str]]:
        """Return the kinds of all writes that the file knows."""
        return self._read(sql.kinds)

    def undelivered(self) -> Future[list[tuple[Verb, str | None]]]:
        """Return what each undelivered write does and where it goes."""
        return self._read(sql.undelivered)

    def data_version(self) -> Future[sql.Version]:
        """Return a moment, which is another one whenever somebody else has committed."""
        return self._read(self.ways.version)


def make_write(verb: Verb, kind: str, entity: str, body: Any, options: Mapping[str, Any]) -> Write:
    """Build a write; a body that is not bytes is encoded as JSON.

    Raises:
        ConfigError: The body cannot be written as JSON, or an option is unknown.
    """
    check_known(
        options, ("after", "base", "expires", "if_match", "lane", "once", "order", "schema", "target"), path=verb.value
    )
    fields: dict[str, Any] = {
        **options,
        "base": encode_body(options.get("base")),
        "after": getattr(options.get("after"), "seq", options.get("after")),  # a ticket or its place
    }
    return Write(verb=verb, kind=kind, entity=entity, body=encode_body(body), **fields)


def encode_body(body: Any) -> bytes | None:
    """Return bytes as they are, None as None, and anything else as JSON.

    Raises:
        ConfigError: It cannot be written as JSON, or only with NaN turned into null.
    """
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, bytearray | memoryview):
        return bytes(cast("bytes", body))
    msgspec = require("msgspec", extra="store", purpose="the outbox")
    try:
        encoded = bytes(msgspec.json.encode(body))
        # It writes NaN as null, and in a merge patch null deletes.
        faithful = b"null" not in encoded or not _has_no_number(msgspec.to_builtins(body))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"the body cannot be written as JSON: {error}", path="body") from error
    if not faithful:
        raise ConfigError("the body cannot be written as JSON: NaN and infinity are no JSON numbers", path="body")
    return encoded


def _has_no_number(value: Any) -> bool:
    match value:
        case float():
            return not math.isfinite(value)
        case dict():
            return any(map(_has_no_number, cast("Mapping[Any, Any]", value).values()))
        case list() | tuple():
            return any(map(_has_no_number, cast("Sequence[Any]", value)))
        case _:
            return False
