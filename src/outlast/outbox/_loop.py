"""The claim-send-settle loop: send what was claimed, and have recorded what came back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from outlast.clock import SYSTEM_RANDOM, Random
from outlast.engines.delivery import Course
from outlast.engines.op import Answer, DeliveryPolicy
from outlast.errors import AuthenticationError, LeaseLostError, OutlastError
from outlast.events import OpSent
from outlast.outbox._accounts import Accounts
from outlast.outbox._claimer import Claimer
from outlast.outbox._core import OutboxCore
from outlast.outbox._flight import Flight
from outlast.outbox._gates import Gates
from outlast.outbox._judge import Judge, Judged, Reconcile, whole
from outlast.outbox._lanes import LaneIndex
from outlast.outbox._lease import ProcessingLease
from outlast.outbox._recorder import LoopStats, Recorder, patiently
from outlast.outbox._records import Claimed, Term
from outlast.outbox._routes import BeforeSettle, Routes

_POLL_EVERY: Final = 0.25
# After so many looks without anything to send (10 s) it looks half as often.
_QUIET_AFTER: Final = 40
_log = logging.getLogger("outlast.outbox")


class DeliveryLoop:
    """Deliver the ops of one outbox, each lane in order, many lanes at once.

    Args:
        core: The outbox.
        routes: What carries the ops of each kind; those of other kinds are left alone.
        lease: The right to deliver; held by the caller for as long as the loop runs.
        policy: Backoff, budgets and limits.
        concurrency: How many requests at once, >= 1.
        park_lanes: Whether a conflicting or dead op holds back the later ones of its lane.
        before_settle: Told of every outcome before it is recorded.
        reconcile: What settles conflicts. Default: they go to the inbox.
        random: Where jitter comes from.
    """

    def __init__(
        self,
        core: OutboxCore,
        routes: Routes,
        lease: ProcessingLease,
        *,
        policy: DeliveryPolicy,
        concurrency: int,
        park_lanes: bool = True,
        before_settle: BeforeSettle | None = None,
        reconcile: Reconcile | None = None,
        random: Random = SYSTEM_RANDOM,
    ) -> None:
        self._core = core
        self._routes = routes
        self._lease = lease
        self._policy = policy
        self._concurrency = concurrency
        self._park_lanes = park_lanes
        self.gates = Gates(routes, core.clock, core.bus)
        self._accounts = Accounts(self._failed, self._changed)
        self._judge = Judge(policy, reconcile, core.clock, random, lambda: Term(core.store_id, lease.fence))
        self._recorder = Recorder(
            core, lease, self.gates, self._accounts, park_lanes=park_lanes, before_settle=before_settle
        )
        self._claimer = Claimer(
            core, routes, lease, gates=self.gates, accounts=self._accounts, judge=self._judge,
            recorder=self._recorder, policy=policy,
        )  # fmt: skip
        self._turns = asyncio.Semaphore(concurrency)
        self._flying: dict[asyncio.Task[None], Flight] = {}
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle
        self._looks_for_nothing = 0
        self._dirty = True
        self._seen_version: int | str = 0
        self._seen_decisions = 0
        self._seen_routes = routes.version
        self._failures: list[BaseException] = []
        self._unsaid: dict[int, Claimed] = {}
        """Claims of flights that have ended without a word of them, by place."""

    @property
    def stats(self) -> LoopStats:
        """Return what was done since the loop was made."""
        return self._recorder.stats

    @property
    def _lanes(self) -> LaneIndex:
        return self._recorder.lanes

    async def load(self) -> None:
        """Read what waits; what a dead process had on the wire is due at once, and suspected of its death."""
        core, now = self._core, self._core.clock.now()
        self._seen_version = 0
        self._claimer.forget()
        self._seen_decisions = await patiently(core, core.decisions)
        self._recorder.lanes = await patiently(core, core.lanes)
        wall = core.clock.wall()
        for seq, due, delay in await patiently(core, core.dues):
            if seq not in self._lanes:
                continue
            if due is None:
                self._claimer.suspects.add(seq)
            else:
                # The planned delay bounds the wait, so that a clock set back cannot stretch it.
                self._lanes.postpone(seq, now + min(max(0.0, due - wall), delay), patient=False)
        self.gates.restore(await patiently(core, core.pauses))
        if self._park_lanes:
            for lane in await patiently(core, core.parked_lanes):
                self._lanes.hold(lane)

    async def run(self, *, until_idle: bool) -> None:
        """Deliver until nothing is left that could be, or for ever.

        Raises:
            LeaseLostError: Another process has taken over.
            AuthenticationError: The server refuses the credentials.

        Cancel: requests on the wire are left to `drain`; whatever they did is found out at the next start.
        """
        loop = asyncio.get_running_loop()
        stop = self._core.watch(lambda: _wake(loop, self._changed))
        self._failures.clear()
        for flight in self._flying.values():
            flight.earlier = True
        try:
            self._dirty = True
            while True:
                looked = self._core.database.moved() or self._dirty or self._seen_routes != self._routes.version
                if looked:
                    await self._refresh()
                self._check()
                if self._lanes.doubted:
                    await self._forget_absent()
                await self._launch()
                if until_idle and not self._flying and not self._lanes.deliverable and not self._dirty:
                    if looked:
                        return
                    self._changed()  # a last look before it ends
                await self._pause()
        finally:
            stop()

    def _changed(self) -> None:
        self._dirty = True
        self._wake.set()

    def _failed(self, error: BaseException) -> None:
        self._failures.append(error)
        self._wake.set()

    def _check(self) -> None:
        if self._failures:
            raise self._failures[0]
        self._check_lease()

    def _check_lease(self) -> None:
        if not self._lease.held:
            raise LeaseLostError("this process could not keep its lease and has stopped sending", operation="deliver")

    async def _refresh(self) -> None:
        self._dirty = False
        # What lands while the file is read may still stand in what was read; it must not come back by that.
        landed, delivered = self._recorder.landed, self._recorder.delivered
        landed.clear()
        delivered.clear()
        self._recorder.parked = False
        held = self._lanes.held if self._park_lanes else set[int]()
        changes = await patiently(
            self._core, lambda: self._core.changes(self._seen_version, self._seen_decisions, self._lanes.last_seq)
        )
        self._seen_version, self._seen_decisions = changes.version, changes.decisions
        for seq, lane, after, passable in changes.queued:
            if seq not in landed:
                self._lanes.add(seq, lane, None if after in delivered else after, passable=passable)
        if changes.parked is not None:
            for lane in held - changes.parked:
                self._lanes.free(lane)
            if self._recorder.parked:
                # The decision may have been about what was parked only now: look once more.
                self._seen_decisions, self._dirty = -1, True
        if self._seen_routes != self._routes.version:
            self._seen_routes = self._routes.version
            self._claimer.free_foreign()

    async def _forget_absent(self) -> None:
        """Let nothing wait behind what was annihilated before its turn: nobody else would find out."""
        places = sorted(self._lanes.doubted)
        for seq in await patiently(self._core, lambda: self._core.absent(places)):
            if seq in self._lanes:
                self._lanes.remove(seq)
        self._lanes.doubted.difference_update(places)

    async def _launch(self) -> None:
        if self.gates.recovered():
            self._lanes.hurry()
        again = True
        while again:
            room = self._room()
            if room < 1:
                return
            flights, again = await self._claimer.claim(room, alone=not self._flying)
            if flights:
                self._looks_for_nothing = 0
            for flight in flights:
                task = asyncio.create_task(self._fly(flight))
                self._flying[task] = flight
                task.add_done_callback(partial(self._landed, flight))

    async def _fly(self, flight: Flight) -> None:
        async with self._turns:
            for group in flight.groups:
                await self._deliver(flight, group)

    async def _deliver(self, flight: Flight, group: list[Claimed]) -> None:
        route, version = flight.route, self._accounts.version(flight.route)
        for claimed in group if self._core.bus.wants(OpSent) else ():
            if claimed.course is Course.SEND:
                self._recorder.emit(OpSent, claimed.op, attempt=claimed.attempt, key=claimed.op.key)
        # A process that was frozen after its claim finds out here, before a byte leaves.
        self._check_lease()
        self.stats.sent += 1
        gate = self.gates.of(route)

        def told(answer: Answer) -> None:
            gate.judge(flight.permit, answer)

        if len(group) == 1:
            (claimed,) = group
            await self._record(flight, [await self._judge.carry(route, claimed, told)], version)
            return
        answers = await self._judge.carry_batch(route, group)
        told(whole(answers))
        found = self._judge.at_once(group, answers)
        await self._record(flight, found, version)
        for claimed in group if len(found) < len(group) else ():
            if claimed.op.seq in flight.open:
                judged = await self._judge.judge(route, claimed, answers[claimed.op.seq])
                await self._record(flight, [judged], version)

    async def _record(self, flight: Flight, found: Sequence[Judged], version: int) -> None:
        # Whatever follows: these ops have not killed the process while they were on the wire.
        if self._claimer.suspects:
            self._claimer.suspects.difference_update(judged.claimed.op.seq for judged in found)
        await self._recorder.record(flight.route, found, version, flight.landed)
        for judged in found if self._unsaid else ():
            self._unsaid.pop(judged.claimed.op.seq, None)

    def _landed(self, flight: Flight, task: asyncio.Task[None]) -> None:
        del self._flying[task]
        # A task that was cut or failed leaves no slot and no lane behind; a permit that was judged stays so.
        flight.permit.ignore()
        self._unsaid.update(flight.open)
        for seq in flight.open:
            self._lanes.give_back(seq)
        error = _cut_short(task) if task.cancelled() else task.exception()
        # What an earlier run has sent says nothing about the credentials of this one.
        if error is not None and not (flight.earlier and isinstance(error, AuthenticationError)):
            self._failures.append(error)
        self._wake.set()

    async def _pause(self) -> None:
        """Sleep until there is something to do; a timer looks for that, which costs half of waking a task."""
        self._look_later()
        try:
            await self._wake.wait()
        finally:
            self._timer.cancel()
        self._wake.clear()

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._look_in(), self._look)

    def _look(self) -> None:
        try:
            if not self._stirs():
                self._looks_for_nothing += 1
                self._look_later()
                return
        except Exception:  # whoever is woken meets it again, and is told
            _log.exception("looking for something to deliver from %s failed", self._core.name)
        self._wake.set()

    def _look_in(self) -> float:
        due = self._lanes.next_due() if self._room() > 0 else None
        poll = _POLL_EVERY if self._looks_for_nothing < _QUIET_AFTER else 2 * _POLL_EVERY
        left = poll if due is None else max(0.0, due - self._core.clock.now())
        return min(poll, self.gates.closed_for() or poll, left)

    def _stirs(self) -> bool:
        """Tell whether something has happened that nobody has told of, or the time of something has come."""
        self._dirty = self._core.database.moved() or self._dirty
        self._hurry()
        if self._dirty or self._seen_routes != self._routes.version or not self._lease.held:
            return True
        return self._room() > 0 and self._lanes.any_ready(self._core.clock.now())

    def _hurry(self) -> None:
        if self.gates.recovered():
            self._lanes.hurry()

    def _room(self) -> int:
        """Return how many flights more there may be now."""
        alone = any(flight.alone for flight in self._flying.values())
        return 0 if alone else self._concurrency - len(self._flying)

    def next_try_in(self) -> float:
        """Return the seconds until something that waits may be sent again, 0 when that is now."""
        due = self._lanes.next_due()
        wait = 0.0 if due is None else due - self._core.clock.now()
        return max(0.0, wait, self.gates.closed_for())

    async def drain(self, seconds: float) -> None:
        """Wait for the requests on the wire, then cut those that take longer.

        Args:
            seconds: How long to wait at most.

        Cancel: the rest is cut at once.
        """
        try:
            if self._flying:
                await asyncio.wait(self._flying, timeout=seconds)
        finally:
            tasks = list(self._flying)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._accounts.aclose()
            await self._release()

    async def _release(self) -> None:
        """Say of what was cut, or failed, that it did not kill this process; one that cannot say so is suspected."""
        cut, self._unsaid = self._unsaid, {}
        # Also when the lease could not be kept: whoever has taken it since is known by his fence, and it is refused.
        for order in [self._recorder.release(claimed) for claimed in cut.values()]:
            with contextlib.suppress(OutlastError):
                await self._core.result(order)


def _cut_short(task: asyncio.Task[None]) -> OutlastError | None:
    """Return what stands for a cancellation that nobody here has asked for, or it would be tried again without end."""
    if task.cancelling():
        return None
    return OutlastError("a resolver or before_settle gave up: something that it waited for was cancelled")


def _wake(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closing; whoever comes next reads the file
        loop.call_soon_threadsafe(callback)
