"""The one anatomy that every policy has: decorator, call, acall, guard, describe, snapshot."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, ClassVar, NoReturn, ParamSpec, Protocol, Self, TypeVar

from outlast.engines.worst import Worst
from outlast.errors import ConfigError
from outlast.policies._settings import Settings
from outlast.policies._shape import AnyFunction, as_async, wrap
from outlast.registry import Registry

P = ParamSpec("P")
R = TypeVar("R")

_BOUND: frozenset[Any] = frozenset({classmethod, staticmethod})
"""What holds a function and says how it is bound: the function inside is decorated."""


class Guard(Protocol):
    """Put a policy around one block, with `with` or with `async with`."""

    def __enter__(self) -> Any:
        """Ask to run the block."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        """Judge how the block ended."""
        ...

    async def __aenter__(self) -> Any:
        """Ask to run the block."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        """Judge how the block ended."""
        ...


class Policy(ABC):
    """Be something that a call passes through.

    A policy says how it wraps a function of each shape; everything else follows. One object may be
    around any number of functions, threads and event loops at once.
    """

    _made_with: Settings
    instead_of: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of settings that say the same thing: to change one takes the other back to its default."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Have `settings` tell what a subclass's own `reconfigure` has changed."""
        super().__init_subclass__(**options)
        if "reconfigure" in cls.__dict__:
            type.__setattr__(cls, "reconfigure", _remembering(cls.__dict__["reconfigure"]))

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keep the arguments, so that the policy can tell its settings and be made afresh."""
        policy = super().__new__(cls)
        policy._made_with = Settings(cls.__init__, args, kwargs)
        return policy

    @abstractmethod
    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value; if that can be awaited, awaiting it is part of the call."""

    @abstractmethod
    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""

    @abstractmethod
    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function."""

    @abstractmethod
    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function."""

    @abstractmethod
    def describe(self) -> str:
        """Say in one line what it does, for `Pipeline.explain`."""

    @abstractmethod
    def snapshot(self) -> Any:
        """Return its settings and its present state as a frozen record."""

    def worst(self, inner: Worst) -> Worst:
        """Return the worst that one call through this policy can cost, given what it wraps.

        A policy that neither waits, nor cuts, nor repeats returns what it is given.

        Args:
            inner: The worst of one call of what it wraps.
        """
        return inner

    def settings(self, *, defaults: bool = True) -> dict[str, Any]:
        """Return what it was made with and what `reconfigure` changed, by the names of its arguments.

        Clock, chance, bus, registry and name are no settings and are left out.

        Args:
            defaults: Whether to tell also what has its default value. Default True.
        """
        return self._made_with.all() if defaults else self._made_with.given()

    @property
    def given_name(self) -> str | None:
        """Return the name that it was given, or None when it has the default one."""
        return self._made_with.given_name

    def reconfigure(self, *_: Any, **settings: Any) -> Any:
        """Change settings while calls run; windows, counts and queues stay, and calls under way end as they began.

        Args:
            **settings: The arguments of the constructor that are to change.

        Returns:
            A line for each thing that could not be kept, if the policy has such.

        Raises:
            ConfigError: A setting is unknown, makes no sense, or cannot be changed at run time.
        """
        self._made_with.check(settings)
        if settings:
            fixed = ", ".join(sorted(settings))
            raise ConfigError(f"a {type(self).__name__} cannot change {fixed} while it runs; make a new one")

    def fresh(self, key: str | None = None) -> Self:
        """Return a policy of the same settings with a state of its own.

        It is in no shared registry. What was given as an object, such as a shared budget, stays shared.

        Args:
            key: Shown behind its name, if it has one. Default: it has the same name.
        """
        name = self._made_with.place("name")
        named = {} if name is None or key is None else {"name": f"{name}[{key}]"}
        args, kwargs = self._made_with.arguments(registry=Registry(), **named)
        return type(self)(*args, **kwargs)

    def idle(self) -> bool:
        """Tell whether it could be forgotten without loss: nobody is in it, and it holds nothing against anybody.

        Asked under a lock: quick, and without calling back.
        """
        return True

    def guard(self) -> Guard:
        """Return a guard for one block.

        Raises:
            ConfigError: The policy must be able to run its block again, which no `with` can do.
        """
        raise ConfigError(f"{type(self).__name__} must be able to run its call again, and a with block runs once")

    def __call__(self, fn: Callable[P, R], /) -> Callable[P, R]:
        """Decorate a function of any shape; its signature and its shape stay as they are."""
        kind: Any = type(fn)
        if kind in _BOUND:
            inside: Any = fn
            bound: Callable[P, R] = kind(self(inside.__func__))
            return bound
        wrapped = wrap(self, fn)
        if wrapped is fn:
            return fn
        decorated = functools.update_wrapper(wrapped, fn)
        vars(decorated)["__outlast_policy__"] = self  # the registry holds it weakly, and it must be found by its name
        return decorated

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            f"a {type(self).__name__} cannot be copied or pickled, its state belongs to this process: share it, make "
            "another of the same settings with fresh(), or make it in a module that the other process imports"
        )

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function through the policy.

        Args:
            fn: A function of any shape. What an async or generator function gives is wrapped too.
            *args: Its arguments.
            **kwargs: Its keyword arguments.
        """
        result: R = wrap(self, fn)(*args, **kwargs)
        return result

    async def acall(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function that returns an awaitable through the policy, and await it.

        Args:
            fn: A coroutine function, or any other that returns an awaitable.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Cancel: as the policy says; the call itself is cancelled first.
        """
        result: R = await self.wrap_async(as_async(fn))(*args, **kwargs)
        return result


def _remembering(reconfigure: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(reconfigure)
    def remembered(self: Policy, *args: Any, **settings: Any) -> Any:
        result = reconfigure(self, *args, **settings)
        named = inspect.signature(reconfigure).bind(self, *args, **settings).arguments
        self._made_with.change({**named, **settings}, self.instead_of)  # pyright: ignore[reportPrivateUsage]
        return result

    return remembered
