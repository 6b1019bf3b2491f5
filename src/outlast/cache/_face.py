"""What a cache shows of itself, whichever way it is waited for."""

from __future__ import annotations

from abc import ABC, abstractmethod

from outlast.cache._codec import Codec
from outlast.cache._core import CacheCore, Settings
from outlast.cache._flight import Flight
from outlast.cache._result import CacheSnapshot
from outlast.cache._sieve import Memory
from outlast.cache._sqlite_tier import SqliteTier
from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.engines.freshness import Freshness
from outlast.events import DEFAULT_BUS, EventBus
from outlast.registry import DEFAULT_REGISTRY, Registry


class Face(ABC):
    """Be the part of a cache that never waits."""

    def __init__(
        self,
        name: str,
        *,
        freshness: Freshness | None = None,
        memory: Memory | None = None,
        disk: SqliteTier | None = None,
        codec: Codec | None = None,
        retry_load_after: float = 1.0,
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = DEFAULT_BUS,
        registry: Registry = DEFAULT_REGISTRY,
    ) -> None:
        self._core = CacheCore(
            Settings(
                name=name,
                freshness=freshness or Freshness(),
                memory=memory or Memory(),
                disk=disk,
                codec=codec,
                retry_load_after=retry_load_after,
                clock=clock,
                bus=bus,
            )
        )
        self._registry = registry
        registry.register("cache", self)
        self._core.attach_disk()
        self._set_up()

    @abstractmethod
    def _set_up(self) -> None:
        """Make what this way of waiting needs."""

    def _close(self) -> list[Flight] | None:
        """Close the core and give the name free; returns what the former does."""
        self._registry.remove("cache", self)
        return self._core.close()

    @property
    def name(self) -> str:
        """Return the name."""
        return self._core.name

    @property
    def freshness(self) -> Freshness:
        """Return the numbers that decide how old an answer may be."""
        return self._core.freshness

    def snapshot(self) -> CacheSnapshot:
        """Return a frozen record of the present state."""
        return self._core.snapshot()

    def health(self) -> tuple[str, str]:
        """Return `healthy`, or `degraded` when the file cannot be used, and why."""
        error = self.snapshot().disk_error
        return ("degraded", f"goes on in memory: {error}") if error else ("healthy", "")

    def __repr__(self) -> str:
        """Show the whole state."""
        return f"{type(self).__name__}({self.snapshot()!r})"
