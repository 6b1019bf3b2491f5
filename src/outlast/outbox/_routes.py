"""Know what carries the writes of each kind."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from outlast.engines.op import Step
from outlast.engines.reconcile_records import ConflictPolicy
from outlast.errors import ConfigError
from outlast.outbox._records import Op
from outlast.outbox._transport import Transport
from outlast.policies import CircuitBreaker

BeforeSettle = Callable[[Op, Step], Awaitable[None]]
"""Called with an op and what will be recorded of it, before the commit; after a crash it may be called again."""


@dataclass(frozen=True, slots=True)
class Route:
    """Hold what carries the writes of a kind.

    Args:
        transport: What carries them.
        breaker: The circuit of its origin. Default: see `OriginGate`; the first route to an origin decides.
        before_settle: Told of every outcome before it is recorded.
        conflicts: What is done about conflicts of what travels here. Default: what the runner says of the kind.
    """

    transport: Transport
    breaker: CircuitBreaker | None = None
    before_settle: BeforeSettle | None = None
    conflicts: ConflictPolicy | None = None

    @property
    def account(self) -> object:
        """Return what stands for the credentials: who shares them is paused together while they are refreshed."""
        return getattr(self.transport, "account", None) or self.transport


@dataclass(slots=True)
class Routes:
    """Choose what carries an op by its kind; what has no route is left alone. Thread-safe.

    Args:
        by_kind: The kinds that have a route of their own.
        default: The route of all others, or None.
    """

    by_kind: dict[str, Route] = field(default_factory=dict[str, Route])
    default: Route | None = None
    version: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def of(
        cls, transport: Transport | Mapping[str, Transport] | Routes, breaker: CircuitBreaker | None = None
    ) -> Routes:
        """Return the routes for one transport, for one of each kind, or routes as they are.

        Raises:
            ConfigError: One circuit was given for several origins.
        """
        if isinstance(transport, Routes):
            return transport
        if not isinstance(transport, Mapping):
            return cls(default=Route(transport, breaker))
        if breaker is not None and len({one.origin for one in transport.values()}) > 1:
            raise ConfigError("is one circuit for several origins; leave it out, and each gets its own", path="breaker")
        return cls({kind: Route(one, breaker) for kind, one in transport.items()})

    def find(self, kind: str) -> Route | None:
        """Return the route of a kind, None when nothing here carries it."""
        return self.by_kind.get(kind, self.default)

    def add(self, kind: str, route: Route) -> None:
        """Carry a kind from now on."""
        with self._lock:
            self.by_kind = {**self.by_kind, kind: route}
            self.version += 1

    def remove(self, kind: str, route: Route) -> None:
        """Carry a kind no longer, unless somebody else does by now."""
        with self._lock:
            if self.by_kind.get(kind) is route:
                self.by_kind = {name: one for name, one in self.by_kind.items() if name != kind}
                self.version += 1

    def now(self) -> Routes:
        """Return the routes as they are, whatever becomes of them."""
        return Routes(self.by_kind, self.default)

    def all(self) -> list[Route]:
        """Return every route once."""
        found = [*self.by_kind.values(), *([] if self.default is None else [self.default])]
        return list({id(route): route for route in found}.values())
