"""What a read of a store gives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from outlast.cache import Source

T = TypeVar("T")


class StoreSource(StrEnum):
    """Say where an answer came from."""

    PENDING = "pending"
    """Written by this program, not confirmed by the server yet."""
    MEMORY = "memory"
    DISK = "disk"
    BACKEND = "backend"

    @classmethod
    def of(cls, source: Source) -> StoreSource:
        """Return the store's word for a cache's."""
        match source:
            case Source.MEMORY:
                return cls.MEMORY
            case Source.DISK:
                return cls.DISK
            case Source.LOADED:
                return cls.BACKEND


@dataclass(frozen=True, slots=True)
class StoreResult(Generic[T]):
    """Hold an answer and where it came from.

    Args:
        value: The entity, or None when there is none.
        source: Where it came from.
        age: Seconds since it was known to be current.
        stale: Whether that is longer than the freshness allows.
        why: Why a stale or pending value was given, in words; empty otherwise.
    """

    value: T | None
    source: StoreSource
    age: float
    stale: bool
    why: str
