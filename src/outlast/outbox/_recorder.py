"""Record what became of an attempt, and let the lanes and the listeners know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, TypeVar

from outlast.engines.op import (
    AskCredentials,
    AuthNeeded,
    Await,
    Busy,
    Compare,
    Conflict,
    Deliver,
    Die,
    InDoubt,
    NotApplied,
    Postpone,
    Renew,
)
from outlast.errors import AuthenticationError, StorageBusyError
from outlast.events import (
    OpConflicted,
    OpDelivered,
    OpDied,
    OpEvent,
    OpPostponed,
    OpResolved,
    OriginPaused,
)
from outlast.outbox import _queries as sql
from outlast.outbox._accounts import Accounts
from outlast.outbox._core import OutboxCore
from outlast.outbox._gates import Gates
from outlast.outbox._judge import Judged
from outlast.outbox._lanes import LaneIndex
from outlast.outbox._lease import ProcessingLease
from outlast.outbox._records import Claimed, Op
from outlast.outbox._routes import BeforeSettle, Route

T = TypeVar("T")

_LOCKED_WAIT: Final = 0.25
_FOLLOWERS: Final = 64
"""Among so many next ops of a lane the next one of an entity is looked for; a lane of many entities may be long."""


async def patiently(core: OutboxCore, order: Callable[[], Future[T]]) -> T:
    """Give an order until the file is free for it; somebody else may hold it locked for long."""
    while True:
        try:
            return await core.result(order())
        except StorageBusyError:
            await core.clock.asleep(_LOCKED_WAIT)


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


class Recorder:
    """Record what became of attempts.

    Args:
        core: The outbox.
        lease: The right to deliver.
        gates: What is told of pauses.
        accounts: What is told of refused credentials.
        park_lanes: Whether a conflicting or dead op holds back the later ones of its lane.
        before_settle: Told of every outcome before it is recorded.
    """

    def __init__(
        self,
        core: OutboxCore,
        lease: ProcessingLease,
        gates: Gates,
        accounts: Accounts,
        *,
        park_lanes: bool,
        before_settle: BeforeSettle | None,
    ) -> None:
        self._core = core
        self._lease = lease
        self._gates = gates
        self._accounts = accounts
        self._park_lanes = park_lanes
        self._before_settle = before_settle
        self.lanes = LaneIndex()
        self.stats = LoopStats(last_progress=core.clock.now())
        self.landed: set[int] = set()
        """What was settled since a look at the file began."""
        self.delivered: set[int] = set()
        """What was delivered since then."""
        self.parked = False
        """Whether something was parked since then."""

    async def record(
        self, route: Route, found: Sequence[Judged], version: int, landed: Callable[[Sequence[Judged]], None]
    ) -> None:
        """Record what became of attempts that travelled together, in one commit if nothing is wrong with any of them.

        Args:
            route: How they travelled.
            found: What became of them; none, and nothing is done.
            version: Which credentials they had.
            landed: Called with those that are recorded.
        """
        self._note(found)
        await self._tell_first(route, found)
        locked = await self._try(route, found, version, landed) if found else []
        while locked:
            await self._core.clock.asleep(_LOCKED_WAIT)
            locked = await self._try(route, locked, version, landed)

    async def _try(
        self, route: Route, found: Sequence[Judged], version: int, landed: Callable[[Sequence[Judged]], None]
    ) -> list[Judged]:
        """Record, and return those for which the file was locked; of several errors the first is raised."""
        try:
            await self._core.asettle(self._lease.fence, self._reports(route, found))
        except StorageBusyError:
            return list(found)
        except Exception:
            if len(found) == 1:
                raise
        else:
            self._recorded(route, found, version, landed)
            return []
        return await self._try_apart(route, found, version, landed)

    async def _try_apart(
        self, route: Route, found: Sequence[Judged], version: int, landed: Callable[[Sequence[Judged]], None]
    ) -> list[Judged]:
        """Record each by itself: one of them stands in the way of the others."""
        locked, errors = list[Judged](), list[Exception]()
        for judged in found:
            try:
                locked += await self._try(route, [judged], version, landed)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return locked

    def _recorded(
        self, route: Route, found: Sequence[Judged], version: int, landed: Callable[[Sequence[Judged]], None]
    ) -> None:
        """Let the lanes and the listeners know; of several errors the first is raised, once all know."""
        self.landed.update(one.claimed.op.seq for one in found)
        if any(one.taken for one in found):
            self._accounts.proved(route, version)
        delivered = [one for one in found if isinstance(one.step, Deliver)]
        self._delivered(delivered)
        landed(delivered)
        errors: list[Exception] = []
        for judged in found if len(delivered) < len(found) else ():
            if not isinstance(judged.step, Deliver):
                try:
                    self._settled(route, judged, version)
                    landed([judged])
                except Exception as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    def _reports(self, route: Route, found: Sequence[Judged]) -> list[tuple[Claimed, sql.Report]]:
        reports: list[tuple[Claimed, sql.Report]] = []
        bare = sql.Report(Deliver())
        for judged in found:
            if judged.step is not bare.step:
                bare = sql.Report(judged.step)
            # Whoever comes next is looked for only where that matters.
            alone = sql.leaves_nothing(judged.claimed, bare)
            reports.append((judged.claimed, bare if alone else self._report(route, judged)))
        return reports

    def _report(self, route: Route, judged: Judged) -> sql.Report:
        claimed, step, _, doubt = judged
        followers = self.lanes.followers(claimed.op.seq, _FOLLOWERS)
        return sql.Report(
            step=step, followers=followers, known_to=self.lanes.last_seq if len(followers) < _FOLLOWERS else None,
            doubt=doubt, refused=judged.refused, origin=route.transport.origin,
        )  # fmt: skip

    async def _tell_first(self, route: Route, found: Sequence[Judged]) -> None:
        told: list[BeforeSettle] = []
        for listener in (self._before_settle, route.before_settle):
            if listener is not None and listener not in told:
                told.append(listener)
        for judged in found if told else ():
            for listener in told:
                await listener(judged.claimed.op, judged.step)

    def _note(self, found: Sequence[Judged]) -> None:
        if any(one.answer is not None and not isinstance(one.answer, NotApplied | InDoubt | Busy) for one in found):
            self.stats.last_progress = self._core.clock.now()
        waiting = [one.step.reason for one in found if isinstance(one.step, Postpone)]
        self.stats.postponed += len(waiting)
        if found:
            self.stats.trouble = found[-1].step.reason if isinstance(found[-1].step, Postpone) else ""

    def _settled(self, route: Route, judged: Judged, version: int) -> None:
        claimed, op = judged.claimed, judged.claimed.op
        match judged.step:
            case Deliver():
                self._delivered([judged])
            case Conflict() | Die() as step:
                self._park(claimed.op, step)
            case Postpone() as step:
                self._postpone(route, judged, step, version)
            case Await() as step:
                self._await(route, claimed, step)
            case Renew(reason=reason):
                self.lanes.give_back(op.seq)
                self.emit(OpResolved, op, resolution=reason)
            case AskCredentials(reason=reason):
                self._refused(route, claimed, reason, version)
            case Compare():
                raise AssertionError("a comparison was left open")

    def _delivered(self, found: Sequence[Judged]) -> None:
        seqs = [one.claimed.op.seq for one in found]
        self.delivered.update(seqs)
        self.lanes.remove_delivered(seqs)
        self.stats.delivered += len(seqs)
        if self._core.bus.wants(OpResolved) or self._core.bus.wants(OpDelivered):
            for claimed, step, *_ in found:
                if isinstance(step, Deliver) and step.outcome != "delivered":
                    self.emit(OpResolved, claimed.op, resolution=step.outcome)
                self.emit(OpDelivered, claimed.op, attempt=claimed.attempt)

    def _park(self, op: Op, step: Conflict | Die) -> None:
        self.parked = True
        match step:
            case Conflict(reason=reason):
                self.lanes.remove(op.seq, hold=self._park_lanes, parked=True)
                self.emit(OpConflicted, op, reason=reason)
            case Die(reason=reason):
                self.bury(op, reason)

    def _refused(self, route: Route, claimed: Claimed, reason: str, version: int) -> None:
        if not self._accounts.refused(route, version):
            raise AuthenticationError(
                f"{route.transport.origin} refuses the credentials ({reason}); nothing is lost, "
                "give new ones and go on",
                status_code=401,
            )
        self._wait(claimed, 0.0, reason, patient=False)

    def bury(self, op: Op, reason: str) -> None:
        """Let the lanes and the listeners know that an op lies in the dead letters."""
        self.lanes.remove(op.seq, hold=self._park_lanes, parked=True)
        self.emit(OpDied, op, reason=reason)

    def _postpone(self, route: Route, judged: Judged, step: Postpone, version: int) -> None:
        self._wait(judged.claimed, step.wait, step.reason, patient=judged.patient)
        if step.pause_origin:
            self._pause(route, step.wait, step.reason)
        if isinstance(judged.answer, AuthNeeded):
            self._accounts.refused(route, version)  # nothing was sent that would be refused as well

    def _await(self, route: Route, claimed: Claimed, step: Await) -> None:
        self._wait(claimed, step.wait, "the server has accepted it", patient=True)
        if step.pause_origin:
            self._pause(route, step.wait, "asked about what it has accepted, it wants a rest")

    def _pause(self, route: Route, wait: float, reason: str) -> None:
        self._gates.of(route).pause(wait)
        self._core.bus.emit(
            OriginPaused, source=self._core.name, at=self._core.clock.now(), origin=route.transport.origin, wait=wait,
            reason=reason,
        )  # fmt: skip

    def _wait(self, claimed: Claimed, wait: float, reason: str, *, patient: bool) -> None:
        self.lanes.postpone(claimed.op.seq, self._core.clock.now() + wait, patient=patient)
        self.emit(OpPostponed, claimed.op, attempt=claimed.attempt, wait=wait, reason=reason)

    def release(self, claimed: Claimed, *, doubt: bool = True) -> Future[None]:
        """Say of an attempt that was cut off that its process did not die of it."""
        report = sql.Report(step=Postpone(0.0, "it was cut off when the delivery ended"), doubt=doubt)
        return self._core.settle(self._lease.fence, claimed, report)

    def emit(self, kind: type[OpEvent], op: Op, **fields: object) -> None:
        """Tell the listeners of an op."""
        if not self._core.bus.wants(kind):
            return
        self._core.bus.emit(
            kind, source=self._core.name, at=self._core.clock.now(), seq=op.seq, kind=op.kind, entity=op.entity,
            **fields,
        )  # fmt: skip
