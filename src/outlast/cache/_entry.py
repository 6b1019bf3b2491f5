"""A stored value with what must be known about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

from outlast.cache._result import Loaded, Source
from outlast.engines.read_plan import Held


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold a value as a tier keeps it.

    Args:
        value: The value, or None.
        known_at: Monotonic seconds at which it was known to be current.
        negative: Whether it is "there is no such thing".
        etag: The version that the source gave to it.
        size: Its encoded bytes; 0 when it was never encoded.
        retry_at: Monotonic seconds before which no further load is tried.
        failure: The type of the last load's failure.
    """

    value: Any
    known_at: float
    negative: bool = False
    etag: str | None = None
    size: int = 0
    retry_at: float = -math.inf
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """Hold a usable entry, where it was found and how old it is."""

    entry: Entry
    source: Source
    age: float

    @property
    def held(self) -> Held:
        """Return what the engine needs to know."""
        entry = self.entry
        return Held(self.age, negative=entry.negative, retry_at=entry.retry_at, failure=entry.failure)


def entry_of(value: object, known_at: float, etag: str | None = None) -> Entry:
    """Return the entry for what a loader returned or a caller put.

    Args:
        value: A value, a `Loaded`, or None for absence.
        known_at: Monotonic seconds at which it was known to be current.
        etag: Its version, unless a `Loaded` names it.
    """
    if isinstance(value, Loaded):
        loaded = cast("Loaded[object]", value)
        return entry_of(loaded.value, known_at, loaded.etag)
    return Entry(value, known_at, negative=value is None, etag=etag)
