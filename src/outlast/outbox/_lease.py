"""Own the delivery from one outbox: a row with a fence, a lock that dies with its holder, and a beat."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.engines.lease import Held, LeaseConfig, LeaseRow, Take, contend, must_stop
from outlast.errors import LeaseHeldError, LeaseLostError
from outlast.outbox._queries.tables import Tables, ways_of
from outlast.storage import Database

T = TypeVar("T")

_ROLE: Final = "deliver"
_TRIES: Final = 10
_TRY_EVERY: Final = 0.005
_SOON: Final = 0.02
"""Seconds to the first beat of a holder that has not got the lock yet; the next ones come after twice as long each."""
_TAKE: Final = """
INSERT INTO $lease (role, holder, fence, boot, beat, ttl, locked) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (role) DO UPDATE SET holder = excluded.holder, fence = excluded.fence, boot = excluded.boot,
    beat = excluded.beat, ttl = excluded.ttl, locked = excluded.locked
"""


class ProcessingLease:
    """Let at most one process deliver from an outbox at a time.

    Taking over raises the fence; every later write of the former holder carries the old one and is
    refused. A holder beats from a thread of its own, so that a blocked event loop does not hide a dead
    beat, and a holder that could not beat for two thirds of the time to live stops by itself.
    What a fence cannot do is to recall a request that is already on the wire.

    Thread-safe: yes.

    Args:
        database: The outbox's database.
        config: Seconds between beats and until a frozen holder may be replaced.
        clock: Where the time comes from.
        on_lost: Called once, from the beating thread, when another process has taken over.
    """

    def __init__(
        self,
        database: Database,
        config: LeaseConfig | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        self._database = database
        self._config = config or LeaseConfig()
        self._clock = clock
        self._on_lost = on_lost
        self._holder = uuid.uuid4().hex
        self._ways = ways_of(database.dialect)
        self._lock = database.lock("lease")
        self._one_beat = threading.Lock()
        self._stop = threading.Event()
        self._beats: threading.Thread | None = None
        self._last_beat = 0.0
        self.reason = ""
        self.fence = 0

    @property
    def held(self) -> bool:
        """Tell whether this process may send now."""
        return self.fence > 0 and not must_stop(self._config, self._last_beat, self._clock.now())

    def acquire(self) -> int:
        """Take the lease and start to beat.

        Returns:
            The fence of this term.

        Raises:
            LeaseHeldError: Another live process holds it; `retry_after` says when to ask again.
        """
        lock_free = self._lock.try_acquire()
        try:
            decision = self._decide(lock_free=lock_free)
        except BaseException:
            self._lock.release()
            raise
        self.fence, self.reason = decision.fence, decision.reason
        self._stop.clear()
        if not lock_free:
            self._insist()
        self._beats = threading.Thread(target=self._beat_on, name="outlast-lease", daemon=True)
        self._beats.start()
        return self.fence

    def try_acquire(self) -> bool:
        """Take the lease as `acquire` does, and tell whether that went well instead of raising `LeaseHeldError`."""
        try:
            self.acquire()
        except LeaseHeldError:
            return False
        return True

    def _insist(self) -> None:
        """Try to get the lock before anything is sent; another contender has it only for a moment."""
        for _ in range(_TRIES):
            if self._lock.try_acquire():
                with suppress(Exception):  # the next beat will tell
                    self.heartbeat()
                return
            self._stop.wait(_TRY_EVERY)

    def _decide(self, *, lock_free: bool) -> Take:
        now = self._clock.now()
        decision = self._write(lambda db: self._contend(db, now, lock_free=lock_free))
        if isinstance(decision, Held):
            raise LeaseHeldError(
                f"another process delivers from {self._database.name}; wait until it ends, or end it",
                retry_after=decision.retry_after,
                operation="lease",
            )
        self._last_beat = now
        return decision

    def _write(self, job: Callable[[Tables], T]) -> T:
        return self._database.write(lambda db: job(Tables(db, self._ways))).result()

    def _contend(self, db: Tables, own_now: float, *, lock_free: bool) -> Take | Held:
        db.ways.begin_contest(db)
        now, boot = db.ways.lease_clock(db, own_now)
        found = db.execute(
            "SELECT holder, fence, boot, beat, ttl, locked FROM $lease WHERE role = ?", (_ROLE,)
        ).fetchone()
        row = None if found is None else LeaseRow(*found)
        decision = contend(row, now=now, boot_id=boot, lock_free=lock_free)
        if isinstance(decision, Take):
            db.execute(_TAKE, (_ROLE, self._holder, decision.fence, boot, now, self._config.ttl, lock_free))
        return decision

    def heartbeat(self) -> None:
        """Say that this process lives.

        Raises:
            LeaseLostError: Another process has taken over.
        """
        with self._one_beat:  # the caller's own and those of the thread
            now, fence = self._clock.now(), self.fence
            # Whoever took over from a frozen process has to wait for the lock until that process ends.
            locked = self._lock.try_acquire()
            changed = self._write(lambda db: _beat(db, self._holder, fence, now, locked=locked))
            if not changed:
                self._last_beat = float("-inf")
                self._lock.release()  # it proves the life of the new holder from now on
                raise LeaseLostError("another process has taken over the delivery", operation="lease")
            self._last_beat = now

    def _beat_on(self) -> None:
        # Another contender may have had the lock at the moment of the taking. Until the holder has it, its death would
        # only show by the beats that do not come: so the first beats come soon.
        wait = self._config.beat_every if self._lock.held else _SOON
        while not self._stop.wait(wait):
            wait = self._config.beat_every if self._lock.held else min(2 * wait, self._config.beat_every)
            try:
                self.heartbeat()
            except LeaseLostError:
                if self._on_lost is not None:
                    self._on_lost()
                return
            except Exception:  # noqa: S112 - a beat that fails now may succeed next time; `held` tells the truth
                continue

    def release(self) -> None:
        """Give the lease up, so that another process may take it at once; a second call does nothing."""
        self._stop.set()
        if self._beats is not None and self._beats is not threading.current_thread():
            self._beats.join()
        fence, self.fence = self.fence, 0
        try:
            if fence:
                self._write(lambda db: _free(db, self._holder, fence))
        finally:
            self._lock.release()


def _beat(db: Tables, holder: str, fence: int, own_now: float, *, locked: bool) -> bool:
    now, boot = db.ways.lease_clock(db, own_now)
    beaten = db.execute(
        "UPDATE $lease SET beat = ?, boot = ?, locked = ? WHERE role = ? AND holder = ? AND fence = ? RETURNING fence",
        (now, boot, locked, _ROLE, holder, fence),
    )
    return beaten.get is not None


def _free(db: Tables, holder: str, fence: int) -> None:
    db.execute("UPDATE $lease SET holder = '' WHERE role = ? AND holder = ? AND fence = ?", (_ROLE, holder, fence))
