"""What both faces of a cache share: every decision and every change of state; only the waiting is theirs."""

from __future__ import annotations

import os
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from outlast.cache._codec import Codec, PlainCodec
from outlast.cache._disk_side import DiskSide
from outlast.cache._entry import Entry, Found, entry_of
from outlast.cache._envelope import Row
from outlast.cache._flight import Flight, Lease, refuse_reentry
from outlast.cache._keys import key_text
from outlast.cache._result import CacheSnapshot, Result, Source
from outlast.cache._shelf import Shelf
from outlast.cache._sieve import Memory
from outlast.cache._sqlite_tier import SqliteTier
from outlast.cache._tally import Tally
from outlast.clock import Clock
from outlast.config import check_number
from outlast.engines.freshness import Freshness, Use
from outlast.engines.read_plan import Plan, patience, plan_read, why_failed, why_slow
from outlast.errors import DeadlineExceededError, ForkedError, Outcome, ShuttingDownError
from outlast.events import EventBus


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold what a cache was made with; the faces document each."""

    name: str
    freshness: Freshness
    memory: Memory
    disk: SqliteTier | None
    codec: Codec | None
    retry_load_after: float
    clock: Clock
    bus: EventBus


@dataclass(frozen=True, slots=True)
class Lookup:
    """Be one question to the file, with the lease under which its answer may be kept."""

    lease: Lease
    row: Future[Row | None]


class CacheCore:
    """Decide for one cache, and keep its parts together.

    No method waits. Thread-safe: yes.
    """

    def __init__(self, settings: Settings) -> None:
        check_number("retry_load_after", settings.retry_load_after, least=0)
        self.settings = settings
        self.name = settings.name
        self.freshness = settings.freshness
        self.disk: DiskSide | None = None
        self._clock = settings.clock
        self._pid = os.getpid()
        self._shelf = Shelf(settings.memory)
        self._tally = Tally(settings.name, settings.clock, settings.bus)

    def attach_disk(self) -> None:
        """Take hold of the file; called once the name is known to be free."""
        s = self.settings
        if s.disk is not None:
            self.disk = DiskSide(s.name, s.disk, s.codec or PlainCodec(), s.clock, s.freshness.keep_for)

    def admit(self, key: str | int) -> str:
        """Return the text of a key, if the cache may be used here and now.

        Raises:
            ConfigError: The key is neither text nor a whole number.
            ShuttingDownError: The cache is closed.
            ForkedError: It was made before a fork.
        """
        self.check_open()
        return key_text(key)

    def check_open(self) -> None:
        """Refuse the use of a closed cache, or of one from before a fork."""
        if self._shelf.closed:
            raise ShuttingDownError(f"cache {self.name!r} is closed", operation=self.name)
        if os.getpid() != self._pid:
            raise ForkedError(f"cache {self.name!r} was made before a fork; make another in the child process")

    def close(self) -> list[Flight] | None:
        """Refuse everything from now on; return the loads that were under way, or None if there is nothing to do."""
        if os.getpid() != self._pid:
            return None
        first, flights = self._shelf.close()
        for flight in flights:
            self.abandon(flight)
        return flights if first else None

    def void_loads(self) -> None:
        """Forget every load under way; none of them may store anything."""
        self._shelf.void_loads()

    # What is stored

    def look(self, key: str) -> Found | None:
        """Return what memory holds and may still be used."""
        return self._usable(self._shelf.get(key), Source.MEMORY)

    def _usable(self, entry: Entry | None, source: Source) -> Found | None:
        if entry is None:
            return None
        age = max(0.0, self._clock.now() - entry.known_at)
        return None if self._use(entry, age) is Use.EXPIRED else Found(entry, source, age)

    def _use(self, entry: Entry, age: float) -> Use:
        return self.freshness.use(age, negative=entry.negative)

    @contextmanager
    def lookup(self, key: str) -> Generator[Lookup | None]:
        """Ask the file, for the length of a block; None when there is no file to ask."""
        if self.disk is None or not self.disk.readable:
            yield None
            return
        lease = self._shelf.take_lease(key)
        try:
            yield Lookup(lease, self.disk.lookup(key))
        finally:
            self._shelf.give_back(key, lease)

    def looked_up(self, key: str, lookup: Lookup) -> Found | None:
        """Judge what the file answered, and keep it in memory if it may be used."""
        found = self._usable(self._opened(key, lookup), Source.DISK)
        there, changed = self._shelf.keep_found(key, None if found is None else found.entry, lookup.lease)
        return self._usable(there, Source.MEMORY) if changed else found

    def _opened(self, key: str, lookup: Lookup) -> Entry | None:
        try:
            return None if self.disk is None else self.disk.open(key, lookup.row.result())
        except Exception as error:
            self.disk_failed(key, error)
            return None

    # Reading

    def plan(self, found: Found | None) -> Plan:
        """Say how to answer from what was found."""
        return plan_read(self.freshness, None if found is None else found.held, self._clock.now())

    def answer(self, key: str, found: Found, *, stale: bool, why: str) -> Result[Any]:
        """Return the result for a stored value."""
        return self._tally.stored(key, found, stale=stale, why=why)

    def answer_as_is(self, key: str, found: Found | None, why: str) -> Result[Any] | None:
        """Return the result for a stored value; if it is stale, that is why."""
        if found is None:
            return None
        stale = self._use(found.entry, found.age) is not Use.FRESH
        return self.answer(key, found, stale=stale, why=why if stale else "")

    def join(self, key: str, landed: Any = None) -> tuple[Flight, bool]:
        """Return the load of a key, and whether it is new and the caller must start it.

        Args:
            key: The text of the key.
            landed: The signal of a new load's end, where several threads may wait for it.
        """
        return self._shelf.join(key, self._clock.now(), landed)

    def patience(self, flight: Flight, found: Found | None) -> float | None:
        """Return the seconds to wait for a load before a stale value is answered; None waits to its end.

        Raises:
            ConfigError: The caller is inside that very load.
        """
        refuse_reentry(flight, self.name)
        loading_for = self._clock.now() - flight.started
        return patience(self.freshness, fallback=found is not None, loading_for=loading_for)

    def time_left(self, flight: Flight) -> float:
        """Return the seconds until a load counts as failed."""
        return max(0.0, flight.started + self.freshness.load_timeout - self._clock.now())

    def conclude(self, flight: Flight, found: Found | None) -> Result[Any] | None:
        """Return the answer after waiting, or None to wait to the end of the load.

        Args:
            flight: The load.
            found: The stale value that may stand in, or None.

        Raises:
            Exception: The loader's own, when no stored value may stand in.
        """
        outcome = flight.outcome
        if isinstance(outcome, Entry):
            return self._tally.loaded(flight.key, outcome)
        why = why_slow(self.freshness) if outcome is None else why_failed(type(outcome).__name__)
        result = self.answer_as_is(flight.key, self._stand_in(flight, found), why)
        if result is None and outcome is not None:
            raise self._noted(outcome, flight.key)
        return result

    def _stand_in(self, flight: Flight, found: Found | None) -> Found | None:
        if flight.lease.void:  # removed or put in the meantime: what was found before may not be used
            return self.look(flight.key)
        return None if found is None else self._usable(found.entry, found.source)

    def _noted(self, error: Exception, key: str) -> Exception:
        note = f"cache {self.name!r} had no usable stored value of {key!r} to answer instead"
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        return error

    # A load

    def ask_ticket(self, key: str) -> Future[int] | None:
        """Ask the file for the generation under which a load begins; None when there is no file to ask."""
        return self.disk.ticket(key) if self.disk is not None and self.disk.readable else None

    def take_ticket(self, flight: Flight, asked: Future[int]) -> None:
        """Note the generation; a load without one is stored in memory only."""
        error = asked.exception()
        if error is None:
            flight.ticket = asked.result()
        elif isinstance(error, Exception):
            self.disk_failed(flight.key, error)

    def landed(self, flight: Flight, value: Any) -> None:
        """Take in what a loader returned, and store it unless the key was removed or put since."""
        entry = entry_of(value, flight.started)
        row = self._sealed(flight.key, entry)
        entry = entry if row is None else replace(entry, size=len(row.payload))
        written = self._shelf.land(flight, entry, lambda: self._fill(flight, row))
        if written is not None:
            written.add_done_callback(lambda done: self._filled(flight.key, entry, done))

    def _fill(self, flight: Flight, row: Row | None) -> Future[bool] | None:
        if self.disk is None or row is None or flight.ticket is None:
            return None
        return self.disk.fill(flight.key, row, flight.ticket)

    def _sealed(self, key: str, entry: Entry) -> Row | None:
        """Return the row of a loaded value; one that cannot be encoded is kept in memory only."""
        if self.disk is None or not self.disk.readable:
            return None
        try:
            return self.disk.seal(key, entry)
        except Exception as error:
            self.disk_failed(key, error)
            return None

    def _filled(self, key: str, entry: Entry, done: Future[bool]) -> None:
        if self.written(key, done) and not done.result():
            self._shelf.drop(key, entry)  # another process removed or put it while we loaded

    def failed(self, flight: Flight, error: Exception) -> None:
        """Take in that a load failed, and pause further ones while a stale value can stand in."""
        retry_at = self._clock.now() + self.settings.retry_load_after
        if self._shelf.fail(flight, error, retry_at):
            self._tally.load_failed(flight.key, error)

    def failed_in_time(self, flight: Flight) -> None:
        """Take in that a load ran into its limit."""
        message = f"loading {flight.key!r} took longer than {self.freshness.load_timeout:g} s"
        self.failed(flight, DeadlineExceededError(message, operation=self.name, outcome=Outcome.NOT_APPLIED))

    def abandon(self, flight: Flight) -> None:
        """Take in that a load was ended from outside; nothing happens if it is over."""
        message = f"cache {self.name!r} was closed while it loaded {flight.key!r}"
        self._shelf.abandon(flight, ShuttingDownError(message, operation=self.name))

    # Writing

    def put(self, key: str, value: Any, etag: str | None) -> Future[Any] | None:
        """Store a value, void what is being fetched, and return the future of the file."""
        entry = entry_of(value, self._clock.now(), etag)
        row = self.disk.seal(key, entry) if self.disk is not None and self.disk.readable else None
        entry = entry if row is None else replace(entry, size=len(row.payload))
        disk = self.disk
        return self._shelf.put(key, entry, lambda: None if disk is None or row is None else disk.put(key, row))

    def remove(self, key: str) -> Future[Any] | None:
        """Remove a key, void what is being fetched, and return the future of the file."""
        disk = self.disk
        return self._shelf.remove(key, lambda: disk.remove(key) if disk is not None and disk.writable else None)

    def clear(self) -> Future[Any] | None:
        """Remove everything, void what is being fetched, and return the future of the file."""
        disk = self.disk
        return self._shelf.clear(lambda: disk.clear() if disk is not None and disk.writable else None)

    def written(self, key: str, done: Future[Any]) -> bool:
        """Take note of how a write to the file ended, and tell whether it succeeded."""
        error = None if done.cancelled() else done.exception()
        if isinstance(error, Exception):
            self.disk_failed(key, error)
        elif self.disk is not None:
            self.disk.worked()
        return error is None and not done.cancelled()

    def disk_failed(self, key: str, error: Exception) -> None:
        """Report that the file could not be used; an outage is told once."""
        if self.disk is not None and self.disk.failed(error):
            self._tally.disk_failed(key, error)

    def snapshot(self) -> CacheSnapshot:
        """Return the present state."""
        error = None if self.disk is None else self.disk.error
        return CacheSnapshot(
            name=self.name,
            hits_fresh=self._tally.hits_fresh,
            hits_stale=self._tally.hits_stale,
            misses=self._tally.misses,
            load_failures=self._tally.load_failures,
            disk_error="" if error is None else f"{type(error).__name__}: {error}",
            closed=self._shelf.closed,
            **self._shelf.counts(),
        )
