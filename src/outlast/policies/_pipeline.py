"""Policies in a row around a call: the first named is the outermost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from functools import reduce
from types import TracebackType
from typing import Any, Self

from outlast.clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, Random
from outlast.config import join
from outlast.engines.calls import CallStats
from outlast.engines.worst import Worst
from outlast.errors import ConfigError
from outlast.events import DEFAULT_BUS, EventBus
from outlast.policies._explain import Explanation, explain
from outlast.policies._keyed import KeyedPipeline, KeyFunction
from outlast.policies._lint import Finding, lint
from outlast.policies._meter import CallMeter, MeteredBlock, async_metered, sync_metered
from outlast.policies._one_budget import share_one_budget
from outlast.policies._policy import Guard, Policy
from outlast.policies._relay import arelay, relay
from outlast.policies._shape import AnyFunction
from outlast.policies._straight import wrap_async, wrap_sync
from outlast.registry import DEFAULT_REGISTRY, Registry


@dataclass(frozen=True, slots=True)
class PipelineSnapshot:
    """Show the state of a pipeline.

    Args:
        name: Its name.
        policies: The snapshots of its policies, outermost first.
        calls: How its calls ended, and how long those took that succeeded.
    """

    name: str
    policies: tuple[Any, ...]
    calls: CallStats


class Pipeline(Policy):
    """Pass a call through several policies, the first named outermost.

    The usual order, from outside to inside: fallback, deadline, retry, hedge, circuit breaker, bulkhead
    or rate limit, attempt timeout. A pipeline is a policy itself and may stand in another. Its retries and
    hedges draw on one budget, that of the outermost retry, unless they are given budgets of their own.
    It counts its calls by how they ended and keeps a histogram of how long they took: `snapshot().calls`.

    Args:
        name: Under which it is registered.
        *policies: Outermost first.
        clock: Times the calls. Default: the machine's.
        registry: Knows it by name. Default: the shared one.

    Raises:
        ConfigError: The name is no text, or something is not a policy.
        DuplicateNameError: A live pipeline has the name.

    Cancel: as each policy says, from the inside out.

    Thread-safe: yes.

    >>> from outlast.policies import CircuitBreaker, Retry
    >>> payments = Pipeline("doc-payments", Retry(attempts=4), CircuitBreaker())
    >>> payments.call(len, "fine")
    4
    >>> stats = payments.snapshot().calls
    >>> stats.success, stats.failure, stats.latencies.quantile(0.99) < 1.0
    (1, 0, True)
    """

    def __init__(
        self, name: str, *policies: Policy, clock: Clock = SYSTEM_CLOCK, registry: Registry = DEFAULT_REGISTRY
    ) -> None:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"the first argument is the pipeline's name, not {name!r}", path="name")
        for policy in policies:
            if not isinstance(policy, Policy):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigError(f"{policy!r} is not a policy", path=f"pipelines.{name}")
        self._name = name
        self._policies = policies
        self._clock = clock
        self._meter = CallMeter(clock)
        share_one_budget(policies)
        registry.register("pipeline", self)

    @classmethod
    def from_config(
        cls,
        name: str,
        config: Sequence[str | Mapping[str, Any]],
        *,
        clock: Clock = SYSTEM_CLOCK,
        random: Random = SYSTEM_RANDOM,
        bus: EventBus = DEFAULT_BUS,
        registry: Registry = DEFAULT_REGISTRY,
    ) -> Self:
        """Make a pipeline from plain values.

        Args:
            name: Its name.
            config: One mapping for each policy, outermost first, from its kind to its settings. Settings are
                called as in code; durations may be `30s` and shares `50%`.
            clock: Tells the time to all policies. Default: the machine's.
            random: Gives them chance. Default: the machine's.
            bus: Takes their events. Default: the shared one.
            registry: Knows it, and named policies, by name. Default: the shared one.

        Raises:
            ConfigError: Something is wrong; the error has `path` and `suggestion`.
            DuplicateNameError: A live pipeline has the name.

        >>> Pipeline.from_config("doc-configured", [{"retry": {"attempts": 4}}, {"timeout": "800ms"}]).to_config()
        [{'retry': 4}, {'timeout': 0.8}]
        """
        from outlast.policies._build import policies_from

        places = {"clock": clock, "random": random, "bus": bus, "registry": registry}
        return cls(name, *policies_from(config, join("pipelines", name), **places), clock=clock, registry=registry)

    def to_config(self) -> list[dict[str, Any]]:
        """Return the plain values that `from_config` makes the same pipeline of: seconds, shortest forms, no defaults.

        Raises:
            ConfigError: Something cannot be written down, such as a function.
        """
        from outlast.policies._writing import write

        return write(self._policies, join("pipelines", self._name))

    def fresh(self, key: str | None = None) -> Self:
        """Return a pipeline of policies of the same settings, each with a state of its own.

        It is in no shared registry. What was given as an object, such as a shared budget, stays shared.

        Args:
            key: Shown behind its name and the names of its policies. Default: they keep their names.
        """
        name = self._name if key is None else f"{self._name}[{key}]"
        policies = (policy.fresh(key) for policy in self._policies)
        return type(self)(name, *policies, clock=self._clock, registry=Registry())

    @property
    def name(self) -> str:
        """Return the name."""
        return self._name

    @property
    def policies(self) -> tuple[Policy, ...]:
        """Return the policies, outermost first."""
        return self._policies

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value."""
        return sync_metered(self._meter, wrap_sync(self._policies, fn))

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""
        return async_metered(self._meter, wrap_async(self._policies, fn))

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function; its whole stream is one call, which its reader may close."""
        way = reduce(lambda inner, policy: policy.wrap_generator(inner), reversed(self._policies), fn)
        return relay(way, whole=self._stream)

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function; its whole stream is one call, which its reader may close."""
        way = reduce(lambda inner, policy: policy.wrap_async_generator(inner), reversed(self._policies), fn)
        return arelay(way, whole=self._stream)

    def _stream(self) -> MeteredBlock:
        return MeteredBlock(self._meter, stream=True)

    def guard(self) -> Guard:
        """Return a guard for one block, for `with` or `async with`.

        Raises:
            ConfigError: One of the policies must be able to run the block again.
        """
        return _Guards(MeteredBlock(self._meter), [policy.guard() for policy in self._policies])

    def explain(self) -> Explanation:
        """Return what it does: printed, it shows the tree, the worst case of one call, and the findings.

        >>> from outlast.policies import Timeout
        >>> print(Pipeline("doc-explained", Timeout(2.0)).explain())
        pipeline 'doc-explained'
        └─ timeout 'timeout': 2 s
           └─ the call
        worst case of one call: 2 s, 1 call of the function
        """
        return explain(self._name, self._policies)

    def lint(self) -> tuple[Finding, ...]:
        """Return what is odd about the order and the numbers of its policies, the gravest first."""
        return lint(self._policies)

    def reconfigure(self, config: Sequence[str | Mapping[str, Any]]) -> tuple[str, ...]:
        """Change settings while calls run; windows, counts and queues stay, and calls under way end as they began.

        What a configuration cannot say, such as a function that was given in code, stays as it is.

        Args:
            config: As for `from_config`, with the same policies in the same order; what it does not name has
                its default again.

        Returns:
            A line for each thing that could not be kept.

        Raises:
            ConfigError: Something is wrong, other policies are named, or one cannot change while it runs;
                nothing was changed.

        >>> api = Pipeline.from_config("doc-changing", [{"retry": 3}])
        >>> api.reconfigure([{"retry": 5}]), api.to_config()
        ((), [{'retry': 5}])
        """
        from outlast.policies._change import change

        return change(self._policies, config, join("pipelines", self._name))

    def keyed(
        self, key: KeyFunction, *, max_keys: int = 10_000, registry: Registry = DEFAULT_REGISTRY
    ) -> KeyedPipeline:
        """Return a policy that gives each key these policies afresh, with a state of its own.

        Args:
            key: From the arguments of a call to its key, such as a host name.
            max_keys: How many keys are kept, >= 1. Only keys at rest are forgotten. Default 10000.
            registry: Knows it by this pipeline's name. Default: the shared one.

        >>> from outlast.policies import Retry
        >>> per_host = Pipeline("doc-hosts", Retry()).keyed(lambda host: host, max_keys=100)
        >>> per_host.call(len, "example.com"), len(per_host)
        (11, 1)
        """
        return KeyedPipeline(self, key, max_keys=max_keys, registry=registry)

    def worst(self, inner: Worst) -> Worst:
        """Return the worst of all its policies, from the inside out."""
        return reduce(lambda worst, policy: policy.worst(worst), reversed(self._policies), inner)

    def idle(self) -> bool:
        """Tell whether all its policies could be forgotten without loss."""
        return all(policy.idle() for policy in self._policies)

    def describe(self) -> str:
        """Say in one line what it does."""
        return f"pipeline {self._name!r}: {' > '.join(type(policy).__name__ for policy in self._policies)}"

    def snapshot(self) -> PipelineSnapshot:
        """Return the state of all its policies, and what it has counted."""
        states = tuple(policy.snapshot() for policy in self._policies)
        return PipelineSnapshot(self._name, states, self._meter.snapshot())

    def __repr__(self) -> str:
        """Show the policies with their state."""
        return f"Pipeline({self._name!r}, {', '.join(repr(policy) for policy in self._policies)})"


class _Guards:
    """Enter several guards in their order and leave them in the opposite one."""

    def __init__(self, meter: Guard, guards: list[Guard]) -> None:
        self._meter = meter
        self._guards = guards
        self._stack: ExitStack | AsyncExitStack | None = None

    def __enter__(self) -> list[Any]:
        with ExitStack() as stack:
            stack.enter_context(self._meter)
            entered = [stack.enter_context(guard) for guard in self._guards]
            self._stack = stack.pop_all()
        return entered

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace) if isinstance(self._stack, ExitStack) else None

    async def __aenter__(self) -> list[Any]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._meter)
            entered = [await stack.enter_async_context(guard) for guard in self._guards]
            self._stack = stack.pop_all()
        return entered

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        stack = self._stack
        return await stack.__aexit__(kind, error, trace) if isinstance(stack, AsyncExitStack) else None
