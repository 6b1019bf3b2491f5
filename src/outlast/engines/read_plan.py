"""Decide how a read is answered from what is stored, and when a stale answer stands in for a load.

Source: FusionCache for the soft time limit that counts only while a stale value is at hand, and for the
pause after a failed load; RFC 5861 for the windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from outlast.engines.freshness import Freshness, Use


@dataclass(frozen=True, slots=True)
class Held:
    """Describe a stored value, without the value.

    Args:
        age: Seconds since it was known to be current.
        negative: Whether it is "there is no such thing".
        retry_at: Monotonic seconds before which no further load is tried.
        failure: What the last load failed with, empty if it did not.
    """

    age: float
    negative: bool = False
    retry_at: float = -math.inf
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer with the stored value.

    Args:
        stale: Whether it is older than its time to live.
        refresh: Whether to load a new one behind the caller's back.
        why: Why it is stale, empty if it is not.
    """

    stale: bool
    refresh: bool
    why: str


@dataclass(frozen=True, slots=True)
class Load:
    """Load a new value.

    Args:
        fallback: Whether the stored value may be answered if that is slow or fails.
    """

    fallback: bool


Plan = Answer | Load


def plan_read(freshness: Freshness, held: Held | None, now: float) -> Plan:
    """Say how to answer a read.

    Args:
        freshness: How old an answer may be.
        held: The stored value, or None.
        now: Monotonic seconds.

    >>> plan_read(Freshness(ttl=60), Held(age=90.0), now=0.0)
    Load(fallback=True)
    """
    if held is None:
        return Load(fallback=False)
    paused = now < held.retry_at
    match freshness.use(held.age, negative=held.negative):
        case Use.FRESH:
            return Answer(stale=False, refresh=False, why="")
        case Use.REVALIDATE:
            return Answer(stale=True, refresh=not paused, why=why_failed(held.failure) if paused else "being refreshed")
        case Use.FALLBACK:
            stand_in = Answer(stale=True, refresh=False, why=why_failed(held.failure))
            return stand_in if paused else Load(fallback=True)
        case Use.EXPIRED:
            return Load(fallback=False)


def patience(freshness: Freshness, *, fallback: bool, loading_for: float) -> float | None:
    """Return the seconds to wait for a load before a stale value is answered, or None to wait to its end.

    The time counts from the start of the load, so that a slow source costs its limit once and not once a reader.

    Args:
        freshness: How old an answer may be.
        fallback: Whether there is a stale value that may be answered.
        loading_for: Seconds since the load began.
    """
    if not fallback or freshness.soft_timeout is None:
        return None
    return max(0.0, freshness.soft_timeout - loading_for)


def why_failed(error: str) -> str:
    """Return the sentence for a stale answer after a failed load."""
    return f"loading failed: {error}"


def why_slow(freshness: Freshness) -> str:
    """Return the sentence for a stale answer while a load goes on."""
    return f"loading took longer than {freshness.soft_timeout:g} s"
