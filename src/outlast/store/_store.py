"""A typed store that keeps answering and never loses a write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from outlast.cache import Cache, Loaded
from outlast.engines.op import Verb
from outlast.errors import ConfigError, SchemaError, ShuttingDownError
from outlast.outbox import Outbox, Ticket, Write
from outlast.store._backend import Backend
from outlast.store._codec import TypedCodec
from outlast.store._config import StoreConfig
from outlast.store._delivery import StoreDelivery, default_breaker, default_retry
from outlast.store._pending import PendingWrite, PendingWrites
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
        key: str | Callable[[T], str] = "id",
    ) -> None:
        self._config = config or StoreConfig()
        self._codec = TypedCodec(model)
        self._backend = backend
        self._cache = cache
        self._outbox = outbox
        self._key_of = key if callable(key) else _field(model, key)
        self._pending = PendingWrites()
        self._breaker = self._config.circuit_breaker or default_breaker(outbox.core)
        self._retry = self._config.retry or default_retry(outbox.core, cache.freshness.load_timeout)
        self._delivery = StoreDelivery(outbox, backend, self._breaker, self._config, self._pending, self._show)
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
        await self._delivery.stop()

    async def get(self, key: str) -> T | None:
        """Return an entity, or None when there is none; `read` also says where it came from.

        Args:
            key: Its id.

        Raises:
            RemoteError: The backend fails and nothing usable is stored.
            CircuitOpenError: The backend is not asked now and nothing usable is stored.
        """
        return (await self.read(key)).value

    async def read(self, key: str) -> StoreResult[T]:
        """Return an entity with where it came from, how old it is and whether it is stale.

        Args:
            key: Its id.

        Raises:
            RemoteError: The backend fails and nothing usable is stored.
            CircuitOpenError: The backend is not asked now and nothing usable is stored.

        Cancel: nothing is left behind; a load that others wait for goes on.
        """
        self._check_open()
        own = self._pending.newest(key)
        if own is not None:
            value = None if own.body is None else self._codec.decode(own.body, key)
            return StoreResult(value, StoreSource.PENDING, 0.0, stale=False, why="written here, not delivered yet")
        found = await self._cache.read(key, self._load)
        value = None if found.value is None else self._codec.decode(found.value, key)
        return StoreResult(value, StoreSource.of(found.source), found.age, stale=found.stale, why=found.why)

    async def _load(self, key: str) -> Loaded[bytes | None]:
        document = await self._retry.acall(self._breaker.acall, self._backend.load, key)
        if document is None:
            return Loaded(None)
        self._codec.decode(document.body, key)  # what does not fit the model must not be stored
        return Loaded(document.body, etag=document.etag)

    async def save(self, entity: T) -> Ticket:
        """Queue the writing of an entity and return its ticket after the durable commit.

        An entity that this store has seen is replaced, if the server still has the version that was
        seen; one that it has never seen is created, and never overwrites what may be there.

        Args:
            entity: The whole new state.

        Raises:
            SchemaError: It does not have the declared shape; nothing was queued.
            StorageFullError: The disk is full; nothing was queued.

        Cancel: the write is queued whole or not at all.
        """
        self._check_open()
        body = self._codec.encode(entity)
        key = self._key_of(entity)
        exists, etag = await self._known(key)
        verb = Verb.PUT if exists else Verb.CREATE
        return await self._queue(key, Write(verb=verb, kind=self._backend.kind, entity=key, body=body, if_match=etag))

    async def delete(self, key: str) -> Ticket:
        """Queue the removing of an entity and return its ticket after the durable commit.

        Args:
            key: Its id.

        Cancel: the write is queued whole or not at all.
        """
        self._check_open()
        _, etag = await self._known(key)
        return await self._queue(key, Write(verb=Verb.DELETE, kind=self._backend.kind, entity=key, if_match=etag))

    async def _known(self, key: str) -> tuple[bool, str | None]:
        """Return whether the entity exists as far as this program knows, and the version to base a write on."""
        own = self._pending.newest(key)
        if own is not None:
            # Behind an unconfirmed write the version is not known yet; the outbox fills it in when it is.
            return own.verb is not Verb.DELETE, own.etag
        seen = await self._cache.peek(key)
        return (False, None) if seen is None or seen.value is None else (True, seen.etag)

    async def _queue(self, key: str, write: Write) -> Ticket:
        (ticket,) = await self._outbox.enqueue(write)
        self._pending.add(key, PendingWrite(ticket.seq, write.verb, write.body))
        return ticket

    async def _show(self, key: str, body: bytes | None, etag: str | None) -> None:
        await self._cache.put(key, body, etag=etag)

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

    async def delivered(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asked once, without a scope
        """Wait until nothing that was queued here is undelivered.

        Args:
            timeout: Seconds to wait at most, or None for ever.

        Raises:
            TimeoutError: Something still waits; nothing is lost.
        """
        async with asyncio.timeout(timeout):
            while len(self._pending):
                await self._outbox.core.clock.asleep(0.05)

    def _check_open(self) -> None:
        if not self._open:
            raise ShuttingDownError("the store is not open; use it inside `async with`", operation="store")


def _field(model: type[T], name: str) -> Callable[[T], str]:
    if name not in getattr(model, "__annotations__", {}) and not hasattr(model, name):
        raise ConfigError(f"{model.__name__} has no field {name!r}; name the one that holds the id", path="key")

    def key_of(entity: T) -> str:
        value = getattr(entity, name)
        if not isinstance(value, str | int) or value == "":
            raise SchemaError(f"the id must be a text or a whole number, not {value!r}", path=f"$.{name}")
        return str(value)

    return key_of
