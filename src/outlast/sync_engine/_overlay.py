"""What a user sees of entities while edits of them wait in an outbox."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any, Self

from outlast.engines.json_values import ABSENT
from outlast.engines.overlay import Effect, Seen, Version, effect_of
from outlast.outbox import Outbox, OutboxCore, SyncOutbox, SyncTicket, Ticket, Write
from outlast.sync_engine._overlay_core import Listener, OnSettled, OverlayCore

_log = logging.getLogger("outlast.sync_engine")


class _OverlayFace:
    """Have what needs no waiting, the same for tasks and threads."""

    def __init__(self, source: OutboxCore, kind: str, shadow: MutableMapping[str, Any] | None, effect: Effect) -> None:
        self._source = source
        self._kind = kind
        self._core = OverlayCore(kind, shadow, effect)

    def start_pull(self) -> int:
        """Return the mark of a pull that begins now, for `pulled`."""
        return self._core.start_pull()

    def pulled(
        self,
        entity: str,
        value: Any,
        *,
        version: Version = None,
        mark: int | None = None,
        includes: int | str | None = None,
    ) -> bool:
        """Put what was pulled into the shadow; False says that it is older than what is there, so pull again.

        Args:
            entity: Its id.
            value: Its JSON value, None if it does not exist.
            version: Its version, if the server names one.
            mark: What `start_pull` gave before the request; None for an event that the server pushed.
            includes: The idempotency key that an event names, or the place of the own op that it comes from: what is
                shown holds that op already. The key of somebody else's write says nothing.
        """
        if isinstance(includes, str):
            includes = self._source.identity.place(includes)
        landed = self._core.land(entity, ABSENT if value is None else value, version, mark, includes)
        self._core.publish()
        return landed

    def follow(self, seq: int, *, on_success: OnSettled | None = None, on_error: OnSettled | None = None) -> None:
        """Tell somebody, at most once in this process, what becomes of an op.

        Args:
            seq: Its place, the `seq` of its ticket.
            on_success: Told when it was delivered, or a policy has found that it need not be.
            on_error: Told when it was rolled back: in conflict, dead, or discarded (then with None).
        """
        self._core.follow(seq, on_success, on_error)

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call a listener with the id of each entity that may look different; returns how to stop."""
        return self._core.on_change(listener)


class Overlay(_OverlayFace):
    """Show entities as they will be: what was pulled, with the ops that wait in an outbox replayed on it.

    Each read looks first whether the file has changed, so that it shows what this process and others have queued.
    What is queued by `enqueue` here is shown for certain; what goes past it may be delivered between two looks, and
    is then seen when it is pulled.
    An op that was delivered stays visible until a pull contains it: whoever pulls must tell `pulled`. An op that is
    in conflict, dead or discarded, or that a policy has dropped, is rolled back by replaying the others. Inside
    `async with`, listeners are told without anybody reading.

    Args:
        box: The outbox.
        kind: The type of the entities.
        shadow: What was last pulled, by id: JSON values. Default: an empty dict of its own; `pulled` fills it.
        effect: What an op makes of a value; give one to show what a POST will have done.
        look_every: Seconds between looks for what other processes and deliveries did, for the listeners. Default 0.25.

    Thread-safe: no; use it from one event loop. `SyncOverlay` serves threads.
    """

    def __init__(
        self,
        box: Outbox,
        kind: str,
        *,
        shadow: MutableMapping[str, Any] | None = None,
        effect: Effect = effect_of,
        look_every: float = 0.25,
    ) -> None:
        super().__init__(box.core, kind, shadow, effect)
        self._box = box
        self._one_look = asyncio.Lock()
        self._look_every = look_every

    async def enqueue(self, *writes: Write) -> list[Ticket]:
        """Queue writes and show them, however soon they are delivered; see `Outbox.enqueue`.

        Cancel: the writes are queued whole or not at all; what was queued is seen by the next look.
        """
        tickets = await self._box.enqueue(*writes)
        self._core.wrote(writes, [ticket.seq for ticket in tickets])
        self._core.publish()
        return tickets

    async def refresh(self) -> None:
        """Look what has become of the ops. Cancel: the next look sees what this one did not."""
        async with self._one_look:
            look = self._core.look(self._source)
            answer: Any = None
            with contextlib.suppress(StopIteration):
                while True:
                    answer = await self._source.result(look.send(answer))
        self._core.publish()

    async def get(self, entity: str) -> Any:
        """Return the value of an entity, None if there is none."""
        return _or_none((await self.see(entity)).value)

    async def see(self, entity: str) -> Seen:
        """Return the value of an entity, or ABSENT, with the places of the own ops that were replayed for it."""
        await self.refresh()
        return self._core.view(entity)

    async def items(self) -> dict[str, Any]:
        """Return all entities that there are to be seen, by id."""
        await self.refresh()
        return self._core.views()

    async def _watch(self, woken: asyncio.Event) -> None:
        while True:
            try:
                await self.refresh()
            except Exception:  # the file is busy or broken now; readers are told, and the next look may succeed
                _log.exception("an overlay of %s could not look at its outbox", self._kind)
            woken.clear()
            try:
                async with asyncio.timeout(self._look_every):
                    await woken.wait()
            except TimeoutError:
                pass

    async def __aenter__(self) -> Self:
        """Begin to tell the listeners."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        await self.refresh()
        self._stop = self._source.on_change(lambda: _wake(loop, woken))
        self._task = asyncio.create_task(self._watch(woken), name="outlast-overlay")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop telling them."""
        self._stop()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class SyncOverlay(_OverlayFace):
    """Show entities as they will be, for blocking code; see `Overlay`. Listeners are told when somebody reads.

    Args:
        box: The outbox.
        kind: The type of the entities.
        shadow: What was last pulled, by id: JSON values. Default: an empty dict of its own; `pulled` fills it.
        effect: What an op makes of a value; give one to show what a POST will have done.

    Thread-safe: yes.
    """

    def __init__(
        self,
        box: SyncOutbox,
        kind: str,
        *,
        shadow: MutableMapping[str, Any] | None = None,
        effect: Effect = effect_of,
    ) -> None:
        super().__init__(box.core, kind, shadow, effect)
        self._box = box
        self._one_look = threading.Lock()

    def enqueue(self, *writes: Write) -> list[SyncTicket]:
        """Queue writes and show them, however soon they are delivered; see `Outbox.enqueue`."""
        tickets = self._box.enqueue(*writes)
        self._core.wrote(writes, [ticket.seq for ticket in tickets])
        self._core.publish()
        return tickets

    def refresh(self) -> None:
        """Look what has become of the ops."""
        with self._one_look:
            look = self._core.look(self._source)
            answer: Any = None
            with contextlib.suppress(StopIteration):
                while True:
                    answer = look.send(answer).result()
        self._core.publish()

    def get(self, entity: str) -> Any:
        """Return the value of an entity, None if there is none."""
        return _or_none(self.see(entity).value)

    def see(self, entity: str) -> Seen:
        """Return the value of an entity, or ABSENT, with the places of the own ops that were replayed for it."""
        self.refresh()
        return self._core.view(entity)

    def items(self) -> dict[str, Any]:
        """Return all entities that there are to be seen, by id."""
        self.refresh()
        return self._core.views()


def _wake(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody listens any more
        loop.call_soon_threadsafe(woken.set)


def _or_none(value: Any) -> Any:
    return None if value is ABSENT else value
