"""Decide whether what somebody wants to queue still fits, and how long to wait for room.

A call is judged by what it makes of the outbox: it is refused in whole when a bound would be exceeded by it. What
takes no room, such as a write that is folded into one that waits, fits always, also when a bound was lowered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from outlast.errors import ConfigError, OutboxFullError

_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.1
_REMEDY: Final = {
    "ops": "deliver some first, wait for room with when_full='wait', or raise max_ops",
    "bytes": "deliver some first, wait for room with when_full='wait', or raise max_bytes",
    "parked": "decide about some with outlast outbox conflicts, dead, replay and discard, or raise max_parked",
    "age": "nothing of its lane was delivered for so long: see why, or raise max_age",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxLimits:
    """Bound what may wait in an outbox.

    What is queued already is never touched by a bound, and what is sent again by a decision is not judged: bounds
    are for new writes. Each producer is judged by its own bounds on what lies in the outbox, whoever has queued it.

    Args:
        max_ops: How many writes may wait, >= 1, or None for any number. Default None. Conflicts and dead letters
            do not count here.
        max_bytes: How many bytes of bodies and bases may wait, >= 1, or None. Default None.
        max_body: How many bytes the body or base of one write may have, >= 1, or None. Default 16 MiB.
        max_parked: How many conflicts and dead letters may lie there, >= 1, or None for any number. As long as there
            are so many, no new write is taken; what waits goes on, and may join them. Default None.
        max_age: How many seconds ago the oldest write that waits may have been queued, > 0, or None. Default None.
        reserve: How many bytes of the disk are kept back from new writes, so that what waits can be delivered and
            recorded when nothing else fits, >= 0. Default 16 MiB, or a quarter of what the file may have at all where
            that is less. For SQLite only.
        when_full: `raise` an `OutboxFullError`, or `wait` for room. Default `raise`.
        wait_for: Seconds to wait for room at most, > 0, or None for ever. Default None.
    """

    max_ops: int | None = None
    max_bytes: int | None = None
    max_body: int | None = 16 << 20
    max_parked: int | None = None
    max_age: float | None = None
    reserve: int | None = None
    when_full: Literal["raise", "wait"] = "raise"
    wait_for: float | None = None

    def __post_init__(self) -> None:
        """Refuse bounds that mean nothing."""
        for name, least in (("max_ops", 1), ("max_bytes", 1), ("max_body", 1), ("max_parked", 1), ("reserve", 0)):
            value: object = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise ConfigError(f"must be a whole number from {least}, or None, not {value!r}", path=f"limits.{name}")
        for name in ("max_age", "wait_for"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int | float) or not value > 0):
                raise ConfigError(f"must be above 0 seconds, or None, not {value!r}", path=f"limits.{name}")
        if self.when_full not in {"raise", "wait"}:
            raise ConfigError(f"must be 'raise' or 'wait', not {self.when_full!r}", path="limits.when_full")

    @property
    def counted(self) -> bool:
        """Tell whether somebody must count what waits."""
        bounds = (self.max_ops, self.max_bytes, self.max_parked, self.max_age)
        return any(bound is not None for bound in bounds)

    def check_body(self, name: str, body: bytes | None) -> None:
        """Refuse a body that is too large by itself.

        Args:
            name: What it is called, such as `write.body`.
            body: The bytes, or None.
        """
        if body is not None and self.max_body is not None and len(body) > self.max_body:
            raise ConfigError(
                f"has {len(body):,} bytes, and max_body is {self.max_body:,}: keep what is large elsewhere and queue "
                "its name, or raise the bound",
                path=name,
            )


class Load(NamedTuple):
    """Say how much waits.

    Args:
        ops: How many writes.
        bytes: Bytes of their bodies and bases.
        age: Seconds since the oldest of them was queued, 0 when there is none or nobody asks.
        parked: How many conflicts and dead letters there are, counted up to the bound.
    """

    ops: int
    bytes: int
    age: float = 0.0
    parked: int = 0

    def plus(self, sizes: list[int]) -> Load:
        """Return the load with further writes of these sizes."""
        return self._replace(ops=self.ops + len(sizes), bytes=self.bytes + sum(sizes))


def overrun(limits: OutboxLimits, before: Load, after: Load) -> OutboxFullError | None:
    """Return what stands against a change of the load, None when nothing does.

    Args:
        limits: The bounds.
        before: What waits without it.
        after: What would wait with it.
    """
    for what, limit, was, would in (
        ("ops", limits.max_ops, before.ops, after.ops),
        ("bytes", limits.max_bytes, before.bytes, after.bytes),
    ):
        if limit is not None and would > limit and would > was:
            return _full(what, limit, would, never=would - was > limit)
    if limits.max_parked is not None and before.parked >= limits.max_parked and after.ops > before.ops:
        return _full("parked", limits.max_parked, before.parked, never=False)
    if limits.max_age is not None and before.age > limits.max_age and after.ops > before.ops:
        return _full("age", limits.max_age, before.age, never=False)
    return None


def _full(what: str, limit: float, found: float, *, never: bool) -> OutboxFullError:
    fact = {
        "ops": f"{found:,} writes would wait, {found - limit:,} above max_ops={limit:,}",
        "bytes": f"{found:,} bytes would wait, {found - limit:,} above max_bytes={limit:,}",
        "parked": f"conflicts and dead letters wait for a decision, as many as max_parked={limit:,} allows",
        "age": f"the oldest write waits for {found:.0f} s, {found - limit:.0f} s longer than max_age={limit:g}",
    }[what]
    remedy = "it never fits: queue less in one call, or raise the bound" if never else _REMEDY[what]
    return OutboxFullError(f"the outbox is full: {fact}; {remedy}", what=what, limit=limit, found=found, never=never)


class Patience:
    """Say how long to pause before the next look for room: a moment first, longer and longer then.

    Args:
        limits: Whether and how long to wait.
        now: Monotonic seconds at which the waiting begins.
    """

    def __init__(self, limits: OutboxLimits, now: float) -> None:
        self._allowed = limits.when_full == "wait"
        self._end = None if limits.wait_for is None else now + limits.wait_for
        self._pause = _FIRST_PAUSE

    def left(self, now: float) -> float | None:
        """Return the seconds that are left to wait, None for no end."""
        return None if self._end is None else max(0.0, self._end - now)

    def pause(self, full: OutboxFullError, now: float) -> float:
        """Return how long to pause.

        Args:
            full: What the last look has found.
            now: Monotonic seconds.

        Raises:
            OutboxFullError: Waiting is not wanted, of no use, or over.
        """
        left = self.left(now)
        if not self._allowed or full.never or left == 0.0:
            raise full
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        return pause if left is None else min(pause, left)
