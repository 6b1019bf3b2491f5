"""Queue a store's writes, each based on the one before it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

from outlast.cache import Cache
from outlast.engines.op import Verb
from outlast.outbox import Outbox, Ticket, Write
from outlast.store._pending import PendingWrite, PendingWrites


class WriteQueue:
    """Queue writes, those of one key one after the other.

    Two saves of one new key at the same time are a creation and a change behind it: the second looks at what
    is known only when the first is queued. A caller who goes away leaves a write that is queued whole and
    that readers see, so the next one can build on it.

    Args:
        kind: The type of the entities.
        outbox: Where writes wait.
        cache: What is known of the entities.
        pending: What the readers of the store must see.
        shown: What readers are shown of a body that is stored under a key, None for nothing.
    """

    def __init__(
        self,
        kind: str,
        outbox: Outbox,
        cache: Cache,
        pending: PendingWrites,
        shown: Callable[[bytes, str], bytes | None],
    ) -> None:
        self._kind = kind
        self._outbox = outbox
        self._cache = cache
        self._pending = pending
        self._shown = shown
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[Ticket]] = set()

    async def queue(self, key: str, body: bytes | None) -> Ticket:
        """Queue the writing of an entity, or its removing, and return the ticket after the durable commit.

        Args:
            key: Its id.
            body: The whole new state, or None to remove it.

        Cancel: the write is queued all the same.
        """
        task = asyncio.create_task(self._in_turn(key, body), name="outlast-store-queue")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # told to the caller, if there still is one

    async def aclose(self) -> None:
        """Wait for what is being queued."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _in_turn(self, key: str, body: bytes | None) -> Ticket:
        async with self._turns.setdefault(key, asyncio.Lock()):
            exists, etag, base = await self._known(key)
            verb = _verb(body, exists=exists)
            write = Write(verb=verb, kind=self._kind, entity=key, body=body, if_match=etag, base=base)
            (ticket,) = await self._outbox.enqueue(write)
            self._pending.add(key, PendingWrite(ticket.seq, write.verb, body))
            return ticket

    async def _known(self, key: str) -> tuple[bool, str | None, bytes | None]:
        """Return whether the entity exists as far as this program knows, and version and content to base a write on."""
        own = self._pending.newest(key)
        if own is not None:
            # Behind an unconfirmed write the version is not known yet; the outbox fills it in when it is.
            return own.verb is not Verb.DELETE, _strong(own.etag), own.body
        seen = await self._cache.peek(key)
        if seen is None or seen.value is None:
            return False, None, None
        return True, _strong(seen.etag), self._shown(seen.value, key)


def _verb(body: bytes | None, *, exists: bool) -> Verb:
    if body is None:
        return Verb.DELETE
    return Verb.PUT if exists else Verb.CREATE


def _strong(etag: str | None) -> str | None:
    """Return a version that can be a condition: a weak one never passes If-Match (RFC 9110 section 13.1.1)."""
    return None if etag is None or etag.startswith("W/") else etag
