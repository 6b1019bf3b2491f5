"""The same policies for each key, each key with a state of its own, and never more keys than fit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, cast

from outlast.config import check_number
from outlast.engines.worst import Worst
from outlast.errors import BulkheadFullError, ConfigError, RejectedError
from outlast.policies._lint import flat
from outlast.policies._policy import Policy
from outlast.policies._relay import AsyncItems, AsyncOpened, Finished, Items, aopen_stream, arelay
from outlast.policies._shape import PLAIN, AnyFunction, is_awaitable
from outlast.registry import DEFAULT_REGISTRY, Registry

if TYPE_CHECKING:
    from outlast.policies._pipeline import Pipeline

KeyFunction = Callable[..., Hashable]
"""From the arguments of a call to what it is about, such as a host name."""


@dataclass(frozen=True, slots=True)
class KeyedSnapshot:
    """Show a keyed pipeline.

    Args:
        name: Its name.
        max_keys: How many keys fit.
        evicted: Keys forgotten since the start.
        refused: Calls refused since the start because no key could be forgotten.
        members: The snapshot of each key's pipeline, the least recently used first.
    """

    name: str
    max_keys: int
    evicted: int
    refused: int
    members: Mapping[Hashable, Any]


class _Member:
    """Be one key's pipeline, and count the calls that are in it."""

    __slots__ = ("inside", "pipeline", "version")

    def __init__(self, pipeline: Pipeline, version: int) -> None:
        self.pipeline = pipeline
        self.version = version
        self.inside = 0

    @property
    def idle(self) -> bool:
        """Tell whether nobody is in it and nothing is held against its key."""
        return self.inside == 0 and self.pipeline.idle()


def _no_way(*_: Any, **__: Any) -> Any:
    raise AssertionError  # pragma: no cover - stands where no member has been met yet


_Ways = dict[Hashable, tuple[_Member | None, AnyFunction]]
_NO_WAY: Final = (None, _no_way)


class KeyedPipeline(Policy):
    """Give every key policies of its own with the same settings; made by `Pipeline.keyed`.

    When a new key comes and all places are taken, the least recently used key is forgotten that is at
    rest: no call of it is under way, its circuit is closed, nobody waits for it. A key whose circuit is open
    is never forgotten, for it would start again closed. If none is at rest, the call is refused: the bound
    holds, and nobody's protection is dropped for a newcomer. `forget` makes room by hand.

    Args:
        pipeline: Whose settings the keys get; it serves no calls itself.
        key: From the arguments of a call to its key.
        max_keys: How many keys are kept, >= 1. Default 10000.
        registry: Knows it by the pipeline's name, as a `keyed_pipeline`. Default: the shared one.

    Raises:
        ConfigError: A number makes no sense.
        DuplicateNameError: A live one has the name.
        BulkheadFullError: On a call: the key is new, and of the others none is at rest.

    Cancel: as each policy says; the key's place is given free.

    Thread-safe: yes.
    """

    def __init__(
        self, pipeline: Pipeline, key: KeyFunction, *, max_keys: int = 10_000, registry: Registry = DEFAULT_REGISTRY
    ) -> None:
        check_number("max_keys", max_keys, least=1)
        if not callable(key):
            raise ConfigError(f"must be a function from a call's arguments to its key, not {key!r}", path="key")
        self._template = pipeline
        self._key = key
        self._max_keys = max_keys
        self._members: OrderedDict[Hashable, _Member] = OrderedDict()
        self._evicted = self._refused = self._version = 0
        self._lock = threading.Lock()
        registry.register("keyed_pipeline", self)

    @property
    def name(self) -> str:
        """Return the name of the pipeline that it was made of."""
        return self._template.name

    def __len__(self) -> int:
        """Return how many keys it keeps."""
        return len(self._members)

    def of(self, key: Hashable) -> Pipeline:
        """Return the pipeline of a key, made if need be, to look at it or to force its circuit.

        Args:
            key: What the key function gives.

        Raises:
            BulkheadFullError: The key is new, and of the others none is at rest.
        """
        with _Inside(self, key) as member:
            return member.pipeline

    def forget(self, key: Hashable) -> bool:
        """Forget a key whatever its state, such as that of a host that will never be called again.

        Calls that are in it end as they began.

        Args:
            key: What the key function gives.

        Returns:
            Whether it was there.
        """
        with self._lock:
            return self._members.pop(key, None) is not None

    def enter(self, key: Hashable) -> _Member:
        """Find or make the member of a key, and count a call in it."""
        member = self._find(key, None)
        while member is None:
            # Policies are made outside of the lock; if another thread was quicker, its member is taken.
            version = self._version
            member = self._find(key, _Member(self._template.fresh(str(key)), version))
        return member

    def _find(self, key: Hashable, new: _Member | None) -> _Member | None:
        with self._lock:
            member = self._members.get(key)
            if member is None and new is not None and new.version == self._version:
                self._make_room(key)
                member = self._members[key] = new
            if member is not None:
                self._members.move_to_end(key)
                member.inside += 1
            return member

    def _make_room(self, key: Hashable) -> None:
        if len(self._members) < self._max_keys:
            return
        victim = next((known for known, member in self._members.items() if member.idle), None)
        if victim is None:
            self._refused += 1
            text = f"{self.name}: all {self._max_keys} keys are in use or have open circuits; raise max_keys"
            raise BulkheadFullError(text, operation=self.name, key=str(key))
        del self._members[victim]
        self._evicted += 1

    def leave(self, member: _Member) -> None:
        """Count a call out of a member."""
        with self._lock:
            member.inside -= 1

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value, or an awaitable that then counts as a call of its key."""
        ways: _Ways = {}

        def keyed(*args: Any, **kwargs: Any) -> Any:
            key = self._key(*args, **kwargs)
            with _Inside(self, key) as member:
                known, way = ways.get(key, _NO_WAY)
                if known is not member:
                    way = self._keep(ways, key, member, member.pipeline.wrap_sync(fn))
                result = way(*args, **kwargs)
            if type(result) in PLAIN or not is_awaitable(result) or hasattr(result, "add_done_callback"):
                return result
            return self._later(key, result)

        return keyed

    def _keep(self, ways: _Ways, key: Hashable, member: _Member, way: AnyFunction) -> AnyFunction:
        if len(ways) >= self._max_keys:
            ways.clear()  # what was forgotten must not live on here
        ways[key] = (member, way)
        return way

    async def _later(self, key: Hashable, result: Any) -> Any:
        with _Inside(self, key):
            return await result

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable."""
        ways: _Ways = {}

        async def keyed(*args: Any, **kwargs: Any) -> Any:
            key = self._key(*args, **kwargs)
            with _Inside(self, key) as member:
                known, way = ways.get(key, _NO_WAY)
                if known is not member:
                    way = self._keep(ways, key, member, member.pipeline.wrap_async(fn))
                return await way(*args, **kwargs)

        return keyed

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function; the stream is a call of its key until it ends."""

        def keyed(*args: Any, **kwargs: Any) -> Items:
            with _Inside(self, self._key(*args, **kwargs)) as member:
                items: Items = member.pipeline.wrap_generator(fn)(*args, **kwargs)
                return (yield from items)

        return keyed

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function; the stream is a call of its key until it ends."""

        async def opening(fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncOpened | Finished:
            use = _Inside(self, self._key(*args, **kwargs))
            way = use.__enter__().pipeline.wrap_async_generator(fn)
            try:
                opened = await aopen_stream(way, args, kwargs)
            except BaseException as error:
                use.__exit__(type(error), error, error.__traceback__)
                raise
            if isinstance(opened, Finished):
                use.__exit__(None, None, None)
                return opened
            return AsyncOpened(cast("AsyncItems", _Held(opened.items, use)), opened.first)

        return arelay(fn, opening=opening)

    def worst(self, inner: Worst) -> Worst:
        """Return the worst of one key's policies."""
        return self._template.worst(inner)

    @property
    def policies(self) -> Sequence[Policy]:
        """Return the policies whose settings every key has, outermost first."""
        return self._template.policies

    def idle(self) -> bool:
        """Tell whether every key is at rest."""
        with self._lock:
            return all(member.idle for member in self._members.values())

    def reconfigure(self, config: Sequence[str | Mapping[str, Any]]) -> tuple[str, ...]:
        """Change settings for all keys, those to come included; windows and states stay.

        Args:
            config: As for `Pipeline.reconfigure`.

        Returns:
            A line for each thing that could not be kept.

        Raises:
            ConfigError: Something is wrong; nothing was changed.
        """
        self._template.reconfigure(config)
        with self._lock:
            self._version += 1  # a member that is being made of the old settings is made again
            members = list(self._members.values())
        return tuple(line for member in members for line in member.pipeline.reconfigure(config))

    def describe(self) -> str:
        """Say in one line what it does."""
        return f"for each of up to {self._max_keys} keys: {self._template.describe()}"

    def snapshot(self) -> KeyedSnapshot:
        """Return the state of every key."""
        with self._lock:
            members, evicted, refused = dict(self._members), self._evicted, self._refused
        shown = {key: member.pipeline.snapshot() for key, member in members.items()}
        return KeyedSnapshot(self.name, self._max_keys, evicted, refused, shown)

    def __repr__(self) -> str:
        """Show the settings and how many keys there are."""
        return f"KeyedPipeline({self._template!r}, keys={len(self)}, max_keys={self._max_keys})"


class _Inside:
    """Be a call inside the member of a key."""

    __slots__ = ("_key", "_keyed", "_member")

    def __init__(self, keyed: KeyedPipeline, key: Hashable) -> None:
        self._keyed = keyed
        self._key = key

    def __enter__(self) -> _Member:
        self._member = self._keyed.enter(self._key)
        return self._member

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keyed.leave(self._member)
        if isinstance(error, RejectedError) and error.key is None and self._is_ours(error):
            error.key = str(self._key)

    def _is_ours(self, error: RejectedError) -> bool:
        # A rejection may also come out of the function itself, from a policy that knows nothing of this key.
        return any(getattr(policy, "name", None) == error.policy for policy in flat(self._member.pipeline.policies))


class _Held:
    """Be an async stream that gives its key's place free when it is closed."""

    def __init__(self, items: Any, use: _Inside) -> None:
        self.asend, self.athrow = items.asend, items.athrow
        self._items = items
        self._use = use

    async def aclose(self) -> None:
        try:
            await self._items.aclose()
        finally:
            self._use.__exit__(None, None, None)
