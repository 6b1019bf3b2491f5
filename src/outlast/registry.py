"""Find components by name, and the Protocols by which a room declares what others may ask of it."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from outlast.errors import ConfigError, DuplicateNameError


@runtime_checkable
class Component(Protocol):
    """Be something that has a name and can show its state."""

    @property
    def name(self) -> str:
        """Return the name under which it is registered."""
        ...

    def snapshot(self) -> Any:
        """Return a frozen record of the whole present state."""
        ...


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """Declare one family of metrics and its present samples.

    Args:
        name: The Prometheus name.
        kind: `counter`, `gauge` or `histogram`.
        help: One line that says what it counts, with the unit.
        samples: Pairs of labels and value.
    """

    name: str
    kind: str
    help: str
    samples: tuple[tuple[Mapping[str, str], float], ...]


@runtime_checkable
class HasMetrics(Protocol):
    """Be a component that declares metric families."""

    def metric_families(self) -> Iterable[MetricFamily]:
        """Return the families with their present samples."""
        ...


@runtime_checkable
class HasHealth(Protocol):
    """Be a component that can say whether it is well."""

    def health(self) -> tuple[str, str]:
        """Return a state (`healthy`, `degraded`, `unhealthy`, `unknown`) and one line that says why."""
        ...


class Registry:
    """Know every live component by kind and name, without keeping it alive.

    Thread-safe: yes.

    >>> class Lamp:
    ...     name = "desk"
    ...     def snapshot(self): return "on"
    >>> registry, lamp = Registry(), Lamp()
    >>> registry.register("lamp", lamp)
    >>> registry.snapshot()
    {('lamp', 'desk'): 'on'}
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._components: dict[tuple[str, str], weakref.ref[Component]] = {}
        self._kept: dict[tuple[str, str], Component] = {}

    def register(self, kind: str, component: Component) -> None:
        """Add a component under its kind and name.

        Args:
            kind: The kind in snake case, such as `circuit_breaker`.
            component: The component; only a weak reference is kept.

        Raises:
            DuplicateNameError: A live component of that kind has the name already.
        """
        key = (kind, component.name)
        for collect in (True, False):
            with self._lock:
                if self._live(key) is None:
                    self._components[key] = weakref.ref(component)
                    return
            if collect:
                gc.collect()  # the holder of the name may only be waiting for the cycle collector
        raise DuplicateNameError(
            f"a {kind} named {component.name!r} is alive already; "
            f"share it with registry.get({kind!r}, {component.name!r}), or choose another name"
        )

    def remove(self, kind: str, component: Component) -> None:
        """Forget a component that was closed: its name is free, though somebody may hold it for a while yet."""
        key = (kind, component.name)
        with self._lock:
            if self._live(key) is component:
                del self._components[key]

    def _live(self, key: tuple[str, str]) -> Component | None:
        reference = self._components.get(key)
        return None if reference is None else reference()

    def get(self, kind: str, name: str) -> Any:
        """Return the live component of that kind and name.

        Raises:
            ConfigError: There is none.
        """
        with self._lock:
            component = self._live((kind, name))
        if component is None:
            known = sorted(n for k, n in self._alive() if k == kind)
            raise ConfigError(f"no {kind} named {name!r} is alive; there are: {', '.join(known) or 'none'}")
        return component

    def shared(self, kind: str, name: str, make: Callable[[], Any]) -> Any:
        """Return the live component of that kind and name, or make one and keep it alive.

        Args:
            kind: The kind.
            name: The name.
            make: Makes it; the component registers itself here. Run outside the lock, and again only by a thread
                that another was quicker than.
        """
        for last in (False, True):
            with self._lock:
                component = self._live((kind, name))
            try:
                component = component or make()
            except DuplicateNameError:
                if last:
                    raise
                continue
            with self._lock:
                return self._kept.setdefault((kind, name), component)
        raise AssertionError  # pragma: no cover - the second round returns or raises

    def drop(self, kind: str, name: str) -> None:
        """Keep a component alive no longer; it goes when nobody else holds it."""
        with self._lock:
            self._kept.pop((kind, name), None)

    def _alive(self) -> dict[tuple[str, str], Component]:
        with self._lock:
            found = {key: reference() for key, reference in self._components.items()}
            for key in [key for key, component in found.items() if component is None]:
                del self._components[key]
        return {key: component for key, component in found.items() if component is not None}

    def components(self, kind: str | None = None) -> list[Any]:
        """Return the live components, of one kind or of all, sorted by kind and name."""
        alive = self._alive()
        return [alive[key] for key in sorted(alive) if kind in {None, key[0]}]

    def snapshot(self) -> dict[tuple[str, str], Any]:
        """Return the state of every live component by kind and name."""
        return {key: component.snapshot() for key, component in sorted(self._alive().items())}


DEFAULT_REGISTRY: Final = Registry()

__all__ = ["DEFAULT_REGISTRY", "Component", "HasHealth", "HasMetrics", "MetricFamily", "Registry"]
