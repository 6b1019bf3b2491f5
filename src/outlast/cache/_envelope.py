"""Wrap a value for the file: its bytes with age, version, type and checksum; and judge it when it comes back."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

from outlast.cache._codec import Codec
from outlast.cache._entry import Entry
from outlast.clock import Clock
from outlast.errors import CorruptError
from outlast.storage import boot_id


@dataclass(frozen=True, slots=True)
class Row:
    """Be one stored value as the file holds it.

    Args:
        payload: The encoded value; empty for "there is no such thing".
        etag: The version that the source gave to it.
        negative: 1 for "there is no such thing".
        known: Monotonic seconds of that boot at which it was known to be current.
        boot: The boot of the machine.
        wall_ms: The same moment in Unix milliseconds.
        fingerprint: The type that it was encoded from.
        checksum: CRC-32 of all of it, key included.
    """

    payload: bytes
    etag: str | None
    negative: int
    known: float
    boot: str
    wall_ms: int
    fingerprint: str
    checksum: int = 0


class Envelope:
    """Wrap and unwrap the values of one cache.

    Args:
        codec: How values become bytes.
        clock: Where ages come from.
    """

    def __init__(self, codec: Codec, clock: Clock) -> None:
        self._codec = codec
        self._clock = clock

    def seal(self, key: str, entry: Entry) -> Row:
        """Return the row for an entry; whatever the codec raises passes through."""
        payload = b"" if entry.negative else self._codec.encode(entry.value)
        known_wall = self._clock.wall() - (self._clock.now() - entry.known_at)
        row = Row(
            payload=payload,
            etag=entry.etag,
            negative=int(entry.negative),
            known=entry.known_at,
            boot=boot_id(),
            wall_ms=int(known_wall * 1000),
            fingerprint=self._codec.fingerprint,
        )
        return replace(row, checksum=_checksum(key, row))

    def open(self, key: str, row: Row) -> Entry | None:
        """Return the entry of a row, or None if it was stored under another type.

        Raises:
            CorruptError: The row is not what was written.
        """
        if _checksum(key, row) != row.checksum:
            raise CorruptError(f"the stored value of {key!r} does not match its checksum; it is not used")
        if row.fingerprint != self._codec.fingerprint:
            return None
        value = None if row.negative else self._codec.decode(row.payload)
        known_at = self._clock.now() - self._age(row)
        return Entry(value, known_at, negative=bool(row.negative), etag=row.etag, size=len(row.payload))

    def _age(self, row: Row) -> float:
        now = self._clock.now()
        if row.boot == boot_id() and row.known <= now:
            return now - row.known
        # Another boot counts from another zero; the wall clock is all that both have.
        return max(0.0, self._clock.wall() - row.wall_ms / 1000)


def _checksum(key: str, row: Row) -> int:
    facts = (key, row.etag, row.negative, row.known, row.boot, row.wall_ms, row.fingerprint)
    return zlib.crc32(repr(facts).encode(), zlib.crc32(row.payload))
