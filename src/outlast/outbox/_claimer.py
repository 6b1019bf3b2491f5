"""Choose what may go now, claim it, and put it into flights."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from outlast.engines.op import DeliveryPolicy
from outlast.errors import ConfigError, OutlastError
from outlast.outbox import _queries as sql
from outlast.outbox._accounts import Accounts
from outlast.outbox._core import OutboxCore
from outlast.outbox._flight import Flight
from outlast.outbox._gates import Admission, Gates, Permits
from outlast.outbox._judge import Judge
from outlast.outbox._lanes import LaneIndex
from outlast.outbox._lease import ProcessingLease
from outlast.outbox._recorder import Recorder, patiently
from outlast.outbox._records import Claimed, Op, Passed, SealedRequest, Unsendable, Withdrawn
from outlast.outbox._routes import Route, Routes

_LOOK_AGAIN_IN: Final = 0.25
"""Seconds after which is looked again at what could not go, where nothing says when it can."""


class Claimer:
    """Choose the ops that may go now, claim them in one commit, and put them into flights.

    What is taken from the lanes either leaves in a flight or goes back to them, and so do the permits.

    Args:
        core: The outbox.
        routes: What carries the ops of each kind.
        lease: The right to deliver.
        gates: Who lets how many go to each origin.
        accounts: Who knows which credentials are being refreshed.
        judge: Who knows what may travel together.
        recorder: Who holds the lanes, and is told of what cannot be sent.
        policy: The budgets.
    """

    def __init__(
        self,
        core: OutboxCore,
        routes: Routes,
        lease: ProcessingLease,
        *,
        gates: Gates,
        accounts: Accounts,
        judge: Judge,
        recorder: Recorder,
        policy: DeliveryPolicy,
    ) -> None:
        self._core = core
        self._routes = routes
        self._lease = lease
        self._gates = gates
        self._accounts = accounts
        self._judge = judge
        self._recorder = recorder
        self._policy = policy
        self.suspects: set[int] = set()
        """Ops that were on the wire when their process died; nothing else flies while one of them does."""
        self._foreign: set[int] = set()

    @property
    def _lanes(self) -> LaneIndex:
        return self._recorder.lanes

    def forget(self) -> None:
        """Begin anew, with other lanes."""
        self.suspects.clear()
        self._foreign.clear()

    def free_foreign(self) -> None:
        """Let the lanes go on that nothing could carry: the routes are others now."""
        while self._foreign:
            self._lanes.free(self._foreign.pop())

    async def claim(self, room: int, *, alone: bool) -> tuple[list[Flight], bool]:
        """Return flights to be launched at once, and whether something was passed over and something else may go.

        Args:
            room: How many may be launched, >= 1.
            alone: Whether nothing flies now.

        Raises:
            LeaseLostError: Another process has taken over.

        Cancel: what was chosen goes back to the lanes; a claim that has begun is waited for and taken back.
        """
        if not self._lanes.any_ready(self._core.clock.now()):
            return [], False
        permits = self._gates.permits(min(room, self._lanes.deliverable))
        try:
            quotas = {origin: len(found) * self._load(origin) for origin, found in permits.items()}
            most = min(sum(quotas.values()), room * max(map(self._load, permits), default=1))
            seqs = self._take(most, alone=alone)
            if not seqs:
                return [], False
            routes = self._routes.now()
            return self._board(await self._claim(seqs, routes, quotas), routes, permits)
        finally:
            for found in permits.values():
                for permit in found:
                    permit.ignore()

    def _load(self, origin: str) -> int:
        """Return how many ops travel in one request to an origin."""
        routes = [route for route in self._routes.all() if route.transport.origin == origin]
        limits = [self._judge.limits(route) for route in routes]
        return max((one.max_count for one in limits if one is not None), default=1)

    def _take(self, most: int, *, alone: bool) -> list[int]:
        """Take ops; one that was on the wire when its process died goes alone, for it may be what killed it."""
        seqs = self._lanes.take(self._core.clock.now(), most)
        suspect = next((seq for seq in seqs if seq in self.suspects), None)
        if suspect is None:
            return seqs
        chosen = [suspect] if alone else []
        for seq in seqs:
            if seq not in chosen:
                self._lanes.give_back(seq)
        return chosen

    async def _claim(self, seqs: Sequence[int], routes: Routes, quotas: dict[str, int]) -> list[sql.Claim]:
        admission = Admission(routes, quotas, self._accounts.blocked)
        terms = sql.Terms(
            seal=_sealer(routes),
            upcast=self._core.upcasters.upcast,
            policy=self._policy,
            admission=admission,
            suspects=self.suspects.intersection(seqs),
        )
        claims: list[sql.Claim] = []
        orders: list[Future[list[sql.Claim]]] = []

        def order() -> Future[list[sql.Claim]]:
            orders.append(self._core.claim(self._lease.fence, seqs, terms))
            return orders[-1]

        try:
            claims = await patiently(self._core, order)
        except asyncio.CancelledError:
            await self._take_back(orders[-1])
            raise
        finally:
            # All of them when it failed, and the last ones when those in front of them are large.
            for seq in seqs[len(claims) :]:
                self._lanes.give_back(seq)
        return claims

    async def _take_back(self, order: Future[list[sql.Claim]]) -> None:
        """Say of what was claimed, and will not be sent, that it did not kill this process."""
        if order.cancelled():
            return
        with suppress(OutlastError):  # nothing was claimed
            claims = await self._core.result(order)
            unsent = [one for one in claims if isinstance(one, Claimed)]
            orders = [self._recorder.release(claimed, doubt=claimed.history.doubt) for claimed in unsent]
            for claimed in claims:
                match claimed:
                    case Unsendable(op=op, reason=reason):
                        self._recorder.bury(op, reason)
                    case Withdrawn(seq=seq):
                        self._lanes.remove(seq)
                    case Claimed() | Passed():
                        pass
            for released in orders:
                await self._core.result(released)

    def _board(self, claims: Sequence[sql.Claim], routes: Routes, permits: Permits) -> tuple[list[Flight], bool]:
        passed = False
        by_route: dict[int, tuple[Route, list[Claimed]]] = {}
        by_kind: dict[str, list[Claimed]] = {}
        for claimed in claims:
            match claimed:
                case Claimed(op=op):
                    ops = by_kind.get(op.kind)
                    if ops is None:
                        route = _route(routes, op)
                        ops = by_kind[op.kind] = by_route.setdefault(id(route), (route, []))[1]
                    ops.append(claimed)
                case Passed(op=op):
                    self._pass_over(op, routes.find(op.kind))
                    passed = True
                case Unsendable(op=op, reason=reason):
                    self.suspects.discard(op.seq)
                    self._recorder.bury(op, reason)
                case Withdrawn(seq=seq):
                    self._lanes.remove(seq)
        return [flight for route, ops in by_route.values() for flight in self._flights(route, ops, permits)], passed

    def _pass_over(self, op: Op, route: Route | None) -> None:
        if route is None:
            self._lanes.give_back(op.seq)
            self._lanes.hold(op.lane)
            self._foreign.add(op.lane)
            return
        wait = self._gates.of(route).closed_for() or _LOOK_AGAIN_IN
        self._lanes.postpone(op.seq, self._core.clock.now() + wait, patient=False)

    def _flights(self, route: Route, ops: Sequence[Claimed], permits: Permits) -> list[Flight]:
        flights: list[Flight] = []
        free = permits[route.transport.origin]
        for group in self._judge.cut(route, ops):
            if free:
                flights.append(Flight(route, [group], free.popleft()))
            else:  # more groups than expected, because of their bytes: they go one after the other
                flights[-1].groups.append(group)
                flights[-1].open.update({claimed.op.seq: claimed for claimed in group})
        for flight in flights:
            flight.alone = not self.suspects.isdisjoint(flight.open)
        return flights


def _sealer(routes: Routes) -> sql.Sealer:
    sealers: dict[str, sql.Sealer] = {}

    def seal(op: Op) -> SealedRequest:
        found = sealers.get(op.kind)
        if found is None:
            found = sealers[op.kind] = _route(routes, op).transport.seal
        return found(op)

    return seal


def _route(routes: Routes, op: Op) -> Route:
    route = routes.find(op.kind)
    if route is None:
        raise ConfigError(f"nothing carries writes of the kind {op.kind!r}", path="routes")
    return route
