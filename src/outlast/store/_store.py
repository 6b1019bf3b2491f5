"""A typed store that keeps answering and never loses a write."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from outlast.cache import Cache, Loaded
from outlast.errors import ConfigError, SchemaError, ShuttingDownError, StorageError
from outlast.outbox import Outbox, Ticket
from outlast.store._backend import Backend, Document
from outlast.store._codec import TypedCodec
from outlast.store._config import StoreConfig
from outlast.store._delivery import StoreDelivery, default_breaker, default_retry
from outlast.store._pending import PendingWrites
from outlast.store._queueing import WriteQueue
from outlast.store._result import StoreResult, StoreSource

T = TypeVar("T")


class Store(Generic[T]):
    """Read and write typed entities of a backend that may be away.

    A read is answered from what this program has written itself, else from the cache, else from the
    backend, and says which. A write is durable in the outbox when `save` or `delete` returns; the store
    delivers it in the background, and readers see it at once, also after a restart.

    Args:
        model: The type of the entities: a dataclass, a msgspec Struct or anything msgspec can decode.
        backend: Where entities come from and writes go, such as `HttpBackend`.
        cache: Where they are kept. Give it a `disk` tier to survive restarts.
        outbox: Where writes wait; the store does not close it.
        config: The settings.
        key: The name of the field that holds the id, or a function from the entity to it. Default `id`.

    Whatever waits in the outbox goes to this backend, also entities of other kinds: stores of one API may share an
    outbox, each further API needs one of its own.

    Thread-safe: no; use it from one event loop.
    """

    def __init__(
        self,
        model: type[T],
        *,
        backend: Backend,
        cache: Cache,
        outbox: Outbox,
        config: StoreConfig | None = None,
        key: str | Callable[[T], str | int] = "id",
    ) -> None:
        self._config = config or StoreConfig()
        self._codec = TypedCodec(model)
        self._backend = backend
        self._cache = cache
        self._outbox = outbox
        self._key_of = key if callable(key) else _field(model, key)
        self._pending = PendingWrites()
        self._queue = WriteQueue(backend.kind, outbox, cache, self._pending, self._shown)
        self._breaker = self._config.circuit_breaker or default_breaker(outbox.core)
        self._retry = self._config.retry or default_retry(outbox.core, cache.freshness.load_timeout)
        self._delivery = StoreDelivery(
            outbox, backend, self._breaker, self._config, self._pending, show=cache.put, refresh=self._refresh
        )
        self._open = False

    async def __aenter__(self) -> Self:
        """Read what is queued and start to deliver it."""
        await self._delivery.start()
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop delivering, after the requests on the wire have had their time; what is queued stays queued."""
        self._open = False
        try:
            await self._queue.aclose()
        finally:
            await self._delivery.stop()

    async def get(self, key: str | int) -> T | None:
        """Return an entity, or None when there is none; `read` also says where it came from.

        Args:
            key: Its id.

        Raises:
            RemoteError: The backend fails and nothing usable is stored.
            CircuitOpenError: The backend is not asked now and nothing usable is stored.
        """
        return (await self.read(key)).value

    async def read(self, key: str | int) -> StoreResult[T]:
        """Return an entity with where it came from, how old it is and whether it is stale.

        Args:
            key: Its id.

        Raises:
            RemoteError: The backend fails and nothing usable is stored.
            CircuitOpenError: The backend is not asked now and nothing usable is stored.
            SchemaError: What the backend says does not fit the model, and nothing usable is stored.

        Cancel: nothing is left behind; a load that others wait for goes on.
        """
        self._check_open()
        name = _id_text(key, "$")
        own = self._pending.newest(name)
        if own is not None:
            value = None if own.body is None else self._codec.decode(own.body, name)
            return StoreResult(value, StoreSource.PENDING, 0.0, stale=False, why="written here, not delivered yet")
        try:
            return await self._stored(name)
        except _UnfitError:
            # An older program kept it, and it is of no use to this one.
            with contextlib.suppress(StorageError):
                await self._cache.remove(name)
            return await self._stored(name)

    async def _stored(self, key: str) -> StoreResult[T]:
        found = await self._cache.read(key, self._load)
        try:
            value = None if found.value is None else self._codec.decode(found.value, key)
        except SchemaError as error:
            raise _UnfitError(str(error), path=error.path) from error
        return StoreResult(value, StoreSource.of(found.source), found.age, stale=found.stale, why=found.why)

    async def _load(self, key: str) -> Loaded[bytes | None]:
        return self._checked(await self._retry.acall(self._ask, key), key)

    async def _ask(self, key: str) -> Document | None:
        await self._delivery.give_way()
        return await self._breaker.acall(self._backend.load, key)

    def _checked(self, document: Document | None, key: str) -> Loaded[bytes | None]:
        if document is None:
            return Loaded(None)
        self._codec.decode(document.body, key)  # what does not fit the model must not be stored
        return Loaded(document.body, etag=document.etag)

    def _shown(self, body: bytes, key: str) -> bytes | None:
        """Return what of an entity whoever uses this store has seen; of what the model leaves out it saw nothing."""
        try:
            return self._codec.encode(self._codec.decode(body, key))
        except SchemaError:
            return None

    async def _refresh(self, key: str) -> None:
        """Fetch what the server holds, once; if that fails, what is stored goes on being of use."""
        with contextlib.suppress(Exception):
            loaded = self._checked(await self._breaker.acall(self._backend.load, key), key)
            await self._cache.put(key, loaded.value, loaded.etag)

    async def save(self, entity: T) -> Ticket:
        """Queue the writing of an entity and return its ticket after the durable commit.

        An entity that this store has seen is replaced, if the server still has the version that was
        seen; one that it has never seen is created, and never overwrites what may be there. Of a server
        that names no versions, or only weak ones, the first cannot be asked.

        Args:
            entity: The whole new state.

        Raises:
            SchemaError: It does not have the declared shape; nothing was queued.
            StorageFullError: The disk is full; nothing was queued.
            OutboxFullError: The outbox has bounds, and no room; nothing was queued.

        Cancel: the write is queued all the same, and readers see it.
        """
        self._check_open()
        body = self._codec.encode(entity)
        return await self._queue.queue(_id_text(self._key_of(entity), "$"), body)

    async def delete(self, key: str | int) -> Ticket:
        """Queue the removing of an entity and return its ticket after the durable commit.

        Args:
            key: Its id.

        Raises:
            StorageFullError: The disk is full; nothing was queued.

        Cancel: the removing is queued all the same, and readers see it.
        """
        self._check_open()
        return await self._queue.queue(_id_text(key, "$"), None)

    def snapshot(self) -> dict[str, Any]:
        """Return the state of the store's parts."""
        return {
            "pending": len(self._pending),
            "cache": self._cache.snapshot(),
            "circuit": self._breaker.snapshot(),
            "delivery": self._delivery.trouble,
        }

    @property
    def trouble(self) -> str:
        """Return why writes are not being delivered now, empty when they are."""
        return self._delivery.trouble

    async def delivered(self, timeout: float | None = None) -> None:
        """Wait until nothing is left here that could be delivered.

        What is in conflict or dead, and what it holds back, waits for a decision and not for time.

        Args:
            timeout: Seconds to wait at most, or None for ever.

        Raises:
            TimeoutError: Something still waits; nothing is lost.
        """
        async with asyncio.timeout(timeout):
            while len(self._pending) and not await self._delivery.waits_for_decisions():
                await self._outbox.core.clock.asleep(0.05)

    def _check_open(self) -> None:
        if not self._open:
            raise ShuttingDownError("the store is not open; use it inside `async with`", operation="store")


class _UnfitError(SchemaError):
    """What is stored does not fit the model."""


def _field(model: type[T], name: str) -> Callable[[T], str]:
    fields = {field for base in inspect.getmro(model) for field in inspect.get_annotations(base)}
    if name not in fields and not hasattr(model, name):
        raise ConfigError(f"{model.__name__} has no field {name!r}; name the one that holds the id", path="key")

    def key_of(entity: T) -> str:
        typed = isinstance(entity, Mapping)  # a TypedDict
        value: Any = cast("Mapping[str, Any]", entity)[name] if typed else getattr(entity, name)
        return _id_text(value, f"$.{name}")

    return key_of


def _id_text(value: object, path: str) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
        raise SchemaError(f"the id must be a text or a whole number, not {value!r}", path=path)
    return str(value)
