"""Hold a gate for each origin, so that one that fails or asks for a rest does not hold back the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal

from outlast.clock import Clock
from outlast.engines.origin_pause import OriginPause
from outlast.events import EventBus
from outlast.outbox._gate import OriginGate
from outlast.outbox._records import Op
from outlast.outbox._routes import Route, Routes
from outlast.policies import BreakerPermit

Permits = dict[str, deque[BreakerPermit]]


class Gates:
    """Know how many ops may be sent to each origin now.

    Args:
        routes: What leads where.
        clock: Where the time comes from.
        bus: Where events go.
    """

    def __init__(self, routes: Routes, clock: Clock, bus: EventBus) -> None:
        self._routes = routes
        self._clock = clock
        self._bus = bus
        self._gates: dict[str, OriginGate] = {}
        self._pauses: Mapping[str, OriginPause] = {}

    def restore(self, pauses: Mapping[str, OriginPause]) -> None:
        """Go on with the pauses that were asked for before this process began."""
        self._pauses = pauses
        for origin, gate in self._gates.items():
            self._resume(origin, gate)

    def _resume(self, origin: str, gate: OriginGate) -> None:
        stored = self._pauses.get(origin)
        if stored is not None:
            gate.pause(stored.left(self._clock.wall()))

    def of(self, route: Route) -> OriginGate:
        """Return the gate of the origin that a route leads to."""
        origin = route.transport.origin
        gate = self._gates.get(origin)
        if gate is None:
            gate = self._gates[origin] = OriginGate(self._clock, self._bus, route.breaker)
            self._resume(origin, gate)
        return gate

    def _all(self) -> dict[str, OriginGate]:
        return {route.transport.origin: self.of(route) for route in self._routes.all()}

    def permits(self, most: int) -> Permits:
        """Return up to that many permits for each origin; each is to be used or to be given back."""
        return {origin: deque(gate.permits(most)) for origin, gate in self._all().items()}

    def closed_for(self) -> float:
        """Return the seconds for which nothing at all may be sent, 0 when something may."""
        return min((gate.closed_for() for gate in self._all().values()), default=0.0)

    def recovered(self) -> bool:
        """Tell, once, that the circuit of an origin has closed again."""
        return any(gate.recovered() for gate in self._all().values())


class Admission:
    """Decide in one run of a claim which ops may go; the transaction may run twice, so each run begins anew.

    Args:
        routes: What leads where.
        quotas: How many may go to each origin.
        blocked: Tells whether the credentials of a route are being refreshed.
    """

    def __init__(self, routes: Routes, quotas: Mapping[str, int], blocked: Callable[[Route], bool]) -> None:
        self._routes = routes
        self._quotas = quotas
        self._blocked = blocked

    def __call__(self) -> Callable[[Op], Literal["", "no transport", "closed"]]:
        """Begin a run."""
        left = dict(self._quotas)
        known: dict[str, tuple[Literal["", "no transport", "closed"], str]] = {}

        def admit(op: Op) -> Literal["", "no transport", "closed"]:
            found = known.get(op.kind)
            if found is None:
                found = known[op.kind] = self._look(op.kind)
            why, origin = found
            if why:
                return why
            if left.get(origin, 0) < 1:
                return "closed"
            left[origin] -= 1
            return ""

        return admit

    def _look(self, kind: str) -> tuple[Literal["", "no transport", "closed"], str]:
        """Return what keeps all ops of a kind from going, and the origin that they go to."""
        route = self._routes.find(kind)
        if route is None:
            return "no transport", ""
        return "closed" if self._blocked(route) else "", route.transport.origin
