"""The pipelines of a transport, one for each origin, and not more than so many."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager

from outlast.errors import ConfigError, DuplicateNameError
from outlast.policies import CircuitBreaker, CircuitState, Pipeline, Policy, Retry
from outlast.registry import DEFAULT_REGISTRY

MakePipeline = Callable[[str], Policy]
OTHERS = "others"


def default_pipeline(origin: str) -> Policy:
    """Return the pipeline for an origin: a retry around a circuit breaker, shared by all transports of the process.

    The transport itself keeps back what may not be sent twice, so the retry may repeat what it is given.

    Args:
        origin: Scheme, host and port, such as `https://api.example.com`.
    """
    name = f"http {origin}"
    for _ in range(2):
        try:
            found: Policy = DEFAULT_REGISTRY.get("pipeline", name)
            return found
        except ConfigError:
            pass
        try:
            return Pipeline(name, Retry(idempotent=True, name=name), CircuitBreaker(name))
        except DuplicateNameError:  # pragma: no cover - another thread made it in this moment
            continue
    return Pipeline(name, Retry(idempotent=True, name=name))  # pragma: no cover - it came and went twice


class _Host:
    """Hold the pipeline of one origin and how many requests are in it."""

    def __init__(self) -> None:
        self.pipeline: Policy | None = None
        self.made = threading.Event()
        self.running = 0

    @property
    def spare(self) -> bool:
        """Tell whether nothing is lost when it is forgotten: it is idle, and no circuit of it is open."""
        return not self.running and (self.pipeline is None or all_closed(self.pipeline))


def all_closed(policy: Policy) -> bool:
    """Tell whether no circuit breaker in a policy is anything but closed."""
    if isinstance(policy, Pipeline):
        return all(all_closed(inner) for inner in policy.policies)
    return not isinstance(policy, CircuitBreaker) or policy.state is CircuitState.CLOSED


class Hosts:
    """Give each origin its pipeline.

    At most `most` are kept. The one that was used longest ago makes room, but never one that is busy or whose circuit
    is not closed: it would come back as if nothing had happened. When none can go, further origins share one pipeline.

    Thread-safe: yes.

    Args:
        make: Makes the pipeline for an origin.
        most: How many are kept, >= 1.
    """

    def __init__(self, make: MakePipeline, most: int) -> None:
        if most < 1:
            raise ConfigError(f"must be at least 1, not {most!r}", path="max_origins")
        self._make = make
        self._most = most
        self._lock = threading.Lock()
        self._hosts: OrderedDict[str, _Host] = OrderedDict()

    @contextmanager
    def use(self, origin: str) -> Generator[Policy]:
        """Give the pipeline of an origin for the length of a block, in which it is not forgotten."""
        name, host, new = self._enter(origin)
        try:
            if new:
                self._fill(name, host)
            host.made.wait()
            yield host.pipeline or self._make(name)
        finally:
            with self._lock:
                host.running -= 1

    def _fill(self, name: str, host: _Host) -> None:
        # The factory is the user's, so it runs outside of the lock; those who come meanwhile wait for it.
        try:
            host.pipeline = self._make(name)
        except BaseException:
            with self._lock:
                self._hosts.pop(name, None)
            raise
        finally:
            host.made.set()

    def _enter(self, origin: str) -> tuple[str, _Host, bool]:
        with self._lock:
            name = origin if origin in self._hosts or self._make_room() else OTHERS
            new = name not in self._hosts
            host = self._hosts.setdefault(name, _Host())
            self._hosts.move_to_end(name)
            host.running += 1
            return name, host, new

    def _make_room(self) -> bool:
        known = [name for name in self._hosts if name != OTHERS]
        if len(known) < self._most:
            return True
        spare = next((name for name in known if self._hosts[name].spare), None)
        if spare is not None:
            del self._hosts[spare]
        return spare is not None

    def pipelines(self) -> dict[str, Policy]:
        """Return the pipelines by origin, the one used longest ago first."""
        with self._lock:
            return {name: host.pipeline for name, host in self._hosts.items() if host.pipeline is not None}
