"""Policies in a row around a call: the first named is the outermost."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from functools import reduce
from types import TracebackType
from typing import Any

from outlast.errors import ConfigError
from outlast.policies._policy import Guard, Policy
from outlast.policies._shape import AnyFunction
from outlast.registry import DEFAULT_REGISTRY, Registry


@dataclass(frozen=True, slots=True)
class PipelineSnapshot:
    """Show the state of a pipeline.

    Args:
        name: Its name.
        policies: The snapshots of its policies, outermost first.
    """

    name: str
    policies: tuple[Any, ...]


class Pipeline(Policy):
    """Pass a call through several policies, the first named outermost.

    The usual order, from outside to inside: fallback, deadline, retry, hedge, circuit breaker, bulkhead
    or rate limit, attempt timeout. A pipeline is a policy itself and may stand in another.

    Args:
        name: Under which it is registered.
        *policies: Outermost first.
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
    """

    def __init__(self, name: str, *policies: Policy, registry: Registry = DEFAULT_REGISTRY) -> None:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"the first argument is the pipeline's name, not {name!r}", path="name")
        for policy in policies:
            if not isinstance(policy, Policy):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigError(f"{policy!r} is not a policy", path=f"pipelines.{name}")
        self._name = name
        self._policies = policies
        registry.register("pipeline", self)

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
        return reduce(lambda inner, policy: policy.wrap_sync(inner), reversed(self._policies), fn)

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""
        return reduce(lambda inner, policy: policy.wrap_async(inner), reversed(self._policies), fn)

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function."""
        return reduce(lambda inner, policy: policy.wrap_generator(inner), reversed(self._policies), fn)

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function."""
        return reduce(lambda inner, policy: policy.wrap_async_generator(inner), reversed(self._policies), fn)

    def guard(self) -> Guard:
        """Return a guard for one block, for `with` or `async with`.

        Raises:
            ConfigError: One of the policies must be able to run the block again.
        """
        return _Guards([policy.guard() for policy in self._policies])

    def explain(self) -> str:
        """Return the policies as a tree, outermost first."""
        lines = [f"pipeline {self._name!r}"]
        lines += [f"{'   ' * depth}└─ {line}" for depth, line in enumerate(self._lines())]
        return "\n".join(lines)

    def _lines(self) -> list[str]:
        return [*(policy.describe() for policy in self._policies), "the call"]

    def describe(self) -> str:
        """Say in one line what it does."""
        return f"pipeline {self._name!r}: {' > '.join(type(policy).__name__ for policy in self._policies)}"

    def snapshot(self) -> PipelineSnapshot:
        """Return the state of all its policies."""
        return PipelineSnapshot(self._name, tuple(policy.snapshot() for policy in self._policies))

    def __repr__(self) -> str:
        """Show the policies with their state."""
        return f"Pipeline({self._name!r}, {', '.join(repr(policy) for policy in self._policies)})"


class _Guards:
    """Enter several guards in their order and leave them in the opposite one."""

    def __init__(self, guards: list[Guard]) -> None:
        self._guards = guards
        self._stack: ExitStack | AsyncExitStack | None = None

    def __enter__(self) -> list[Any]:
        with ExitStack() as stack:
            entered = [stack.enter_context(guard) for guard in self._guards]
            self._stack = stack.pop_all()
        return entered

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace) if isinstance(self._stack, ExitStack) else None

    async def __aenter__(self) -> list[Any]:
        async with AsyncExitStack() as stack:
            entered = [await stack.enter_async_context(guard) for guard in self._guards]
            self._stack = stack.pop_all()
        return entered

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        stack = self._stack
        return await stack.__aexit__(kind, error, trace) if isinstance(stack, AsyncExitStack) else None
