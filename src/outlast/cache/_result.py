"""What a read returns, what a loader may return, and what a snapshot shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

V_co = TypeVar("V_co", covariant=True)


class Source(StrEnum):
    """Say where a value came from."""

    MEMORY = "memory"
    """From this process."""
    DISK = "disk"
    """From the file, which may have been written by an earlier process."""
    LOADED = "loaded"
    """From the loader, just now."""


@dataclass(frozen=True, slots=True)
class Loaded(Generic[V_co]):
    """Be what a loader returns when it has more to say than the value.

    Args:
        value: The value; None for "there is no such thing".
        etag: The version that the source gave to it, or None.
    """

    value: V_co
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Result(Generic[V_co]):
    """Be an answer that says where it came from.

    Args:
        value: The value; None for "there is no such thing".
        source: `memory`, `disk` or `loaded`.
        age: Seconds since the value was known to be current: since the load that brought it *began*.
        stale: Whether it is older than its time to live.
        why: Why a stale value was answered, in a short sentence; empty otherwise.
        etag: The version that the source gave to it, or None.
    """

    value: V_co
    source: Source
    age: float
    stale: bool = False
    why: str = ""
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class CacheSnapshot:
    """Show the state of a cache.

    Args:
        name: Its name.
        items: Values in memory.
        hits_fresh: Reads answered with a fresh stored value.
        hits_stale: Reads answered with a stale one.
        misses: Reads answered by loading.
        loads: Loads started.
        load_failures: Loads that failed or ran into their limit.
        in_flight: Loads that run now.
        evictions: Values dropped from memory to make room.
        too_big: Values not kept in memory because they are larger than all of it.
        disk_error: What is wrong with the file, empty if nothing is.
        closed: Whether the cache is closed.
    """

    name: str
    items: int
    hits_fresh: int
    hits_stale: int
    misses: int
    loads: int
    load_failures: int
    in_flight: int
    evictions: int
    too_big: int
    disk_error: str
    closed: bool
