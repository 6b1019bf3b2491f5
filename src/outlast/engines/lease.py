"""Decide who may deliver from an outbox.

The holder proves that it lives in two ways: it holds a file lock that the kernel drops on its death,
and it writes a beat now and then. A contender takes over at once when the lock is free or the machine
has restarted, and after `ttl` seconds without a beat when the holder is frozen. Every takeover raises
the fence, and every later write of the old holder is refused because it carries the old one.

Source: M. Kleppmann, "How to do distributed locking" (2016), for fencing.
"""

from __future__ import annotations

from dataclasses import dataclass

from outlast.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LeaseConfig:
    """Hold the settings of a lease.

    Args:
        beat_every: Seconds between beats, > 0. Default 10.
        ttl: Seconds without a beat after which a frozen holder may be replaced, at least three beats; one that has died
            is replaced at once. Default 120; `LeaseConfig(5, 60)` is quicker at it.
    """

    beat_every: float = 10.0
    ttl: float = 120.0

    def __post_init__(self) -> None:
        """Refuse a lease that a healthy holder could lose."""
        if not self.beat_every > 0:
            raise ConfigError(f"must be above 0 seconds, not {self.beat_every!r}", path="lease.beat_every")
        if self.ttl < 3 * self.beat_every:
            raise ConfigError(
                f"must be at least three beats ({3 * self.beat_every:g} s), not {self.ttl:g}", path="lease.ttl"
            )

    @property
    def stop_after(self) -> float:
        """Return the seconds without an own beat after which a holder must stop sending by itself."""
        return self.ttl * 2 / 3


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """Show what is stored about the present term.

    Args:
        holder: The random id of the holder's process, empty when released.
        fence: The number of the term.
        boot_id: The boot of the machine in which it last beat.
        beat: Monotonic seconds of that boot at the last beat.
        ttl: Seconds for which the beat counts.
        locked: Whether the holder has the file lock, so that a free lock proves its death. One that took
            over from a frozen holder gets the lock only when that process ends.
    """

    holder: str
    fence: int
    boot_id: str
    beat: float
    ttl: float
    locked: bool = True


@dataclass(frozen=True, slots=True)
class Take:
    """The lease may be taken under this fence, for this reason."""

    fence: int
    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    """The lease is held by another; ask again in that many seconds."""

    holder: str
    retry_after: float


def contend(row: LeaseRow | None, *, now: float, boot_id: str, lock_free: bool) -> Take | Held:
    """Decide whether a contender may take the lease.

    Args:
        row: What is stored, or None when nobody ever held it.
        now: Monotonic seconds of the present boot.
        boot_id: The present boot.
        lock_free: Whether the contender got the file lock.
    """
    if row is None:
        return Take(1, "first holder")
    if not row.holder:
        return Take(row.fence + 1, "released")
    if row.boot_id != boot_id:
        return Take(row.fence + 1, "the machine has restarted")
    if lock_free and row.locked:
        return Take(row.fence + 1, "the holder's process has ended")
    stale_in = row.beat + row.ttl - now
    return Held(row.holder, stale_in) if stale_in > 0 else Take(row.fence + 1, f"no beat for {row.ttl:g} s")


def must_stop(config: LeaseConfig, last_beat: float, now: float) -> bool:
    """Tell whether a holder whose last own beat lies that far back must stop sending."""
    return now - last_beat >= config.stop_after
