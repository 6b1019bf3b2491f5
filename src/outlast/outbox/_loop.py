"""The claim-send-settle loop: take what may go, send it, record what came back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from outlast.clock import SYSTEM_RANDOM, Random
from outlast.engines.op import (
    Answer,
    AskCredentials,
    Busy,
    Compare,
    Conflict,
    Deliver,
    DeliveryPolicy,
    Die,
    InDoubt,
    NotApplied,
    Postpone,
    ReadBack,
    Step,
    Unreadable,
    compare,
    settle,
)
from outlast.errors import AuthenticationError, LeaseLostError
from outlast.events import OpConflicted, OpDelivered, OpDied, OpEvent, OpPostponed, OpSent, OriginPaused
from outlast.outbox._core import OutboxCore
from outlast.outbox._gate import OriginGate
from outlast.outbox._lanes import LaneIndex
from outlast.outbox._lease import ProcessingLease
from outlast.outbox._records import Claimed, Op, Unsendable, Withdrawn
from outlast.outbox._transport import Transport
from outlast.policies import BreakerPermit

_POLL_EVERY = 0.25

BeforeSettle = Callable[[Op, Step], Awaitable[None]]
"""Called with an op and what will be recorded of it, before the commit; after a crash it may be called again."""


@dataclass(slots=True)
class LoopStats:
    """Count what a loop has done since it started.

    Args:
        sent: Requests sent.
        delivered: Ops recorded as delivered.
        postponed: Attempts that settled nothing.
        last_progress: Monotonic seconds at which the server last answered something of use.
        trouble: What the last attempt that settled nothing ran into, empty when the last one did not.
    """

    sent: int = 0
    delivered: int = 0
    postponed: int = 0
    last_progress: float = 0.0
    trouble: str = ""


class DeliveryLoop:
    """Deliver the ops of one outbox through one transport, each lane in order, many lanes at once.

    Args:
        core: The outbox.
        transport: What carries an op.
        lease: The right to deliver; held by the caller for as long as the loop runs.
        gate: What holds back a failing origin.
        policy: Backoff and limits.
        concurrency: How many requests at once, >= 1.
        park_lanes: Whether a conflicting or dead op holds back the later ones of its lane.
        before_settle: Told of every outcome before it is recorded.
        random: Where jitter comes from.
    """

    def __init__(
        self,
        core: OutboxCore,
        transport: Transport,
        lease: ProcessingLease,
        gate: OriginGate,
        *,
        policy: DeliveryPolicy,
        concurrency: int,
        park_lanes: bool = True,
        before_settle: BeforeSettle | None = None,
        random: Random = SYSTEM_RANDOM,
    ) -> None:
        self._core = core
        self._transport = transport
        self._lease = lease
        self._gate = gate
        self._policy = policy
        self._concurrency = concurrency
        self._park_lanes = park_lanes
        self._before_settle = before_settle
        self._random = random
        self._lanes = LaneIndex()
        self._flying: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._dirty = True
        self._seen_version: int | str = 0
        self._seen_decisions = 0
        self._landed_meanwhile: set[int] = set()
        self._delivered_meanwhile: set[int] = set()
        self._parked_meanwhile = False
        self._failures: list[BaseException] = []
        self.stats = LoopStats(last_progress=core.clock.now())

    async def load(self) -> None:
        """Read what waits; what a dead process had on the wire is due at once."""
        core, now = self._core, self._core.clock.now()
        self._lanes, self._seen_version = LaneIndex(), 0
        self._seen_decisions = await core.result(core.decisions())
        for seq, lane, after, passable in await core.result(core.queued(0)):
            self._lanes.add(seq, lane, after, passable=passable)
        wall = core.clock.wall()
        for seq, due, delay in await core.result(core.dues()):
            if due is not None and seq in self._lanes:
                # The planned delay bounds the wait, so that a clock set back cannot stretch it.
                self._lanes.postpone(seq, now + min(max(0.0, due - wall), delay), patient=False)
        if self._park_lanes:
            for lane in await core.result(core.parked_lanes()):
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
        # A request that was sent before has failed before: it says nothing about the credentials of this run.
        self._failures = []
        try:
            while True:
                await self._refresh()
                self._check()
                await self._launch()
                if until_idle and not self._flying and not self._lanes.deliverable and not self._dirty:
                    return
                await self._pause()
        finally:
            stop()

    def _changed(self) -> None:
        self._dirty = True
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
        self._landed_meanwhile.clear()
        self._delivered_meanwhile.clear()
        self._parked_meanwhile = False
        held = self._lanes.held if self._park_lanes else set[int]()
        changes = await self._core.result(
            self._core.changes(self._seen_version, self._seen_decisions, self._lanes.last_seq)
        )
        self._seen_version, self._seen_decisions = changes.version, changes.decisions
        for seq, lane, after, passable in changes.queued:
            if seq not in self._landed_meanwhile:
                self._lanes.add(seq, lane, None if after in self._delivered_meanwhile else after, passable=passable)
        if changes.parked is not None:
            for lane in held - changes.parked:
                self._lanes.free(lane)
            if self._parked_meanwhile:
                # The decision may have been about what was parked only now: look once more.
                self._seen_decisions, self._dirty = -1, True

    async def _launch(self) -> None:
        if self._gate.recovered():
            self._lanes.hurry()
        permits = self._gate.permits(min(self._concurrency - len(self._flying), self._lanes.deliverable))
        seqs = self._lanes.take(self._core.clock.now(), len(permits))
        for permit in permits[len(seqs) :]:
            permit.ignore()
        if not seqs:
            return
        try:
            claims = await self._core.result(self._core.claim(self._lease.fence, seqs, self._transport.seal))
        except BaseException:
            for seq, permit in zip(seqs, permits, strict=False):
                permit.ignore()
                self._lanes.give_back(seq)
            raise
        for claimed, permit in zip(claims, permits, strict=False):
            if not isinstance(claimed, Claimed):
                permit.ignore()
                self._drop(claimed)
                continue
            task = asyncio.create_task(self._deliver(claimed, permit))
            self._flying.add(task)
            task.add_done_callback(partial(self._landed, claimed, permit, self._failures))

    def _drop(self, claimed: Unsendable | Withdrawn) -> None:
        match claimed:
            case Unsendable(op=op, reason=reason):
                self._bury(op, reason)
            case Withdrawn(seq=seq):
                self._lanes.remove(seq)

    def _landed(
        self, claimed: Claimed, permit: BreakerPermit, failures: list[BaseException], task: asyncio.Task[None]
    ) -> None:
        self._flying.discard(task)
        # A task that was cut or failed leaves no slot and no lane behind; a permit that was judged stays so.
        permit.ignore()
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            self._lanes.give_back(claimed.op.seq)
        if error is not None:
            failures.append(error)
        self._wake.set()

    async def _pause(self) -> None:
        now, due = self._core.clock.now(), self._lanes.next_due()
        waits = [_POLL_EVERY, self._gate.closed_for() or _POLL_EVERY]
        if due is not None:
            waits.append(max(0.0, due - now))
        try:
            async with asyncio.timeout(min(waits)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def next_try_in(self) -> float:
        """Return the seconds until something that waits may be sent again, 0 when that is now."""
        due = self._lanes.next_due()
        wait = 0.0 if due is None else due - self._core.clock.now()
        return max(0.0, wait, self._gate.closed_for())

    async def _deliver(self, claimed: Claimed, permit: BreakerPermit) -> None:
        self._emit(OpSent, claimed.op, attempt=claimed.attempt, key=claimed.op.key)
        # A process that was frozen after its claim finds out here, before a byte leaves.
        self._check_lease()
        self.stats.sent += 1
        answer = await self._send(claimed)
        self._gate.judge(permit, answer)
        step = settle(self._policy, claimed.op.verb, claimed.attempt, answer, self._random.random())
        if isinstance(step, Compare):
            found = await self._read_back(claimed)
            step = compare(
                self._policy, claimed.op.verb, claimed.attempt, found, chance=self._random.random(), reason=step.reason
            )
        self._note(answer, step)
        await self._record(claimed, step, patient=isinstance(answer, Busy) and answer.retry_after is not None)

    async def _send(self, claimed: Claimed) -> Answer:
        try:
            answer: Any = await self._transport.send(claimed.op, claimed.request)
        except Exception as error:
            return InDoubt(f"the transport raised {type(error).__name__}: {error}")
        if isinstance(answer, Answer):
            return answer
        return InDoubt(f"the transport returned {answer!r}, which is no answer")

    async def _read_back(self, claimed: Claimed) -> ReadBack:
        try:
            return await self._transport.read_back(claimed.op, claimed.request)
        except Exception as error:
            return Unreadable(f"the transport raised {type(error).__name__}: {error}")

    def _note(self, answer: Answer, step: Step) -> None:
        if not isinstance(answer, NotApplied | InDoubt | Busy):
            self.stats.last_progress = self._core.clock.now()
        if isinstance(step, Postpone):
            self.stats.postponed += 1
            self.stats.trouble = step.reason
        else:
            self.stats.trouble = ""

    async def _record(self, claimed: Claimed, step: Step, *, patient: bool) -> None:
        op = claimed.op
        if self._before_settle is not None:
            await self._before_settle(op, step)
        follower, known_to = self._lanes.follower(op.seq), self._lanes.last_seq
        await self._core.result(self._core.settle(self._lease.fence, claimed, step, follower, known_to=known_to))
        self._landed_meanwhile.add(op.seq)
        self._parked_meanwhile |= isinstance(step, Conflict | Die)
        match step:
            case Deliver():
                self._delivered_meanwhile.add(op.seq)
                self._lanes.remove(op.seq)
                self.stats.delivered += 1
                self._emit(OpDelivered, op, attempt=claimed.attempt)
            case Postpone():
                self._postpone(claimed, step, patient=patient)
            case AskCredentials(reason=reason):
                raise AuthenticationError(
                    f"{self._transport.origin} refuses the credentials ({reason}); nothing is lost, "
                    "give new ones and go on",
                    status_code=401,
                )
            case Conflict(reason=reason):
                self._lanes.remove(op.seq, hold=self._park_lanes, parked=True)
                self._emit(OpConflicted, op, reason=reason)
            case Die(reason=reason):
                self._bury(op, reason)
            case Compare():
                raise AssertionError("a comparison was left open")

    def _bury(self, op: Op, reason: str) -> None:
        self._lanes.remove(op.seq, hold=self._park_lanes, parked=True)
        self._emit(OpDied, op, reason=reason)

    def _postpone(self, claimed: Claimed, step: Postpone, *, patient: bool) -> None:
        self._lanes.postpone(claimed.op.seq, self._core.clock.now() + step.wait, patient=patient)
        self._emit(OpPostponed, claimed.op, attempt=claimed.attempt, wait=step.wait, reason=step.reason)
        if step.pause_origin:
            self._gate.pause(step.wait)
            origin = self._transport.origin
            self._core.bus.emit(
                OriginPaused, source=self._core.name, at=self._core.clock.now(), origin=origin, wait=step.wait,
                reason=step.reason,
            )  # fmt: skip

    def _emit(self, kind: type[OpEvent], op: Op, **fields: object) -> None:
        self._core.bus.emit(
            kind, source=self._core.name, at=self._core.clock.now(), seq=op.seq, kind=op.kind, entity=op.entity,
            **fields,
        )  # fmt: skip

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
            for task in tuple(self._flying):
                task.cancel()
            await asyncio.gather(*self._flying, return_exceptions=True)


def _wake(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closing; whoever comes next reads the file
        loop.call_soon_threadsafe(callback)
