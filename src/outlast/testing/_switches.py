"""Switches for tests of code that goes through policies: no waiting, no policies, or a circuit held open."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final

from outlast.clock import SYSTEM_CLOCK
from outlast.errors import ConfigError
from outlast.policies import Chaos, CircuitBreaker, CircuitState, Pipeline, Policy
from outlast.registry import DEFAULT_REGISTRY, Registry

_LONG: Final = 1e9
_MANY: Final = 10_000

_NEUTRAL: Final[dict[str, dict[str, Any]]] = {
    "Retry": {"attempts": 1},
    "Timeout": {"seconds": _LONG},
    "Bulkhead": {"max_concurrent": _MANY},
    "RateLimit": {"calls": _LONG, "burst": _LONG},
    "Hedge": {"delay": _LONG},
    "AdaptiveLimit": {"initial": _MANY, "min_limit": _MANY, "max_limit": _MANY},
    "AdaptiveThrottle": {"max_chance": 0.0},
}
"""Settings under which a policy lets everything through, by the name of its class."""


@contextmanager
def instant() -> Generator[list[float]]:
    """Let every wait of a policy on the machine's clock take no time, for the length of a `with` block.

    Back-off, queues for a rate and planted latency are over at once; the block is given the list of the seconds
    that would have been waited. Time itself goes on as it does: an open circuit stays open. To move time, give
    policies a `ManualClock`. Holds for the whole process.

    Thread-safe: yes, but two of them in different threads must not overlap.

    >>> from outlast.policies import Retry
    >>> from outlast.testing import ScriptedDependency
    >>> with instant() as waits:
    ...     answer = Retry(3, on=OSError, backoff=60.0).call(ScriptedDependency(OSError(), "fine"))
    >>> answer, waits
    ('fine', [60.0])
    """
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def asleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)  # others have their turn, as in a real wait

    own = vars(SYSTEM_CLOCK)
    before = dict(own)
    own.update(sleep=sleep, asleep=asleep)
    try:
        yield waits
    finally:
        own.clear()
        own.update(before)


@contextmanager
def force_open(breaker: str | CircuitBreaker, *, registry: Registry = DEFAULT_REGISTRY) -> Generator[CircuitBreaker]:
    """Hold a circuit open for the length of a `with` block, to see what the program does meanwhile.

    Afterwards it is as new.

    Args:
        breaker: The breaker, or its name.
        registry: Where the name is looked for. Default: the shared one.

    Raises:
        ConfigError: No live breaker has the name.

    >>> with force_open(CircuitBreaker()) as breaker:
    ...     breaker.is_tripped()
    True
    """
    found: CircuitBreaker = registry.get("circuit_breaker", breaker) if isinstance(breaker, str) else breaker
    found.force_open()
    try:
        yield found
    finally:
        found.reset()


@contextmanager
def disabled(*policies: Policy) -> Generator[None]:
    """Let every call through untouched for the length of a `with` block: no retries, no limits, no rejections.

    Fallbacks and single-flights stay, because they change what is answered, not whether. Circuits that were
    open are open again afterwards; all others are closed with nothing counted. A rate limit counts what passed
    meanwhile.

    Args:
        *policies: Which; a pipeline stands for all that is in it. Default: every policy that is alive, also those
            around decorated functions.

    Thread-safe: yes; holds for the whole process.

    >>> breaker = CircuitBreaker(failure_threshold=1)
    >>> with disabled(breaker):
    ...     breaker.record_failure()
    >>> breaker.state.value
    'closed'
    """
    with ExitStack() as undo:
        for policy in _flat(policies or _alive()):
            back = _neutralise(policy)
            if back is not None:
                undo.callback(back)
        yield


def _alive() -> tuple[Policy, ...]:
    # Only tests pay for looking; keeping a list would cost every policy that is ever made.
    return tuple(each for each in gc.get_objects() if issubclass(type(each), Policy))


def _flat(policies: tuple[Policy, ...]) -> list[Policy]:
    found: dict[int, Policy] = {}
    for policy in policies:
        inner = _flat(policy.policies) if isinstance(policy, Pipeline) else [policy]
        found.update({id(each): each for each in inner})
    return list(found.values())


def _neutralise(policy: Policy) -> Callable[[], Any] | None:
    """Let everything through, and return what undoes that."""
    if isinstance(policy, CircuitBreaker):
        back = policy.force_open if policy.state is CircuitState.OPEN else policy.force_closed
        policy.disable()
        return back
    if isinstance(policy, Chaos):
        return _stop(policy)
    neutral = next((_NEUTRAL[cls.__name__] for cls in type(policy).__mro__ if cls.__name__ in _NEUTRAL), None)
    if neutral is None:
        return None
    before = {name: value for name, value in policy.settings().items() if name in neutral}
    try:
        policy.reconfigure(**neutral)
    except ConfigError:
        return None
    return partial(policy.reconfigure, **before)


def _stop(chaos: Chaos) -> Callable[[], Any] | None:
    if not chaos.snapshot().active:
        return None
    chaos.stop("disabled() of the test kit")
    return chaos.start
