"""An overlay without colour: what is known, who is told, and what a look at the outbox means."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Mapping, MutableMapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from outlast.engines.coalesce import MERGE_PATCHES
from outlast.engines.json_values import ABSENT
from outlast.engines.op import OpState, Verb
from outlast.engines.overlay import Effect, LocalOp, OverlayEngine, Seen, Version
from outlast.outbox import Op, OpContent, OpStatus, PendingDiff, Write

T = TypeVar("T")

_log = logging.getLogger("outlast.sync_engine")

Listener = Callable[[str], object]
"""Told the id of an entity that may look different now."""
OnSettled = Callable[[OpStatus | None], object]
"""Told the status of an op: delivered, in conflict or dead; None for one that was discarded."""
Look = Generator[Future[Any], Any, None]
"""Ask for one answer of the outbox after the other; whoever drives it waits in its own way."""

_DONE: Final = frozenset({OpState.DELIVERED, OpState.ANNIHILATED})
_SETTLED: Final = frozenset({*_DONE, OpState.CONFLICT, OpState.DEAD, OpState.MERGED})


class OverlaySource(Protocol):
    """Say what an overlay needs of an outbox; what `Outbox` and `SyncOutbox` have in common has it."""

    def data_version(self) -> Future[int | str]:
        """Return something that is another whenever anybody has committed."""
        ...

    def diff_pending(
        self, kind: str, contents: Mapping[int, OpContent], places: Collection[int]
    ) -> Future[PendingDiff]:
        """Compare the undelivered ops of a kind with what is known of them."""
        ...

    def statuses(self, state: OpState | None, seq: int | None, limit: int) -> Future[list[OpStatus]]:
        """Return the status of the op of a place, nothing if it was discarded."""
        ...

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a listener, from any thread, after changes of this process."""
        ...

    async def result(self, future: Future[T]) -> T:
        """Wait for one of the futures on the running event loop."""
        ...


class OverlayCore:
    """Hold what both faces share: what is known, who is told, and what a look at the outbox means.

    What is to be told waits in `_news` until `publish`, which the faces call when they hold no lock.

    Thread-safe: yes, but for `look`, of which one may run at a time.
    """

    def __init__(self, kind: str, shadow: MutableMapping[str, Any] | None, effect: Effect) -> None:
        self._kind = kind
        self.shadow: MutableMapping[str, Any] = {} if shadow is None else shadow
        self._engine = OverlayEngine(effect)
        self._written: dict[int, tuple[Verb, bytes | None]] = {}
        self._contents: dict[int, OpContent] = {}
        self._lock = threading.RLock()
        self._listeners: list[Listener] = []
        self._followers: dict[int, tuple[OnSettled | None, OnSettled | None]] = {}
        self._news: deque[Callable[[], object]] = deque()
        self._version: int | str | None = None
        self._reasons_to_look = 0

    def wrote(self, writes: Sequence[Write], seqs: Sequence[int]) -> None:
        """Add writes of this program, which may be delivered before anybody looks."""
        with self._lock:
            for write, seq in zip(writes, seqs, strict=True):
                # One that was folded into an op that is known is left to the next look.
                if write.kind == self._kind and self._engine.op(seq) is None:
                    self._engine.queue(local_op(seq, write))
                    self._written[seq] = write.verb, write.body
            self._look_again()
        self._tell([write.entity for write in writes if write.kind == self._kind])

    def look(self, source: OverlaySource) -> Look:
        """Look what has become of the ops, if the file has changed; one look at a time."""
        reasons = self._reasons_to_look
        version = yield source.data_version()
        if version == self._version:
            return
        with self._lock:
            places = {**self._engine.waiting, **self._followers}
        found = yield source.diff_pending(self._kind, self._contents, places)
        self._adopt(found)
        for seq in found.absent:
            statuses = yield source.statuses(None, seq, 1)
            self._settle(seq, statuses[0] if statuses else None)
        with self._lock:
            self._version = version if reasons == self._reasons_to_look else None

    def _look_again(self) -> None:
        # What was written or is followed may be settled already, and then the file will not change any more.
        self._reasons_to_look += 1
        self._version = None

    def _adopt(self, found: PendingDiff) -> None:
        """Take over what the outbox holds that is new here."""
        changed: list[str] = []
        with self._lock:
            self._contents.update(found.contents)
            for op in found.changed:
                if self._written.pop(op.seq, None) != (op.verb, op.body):
                    self._engine.queue(local_op(op.seq, op))
                    changed.append(op.entity)
        self._tell(changed)

    def _settle(self, seq: int, status: OpStatus | None) -> None:
        """Note what became of an op that the outbox no longer holds as pending."""
        if status is not None and status.state not in _SETTLED:
            return  # it was replayed between the two questions
        done = status is not None and status.state in _DONE
        with self._lock:
            op = self._engine.op(seq)
            # One that was settled without effect, for which there is a reason, no pull will ever contain.
            if status is not None and status.state is OpState.DELIVERED and not status.reason:
                self._engine.acknowledge(seq, status.etag)
            else:
                self._engine.remove(seq)
            self._contents.pop(seq, None)
            self._written.pop(seq, None)
            on_success, on_error = self._followers.pop(seq, (None, None))
            if status is not None and status.into is not None:
                self._followers.setdefault(status.into, (on_success, on_error))
                on_success = on_error = None
        self._tell([] if op is None else [op.entity])
        callback = on_success if done else on_error
        if callback is not None:
            self._news.append(partial(callback, status))

    def land(self, entity: str, value: Any, version: Version, mark: int | None, includes: int | None) -> bool:
        """Put what was pulled into the shadow, unless it is older than what is there."""
        with self._lock:
            gone = value is ABSENT
            if not self._engine.land(entity, version=version, mark=mark, includes=includes, gone=gone):
                return False
            if gone:
                self.shadow.pop(entity, None)
            else:
                self.shadow[entity] = value
        self._tell([entity])
        return True

    def start_pull(self) -> int:
        """Return the mark of a pull that begins now."""
        with self._lock:
            return self._engine.start_pull()

    def view(self, entity: str) -> Seen:
        """Return what a user sees of an entity."""
        with self._lock:
            return self._engine.view(entity, self.shadow.get(entity, ABSENT))

    def views(self) -> dict[str, Any]:
        """Return all that a user sees, by id."""
        with self._lock:
            ids = dict.fromkeys((*self.shadow, *sorted(self._engine.entities)))
            seen = {entity: self.view(entity).value for entity in ids}
        return {entity: value for entity, value in seen.items() if value is not ABSENT}

    def follow(self, seq: int, on_success: OnSettled | None, on_error: OnSettled | None) -> None:
        """Tell somebody what becomes of an op."""
        with self._lock:
            self._followers[seq] = (on_success, on_error)
            self._look_again()

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call a listener for each entity that may look different; returns how to stop."""
        with self._lock:
            self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def _tell(self, entities: Sequence[str]) -> None:
        for entity in dict.fromkeys(entities):
            self._news.extend(partial(listener, entity) for listener in tuple(self._listeners))

    def publish(self) -> None:
        """Tell the listeners what they have not been told yet; call it without a lock."""
        while self._news:
            try:
                news = self._news.popleft()
            except IndexError:  # pragma: no cover - another thread was quicker, between the two lines
                return
            try:
                news()
            except Exception:  # one listener's mistake must not keep the news from the others
                _log.exception("a listener of an overlay raised")


def local_op(seq: int, op: Op | Write) -> LocalOp:
    """Return an op as the engine sees it."""
    try:
        body = None if op.body is None else json.loads(op.body)
    except ValueError:
        body = op.body
    # What a patch of another sort would make of the entity nobody here can say, so it shows nothing.
    strange = op.verb is Verb.PATCH and (op.content_type not in MERGE_PATCHES or isinstance(body, bytes))
    return LocalOp(seq, op.entity, Verb.POST if strange else op.verb, body)
