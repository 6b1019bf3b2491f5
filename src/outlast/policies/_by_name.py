"""Breakers and bulkheads that need nothing but a name: the first who asks makes one, all others share it.

For programs that are built around names, and for the dependencies of FastAPI and other frameworks that call
a function without arguments. What is made stays alive until `registry.drop`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

from outlast.config import check_known
from outlast.errors import ConfigError
from outlast.policies._bulkhead import Bulkhead
from outlast.policies._circuit_breaker import CircuitBreaker
from outlast.policies._policy import Policy
from outlast.registry import DEFAULT_REGISTRY, Registry

R = TypeVar("R")
P = TypeVar("P", bound=Policy)


def named_circuit_breaker(name: str, *, registry: Registry = DEFAULT_REGISTRY, **settings: Any) -> CircuitBreaker:
    """Return the circuit breaker of a name, made with these settings if there is none yet.

    Args:
        name: The name.
        registry: Where it is looked for. Default: the shared one.
        **settings: As for `CircuitBreaker`. What is left out is not compared.

    Raises:
        ConfigError: The one that is there has other settings; both are shown.

    Thread-safe: yes.
    """
    return _shared(registry, "circuit_breaker", CircuitBreaker, name, settings)


def named_bulkhead(name: str, *, registry: Registry = DEFAULT_REGISTRY, **settings: Any) -> Bulkhead:
    """Return the bulkhead of a name, made with these settings if there is none yet.

    Its `utilisation` and `queue_depth` tell how busy it is.

    Args:
        name: The name.
        registry: Where it is looked for. Default: the shared one.
        **settings: As for `Bulkhead`. What is left out is not compared.

    Raises:
        ConfigError: The one that is there has other settings; both are shown.

    Thread-safe: yes.
    """
    return _shared(registry, "bulkhead", Bulkhead, name, settings)


def _shared(registry: Registry, kind: str, cls: Callable[..., P], name: str, settings: dict[str, Any]) -> P:
    policy: P = registry.shared(kind, name, lambda: cls(name=name, registry=registry, **settings))
    have = policy.settings()
    check_known([key for key in settings if key not in _PLACES], have, path=name)
    differ = [key for key, value in settings.items() if key in have and have[key] != value]
    if differ:
        there = ", ".join(f"{key}={have[key]!r}" for key in differ)
        here = ", ".join(f"{key}={settings[key]!r}" for key in differ)
        raise ConfigError(
            f"the {kind} of that name is alive with {there}, and this call says {here}; "
            "say the same everywhere, or leave the settings out after the first call",
            path=name,
        )
    return policy


_PLACES = frozenset({"bus", "clock", "random"})


def execute_with_circuit_breaker(
    operation: Callable[[], R], name: str, *, registry: Registry = DEFAULT_REGISTRY, **settings: Any
) -> R:
    """Call a function through the circuit breaker of a name.

    Args:
        operation: Takes no arguments; may be async, and what comes back is then awaited by you.
        name: The name.
        registry: Where the breaker is looked for. Default: the shared one.
        **settings: As for `CircuitBreaker`, for the first call with that name; later ones may leave them out.

    Raises:
        ConfigError: The breaker that is there has other settings; both are shown.
        CircuitOpenError: The circuit is open.

    Cancel: as for `CircuitBreaker`.

    Thread-safe: yes.

    >>> execute_with_circuit_breaker(lambda: "fine", "doc-by-name", failure_threshold=3)
    'fine'
    >>> execute_with_circuit_breaker(lambda: "fine", "doc-by-name")
    'fine'
    """
    return named_circuit_breaker(name, registry=registry, **settings).call(operation)


def execute_with_bulkhead(
    operation: Callable[[], R], name: str, *, registry: Registry = DEFAULT_REGISTRY, **settings: Any
) -> R:
    """Call a function through the bulkhead of a name.

    Args:
        operation: Takes no arguments; may be async, and what comes back is then awaited by you.
        name: The name.
        registry: Where the bulkhead is looked for. Default: the shared one.
        **settings: As for `Bulkhead`, for the first call with that name; later ones may leave them out.

    Raises:
        ConfigError: The bulkhead that is there has other settings; both are shown.
        BulkheadFullError: No slot came free.

    Cancel: as for `Bulkhead`.

    Thread-safe: yes.

    >>> execute_with_bulkhead(lambda: "fine", "doc-by-name", max_concurrent=5)
    'fine'
    """
    return named_bulkhead(name, registry=registry, **settings).call(operation)


def depends_on_circuit_breaker(
    name: str, *, registry: Registry = DEFAULT_REGISTRY, **settings: Any
) -> Callable[[], CircuitBreaker]:
    """Return a function without arguments that gives the circuit breaker of a name, for `Depends(...)`.

    Args:
        name: The name.
        registry: Where it is looked for. Default: the shared one.
        **settings: As for `CircuitBreaker`.

    >>> depends_on_circuit_breaker("doc-depends")().state.value
    'closed'
    """

    def provide() -> CircuitBreaker:
        return named_circuit_breaker(name, registry=registry, **settings)

    return provide


def depends_on_bulkhead(name: str, *, registry: Registry = DEFAULT_REGISTRY, **settings: Any) -> Callable[[], Bulkhead]:
    """Return a function without arguments that gives the bulkhead of a name, for `Depends(...)`.

    Args:
        name: The name.
        registry: Where it is looked for. Default: the shared one.
        **settings: As for `Bulkhead`.
    """

    def provide() -> Bulkhead:
        return named_bulkhead(name, registry=registry, **settings)

    return provide


def depends_on_slot(
    name: str, *, registry: Registry = DEFAULT_REGISTRY, **settings: Any
) -> Callable[[], AsyncGenerator[Bulkhead]]:
    """Return an async generator function that holds a slot of a bulkhead, for `Depends(...)`: for a whole request.

    Args:
        name: The name of the bulkhead.
        registry: Where it is looked for. Default: the shared one.
        **settings: As for `Bulkhead`.

    Cancel: the slot comes back.
    """

    async def hold() -> AsyncGenerator[Bulkhead]:
        bulkhead = named_bulkhead(name, registry=registry, **settings)
        async with bulkhead.guard():
            yield bulkhead

    return hold
