"""The outbox without colour: every question and every order as a future of the one database."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar, cast

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.engines.bounds import OutboxLimits
from outlast.engines.op import OpState, Verb
from outlast.engines.origin_pause import OriginPause
from outlast.errors import OutboxFullError
from outlast.events import DEFAULT_BUS, EventBus, OpEnqueued, OpFolded
from outlast.outbox import _queries as sql
from outlast.outbox._assist import LoopAssist
from outlast.outbox._enqueue_in import borrow_beside, plan_in, whole
from outlast.outbox._lanes import LaneIndex
from outlast.outbox._layout import open_database
from outlast.outbox._make_write import encode_body
from outlast.outbox._parked import ParkedOp
from outlast.outbox._records import (
    Changes,
    Claimed,
    Counts,
    Op,
    OpContent,
    OpStatus,
    PendingDiff,
    Queued,
    Shadow,
)
from outlast.outbox._routes import Routes
from outlast.outbox._sizes import check_bodies, size_of
from outlast.outbox._tick_list import Then, TickList, Waiting, still_wanted
from outlast.outbox._upcasters import Upcasters
from outlast.outbox._write import Write
from outlast.storage import Batch, Borrowed, Failed, Session

T = TypeVar("T")

_FEW, _LITTLE = 32, 64 << 10
"""Writes, and bytes of bodies, that take no longer to store than a flush."""
_log = logging.getLogger("outlast.outbox")


class _LoopSide(NamedTuple):
    """Hold what one event loop has of an outbox."""

    loop: asyncio.AbstractEventLoop
    assist: LoopAssist
    calls: TickList[sql.Call, list[Queued]]
    settlements: TickList[sql.Settlement, None]


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
        commit_on_loop: bool = True,
    ) -> None:
        self.clock = clock
        self.bus = bus
        self.limits = limits or OutboxLimits()
        self._commit_on_loop = commit_on_loop
        self.database = open_database(path, durability=durability, inside=inside)
        self.ways = sql.ways_of(self.database.dialect, self.database.sender, sql.Bodies(codec))
        self.name = self.database.name
        try:
            (self._read if codec is None else self._write)(sql.adopt).result()
            self.identity = self._read(sql.identity).result()
            if coalescing is not None:
                self._write(sql.index_lanes).result()
            if self.limits.counted:
                self._write(sql.count_backlog).result()
        except BaseException:
            self.database.close()
            raise
        self.store_id = str(self.identity)
        """What the keys of new ops begin with."""
        self.upcasters = upcasters or Upcasters()
        self._coalescing = None if coalescing is None else coalescing.within(self.limits.max_body)
        self._listeners: list[Callable[[], None]] = []
        self._listeners_lock = threading.Lock()
        self._side: _LoopSide | None = None
        self.routes = Routes()
        """What carries the writes of each kind in this process, for those who share one runner."""

    async def result(self, future: Future[T]) -> T:
        """Wait on the running event loop for one of the futures below; a busy loop does not starve its thread.

        Cancel: what has not begun is not done; what has begun runs to its end.
        """
        return await self._here().assist.result(future)

    def _here(self) -> _LoopSide:
        loop, side = asyncio.get_running_loop(), self._side
        if side is None or side.loop is not loop:
            assist = LoopAssist(loop)
            calls = TickList(assist, self._hand_over, self._in_a_moment)
            side = self._side = _LoopSide(loop, assist, calls, TickList(assist, self._hand_over_settlements))
        return side

    def store(self, writes: Sequence[Write], *, together: bool = False) -> list[Queued]:
        """Store writes in one commit and tell what became of each; a thread that comes alone makes the commit itself.

        Args:
            writes: The writes.
            together: Whether they are delivered one after the other, none before the one in front of it.

        Raises:
            ConfigError: A body is too large, or a write is at odds with what waits.
            OutboxFullError: There is no room left by the limits.
        """
        check_bodies(self.limits, writes)
        calls: list[Waiting[sql.Call, list[Queued]]] = [(sql.Call(writes, self.clock.wall(), together), None)]
        outcomes = self._at_once(calls)
        if outcomes is None:
            # A future has a lock of its own, which the writer would wait for if a signal's handler left it taken.
            landed: list[list[Queued] | Failed] = []
            self._hand_over(calls, landed.extend).wait()
            outcomes = landed
        (outcome,) = outcomes
        if isinstance(outcome, Failed):
            raise outcome.error
        return outcome

    def aenqueue(self, writes: Sequence[Write], *, together: bool = False) -> asyncio.Future[list[Queued]]:
        """Store writes as `store` does, for a task of the running event loop; see `TickList`."""
        check_bodies(self.limits, writes)
        return self._here().calls.put(sql.Call(writes, self.clock.wall(), together))

    def flush(self) -> None:
        """Hand over at once what the tasks of the running loop have asked for in this turn of it."""
        side = self._side
        if side is not None and side.loop is asyncio.get_running_loop():
            side.calls.flush()

    def _hand_over(
        self, calls: Sequence[Waiting[sql.Call, list[Queued]]], then: Then[list[Queued]]
    ) -> Batch[list[Queued]]:
        def landed(outcomes: Sequence[list[Queued] | Failed]) -> None:
            try:
                self._announce([call for call, _ in calls], outcomes)
            finally:
                then(outcomes)

        return self.database.write_items(self._enqueue, calls, landed)

    def _in_a_moment(self, calls: Sequence[Waiting[sql.Call, list[Queued]]]) -> Sequence[list[Queued] | Failed] | None:
        """Store what takes no longer than the loop may be kept; None, and nothing is done, where it would."""
        if not (self._commit_on_loop and self.database.quick) or len(calls) > _FEW:
            return None
        writes = [write for call, _ in calls for write in call.writes]
        return self._at_once(calls) if len(writes) <= _FEW and size_of(writes) <= _LITTLE else None

    def _at_once(self, calls: Sequence[Waiting[sql.Call, list[Queued]]]) -> Sequence[list[Queued] | Failed] | None:
        outcomes = self.database.write_at_once(self._enqueue, calls)
        if outcomes is not None:
            self._announce([call for call, _ in calls], outcomes)
        return outcomes

    def _enqueue(self, db: Session, calls: Sequence[Waiting[sql.Call, list[Queued]]]) -> list[list[Queued]]:
        return still_wanted(calls, lambda wanted: self._store(db, wanted))

    def _store(self, db: Session, calls: Sequence[sql.Call]) -> list[list[Queued]]:
        tables = sql.Tables(db, self.ways)
        coming = size_of([write for call in calls for write in call.writes])
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
        return borrowed, whole(borrowed, plan)

    def _announce(self, calls: Sequence[sql.Call], outcomes: Sequence[list[Queued] | Failed]) -> None:
        if any(isinstance(outcome, list) for outcome in outcomes):
            self.notify()
        if self.bus.wants(OpEnqueued) or self.bus.wants(OpFolded):
            for call, outcome in zip(calls, outcomes, strict=True):
                if isinstance(outcome, list):
                    for one, write in zip(outcome, call.writes, strict=True):
                        self._tell(one, write)

    def _tell(self, queued: Queued, write: Write) -> None:
        about = {"source": self.name, "at": self.clock.now(), "kind": write.kind, "entity": write.entity}
        if queued.how == "queued":
            self.bus.emit(OpEnqueued, **about, seq=queued.seq)
        elif queued.how != "known":
            self.bus.emit(OpFolded, **about, seq=queued.seq, how=queued.how, removed=queued.removed)

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
        return self.database.read(lambda db: job(sql.Tables(db, self.ways)))

    def claim(self, fence: int, seqs: Sequence[int], terms: sql.Terms) -> Future[list[sql.Claim]]:
        """Seal and claim ops for one attempt each."""
        wall = self.clock.wall()
        return self._write(lambda db: sql.claim(db, self.identity, fence, seqs, terms=terms, wall=wall))

    def settle(self, fence: int, claimed: Claimed, report: sql.Report) -> Future[None]:
        """Record what became of one attempt, claimed in a term."""
        settlement = sql.Settlement(fence, [(claimed, report)], self.clock.wall())
        return self.database.write_item(self._settle, (settlement, None))

    def asettle(self, fence: int, found: Sequence[tuple[Claimed, sql.Report]]) -> asyncio.Future[None]:
        """Record what became of attempts, all of them or none, for a task of the running event loop; see `TickList`."""
        return self._here().settlements.put(sql.Settlement(fence, found, self.clock.wall()))

    def _hand_over_settlements(self, waiting: Sequence[Waiting[sql.Settlement, None]], then: Then[None]) -> Batch[None]:
        return self.database.write_items(self._settle, waiting, then)

    def _settle(self, db: Session, waiting: Sequence[Waiting[sql.Settlement, None]]) -> list[None]:
        def job(wanted: list[sql.Settlement]) -> list[None]:
            sql.settle(sql.Tables(db, self.ways), wanted)
            return [None] * len(wanted)

        return still_wanted(waiting, job)

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
        wall = self.clock.wall()
        return self._changing(self._write(lambda db: sql.replay(db, seq, change, wall)))

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

    def diff_pending(
        self, kind: str, contents: Mapping[int, OpContent], places: Collection[int]
    ) -> Future[PendingDiff]:
        """Compare the undelivered ops of a kind with what somebody knows of them."""

        def diff(db: sql.Tables) -> PendingDiff:
            found = sql.diff_pending(db, self.identity, kind, contents, places)
            return found._replace(changed=list(map(self.upcasters.show, found.changed)))

        return self._read(diff)

    def lanes(self) -> Future[LaneIndex]:
        """Return an index of all that waits, made in the reader's thread."""
        return self._read(lambda db: LaneIndex.of(sql.queued(db)))

    def changes(self, version: sql.Version, decisions: int, after: int) -> Future[Changes]:
        """Return what is new since a moment and a number of decisions."""
        return self._read(lambda db: sql.changes(db, version, decisions, after))

    def absent(self, places: Sequence[int]) -> Future[list[int]]:
        """Return the places at which nothing waits any more."""
        return self._read(lambda db: sql.absent(db, places))

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
