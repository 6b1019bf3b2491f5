"""One cache's side of a file: values in and out, and what is wrong with it."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from outlast.cache._codec import Codec
from outlast.cache._entry import Entry
from outlast.cache._envelope import Envelope, Row
from outlast.cache._sqlite_tier import SqliteTier
from outlast.clock import Clock
from outlast.errors import CorruptError

_SWEEP_EVERY = 1000


class DiskSide:
    """Speak for one cache to a file.

    What goes wrong is kept in `error` until something goes right; each first failure is told apart from
    the following ones, so that an outage is reported once.

    Thread-safe: no; its owner holds a lock where it says so.

    Args:
        name: The cache.
        tier: The file.
        codec: How values become bytes.
        clock: Where ages come from.
        keep_for: Seconds after which a value is of no use.
    """

    def __init__(self, name: str, tier: SqliteTier, codec: Codec, clock: Clock, keep_for: float) -> None:
        self._name = name
        self._tier = tier
        self._envelope = Envelope(codec, clock)
        self._clock = clock
        self._keep_for = keep_for
        self._writes = 0
        self.error: Exception | None = tier.failure
        tier.attach()

    @property
    def readable(self) -> bool:
        """Tell whether the file may be read at all: a damaged one is left alone."""
        return self._tier.failure is None

    @property
    def writable(self) -> bool:
        """Tell whether the file could be opened; nothing can come back from one that could not."""
        return self._tier.is_open

    def lookup(self, key: str) -> Future[Row | None]:
        """Ask for what is stored."""
        return self._tier.lookup(self._name, key)

    def ticket(self, key: str) -> Future[int]:
        """Ask for the generation under which a load begins."""
        return self._tier.ticket(self._name, key)

    def seal(self, key: str, entry: Entry) -> Row:
        """Return the row for an entry; whatever the codec raises passes through."""
        return self._envelope.seal(key, entry)

    def open(self, key: str, row: Row | None) -> Entry | None:
        """Return the entry of a row, or None if it is of another type.

        Raises:
            CorruptError: The row is damaged, or its codec cannot read it.
        """
        if row is None:
            return None
        try:
            return self._envelope.open(key, row)
        except CorruptError:
            raise
        except Exception as error:
            raise CorruptError(f"the stored value of {key!r} cannot be decoded: {error}") from error

    def fill(self, key: str, row: Row, ticket: int) -> Future[bool]:
        """Store what a load brought; called under the owner's lock, so that the order is that in memory."""
        self._sweep_now_and_then()
        return self._tier.fill(self._name, key, row, ticket)

    def put(self, key: str, row: Row) -> Future[Any]:
        """Store what a caller knows; called under the owner's lock."""
        self._sweep_now_and_then()
        return self._tier.put(self._name, key, row)

    def remove(self, key: str) -> Future[Any]:
        """Delete a key; called under the owner's lock."""
        return self._tier.remove(self._name, key)

    def clear(self) -> Future[Any]:
        """Delete everything; called under the owner's lock."""
        return self._tier.clear(self._name)

    def failed(self, error: Exception) -> bool:
        """Keep what went wrong, and tell whether it is the first failure in a row."""
        first = self.error is None
        self.error = error
        return first

    def worked(self) -> None:
        """Take note that the file works, unless it is damaged."""
        self.error = self._tier.failure

    def close(self) -> None:
        """Write what is queued and let go of the file."""
        self._tier.detach()

    def _sweep_now_and_then(self) -> None:
        if self._writes % _SWEEP_EVERY == 0:
            self._tier.sweep(self._name, (self._clock.wall() - self._keep_for) * 1000)
        self._writes += 1
