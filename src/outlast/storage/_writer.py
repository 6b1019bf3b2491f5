"""One thread that writes: whatever waits is committed together, and each caller learns of its own part."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, Final, Generic, Protocol, TypeVar

from outlast.clock import SYSTEM_CLOCK
from outlast.errors import ShuttingDownError, StorageError

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - the item of a batch, as T is its result

_log = logging.getLogger("outlast.storage")

PATIENCE: Final = 10.0
"""Seconds for which a job may wait for a transaction of somebody else, from when it was queued."""
_MOMENT: Final = 0.1
"""Seconds for which several wait together; after that each half of them is tried by itself, see `_commit`."""
_BLINK: Final = 0.01
"""Seconds for which each part of them waits then: a hundred that wait for the same are found out in a second."""
MOST_AT_ONCE: Final = 1024
"""How many items share a commit at most; who has more of them gives them in several lists."""

_AT_ONCE: Final = (False,)
"""How to ask a lock that nobody is to wait for."""
_TAKEN: Final = [True]
"""What it answers when it was free."""


class GroupRefusedError(Exception):
    """Say that no job of a group can succeed now, so that none of them is tried alone; `cause` says why."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Transact(Protocol):
    """Run work in one durable transaction.

    It raises what the work raises, after it has rolled back, and `GroupRefusedError` when nothing can be written
    now or nobody knows what became of the transaction.
    """

    def __call__(self, work: Callable[[Any], T], patience: float, /) -> T:
        """Return what the work returned, once it is durable.

        Args:
            work: What to do.
            patience: Seconds for which to wait for others, where the store can be told.
        """
        ...


@dataclass(frozen=True, slots=True)
class Failed:
    """Stand for the result of an item that failed.

    Args:
        error: Why.
    """

    error: Exception


class Batch(Generic[T]):
    """Stand for items that were handed over together.

    It is lighter than a future, of which one costs as much as what a lone item needs in SQLite.

    Thread-safe: yes.

    Args:
        then: Told in the writer's thread what became of each item, before anybody who waits is woken.
    """

    __slots__ = ("_done", "_landing", "_then")

    def __init__(self, then: Callable[[list[T | Failed]], None]) -> None:
        self._then = then
        self._done = False
        self._landing = threading.Lock()
        self._landing.acquire()

    def done(self) -> bool:
        """Tell whether it is known what became of the items."""
        return self._done

    def wait(self, seconds: float = -1) -> None:
        """Wait until that is known, for so many seconds at most; for ever when they are negative."""
        if not self._done and self._landing.acquire(timeout=seconds):
            self._landing.release()

    def land(self, outcomes: list[T | Failed]) -> None:
        """Tell what became of the items, once."""
        try:
            self._then(outcomes)
        except Exception:  # whoever listens, the writer goes on
            _log.exception("what a batch was to be followed by raised")
        self._done = True
        self._landing.release()


def _always() -> bool:
    return True


def _nobody(_outcomes: list[Any]) -> None:
    """Tell nobody."""


@dataclass(slots=True, eq=False)
class _Entry:
    """Hold what was given to the writer at once.

    Args:
        job: What is to be done.
        items: To what; of a job without items it is none.
        land: Told the outcome of each item.
        begin: Whether it is still wanted; not to be taken back after that.
        alone: Whether the job takes no items.
        since: Monotonic seconds at which it was queued.
    """

    job: Callable[..., Any]
    items: Sequence[Any]
    land: Callable[[list[Any]], None] = _nobody
    begin: Callable[[], bool] = _always
    alone: bool = False
    since: float = field(default_factory=SYSTEM_CLOCK.now)


def _tell(future: Future[Any], outcomes: list[Any]) -> None:
    (outcome,) = outcomes
    if isinstance(outcome, Failed):
        future.set_exception(outcome.error)
    else:
        future.set_result(outcome)


class GroupCommitWriter:
    """Run jobs in one thread, many to a transaction; a lone job may run in its caller's thread instead, see `at_once`.

    Jobs that wait at the same time share one transaction and so one flush of the disk. If a job of a
    group fails, the group is rolled back and each half of it runs in a transaction of its own, and so on, so that
    one caller's mistake costs no other caller anything.

    Thread-safe: yes.

    Args:
        transact: How a transaction is run; called from the writer's own thread only.
        name: The name of the database, for errors.
        translate: Makes an error of outlast of one of the driver's.
    """

    def __init__(self, transact: Transact, name: str, translate: Callable[[Exception], Exception]) -> None:
        self._transact = transact
        self._name = name
        self._translate = translate
        self._entries: deque[_Entry] = deque()
        self._lock = threading.Lock()
        # Held by whoever has the connection; on that, at most one thread waits.
        self._turn = threading.Lock()
        # Unlocked when something has come; the writer sleeps on it, which costs less than a condition would.
        self._bell = threading.Lock()
        self._closing = False
        self._crowded = False
        self._here = 0  # the thread that has the turn by `at_once`
        self.commits = 0
        self._thread = threading.Thread(target=self._run, name=f"outlast-writer-{name}", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[Any], T]) -> Future[T]:
        """Queue a job. It may run twice, so it must have no effect outside the database.

        Returns:
            A future that has the job's result once its transaction is durable, or its error once it
            has been rolled back.

        Raises:
            ShuttingDownError: The database was closed.
        """
        return self._submit(job, None, alone=True)

    def submit_item(self, job: Callable[[Any, Sequence[I]], Sequence[T]], item: I) -> Future[T]:
        """Queue an item of a job that is given all items at once which wait for it one after the other.

        Args:
            job: Returns one result for each item, `Failed` for one that it refuses alone; equal jobs are the same job.
            item: The item.
        """
        return self._submit(job, item, alone=False)

    def submit_items(
        self,
        job: Callable[[Any, Sequence[I]], Sequence[T]],
        items: Sequence[I],
        then: Callable[[list[T | Failed]], None],
    ) -> Batch[T]:
        """Queue items as `submit_item` does, for the price of one.

        Args:
            job: Returns one result for each item; equal jobs are the same job.
            items: At least one; those of a list are tried together, and one that fails alone.
            then: Told in the writer's thread what became of each, in their order.
        """
        batch: Batch[T] = Batch(then)
        self._queue(_Entry(job, items, batch.land))
        return batch

    def at_once(self, transact: Callable[[], Sequence[T] | None]) -> Sequence[T] | None:
        """Run a transaction in the calling thread, if nobody waits for the writer and it has nothing to do.

        Args:
            transact: Returns the results, or None when nothing could be done now.

        Returns:
            What it returned, or None when it was not called.
        """
        # Where several came at once they share commits, and whoever went alone would take one away from all of them.
        if self._entries or self._crowded:
            return None
        taken: list[bool] = []
        try:
            # Tried and known in one call: the handler of a signal that raised in between would leave it taken for ever.
            taken.extend(map(self._turn.acquire, _AT_ONCE))
            if not taken[0] or self._closing:
                return None
            self._here = threading.get_ident()
            results = transact()
            self.commits += results is not None
        finally:
            if taken == _TAKEN:
                self._here = 0
                self._turn.release()
        return results

    def _submit(self, job: Callable[..., Any], item: Any, *, alone: bool) -> Future[Any]:
        future: Future[Any] = Future()
        self._queue(_Entry(job, (item,), partial(_tell, future), future.set_running_or_notify_cancel, alone))
        return future

    def _queue(self, entry: _Entry) -> None:
        if self._here and self._here == threading.get_ident():
            raise StorageError(
                f"{self._name}: a write of this thread goes on that this one interrupts, and neither would end; "
                "let the handler of a signal only note what is to be written later",
                operation="write",
            )
        with self._lock:
            if self._closing:
                raise ShuttingDownError(f"{self._name} is closed", operation="write")
            self._entries.append(entry)
            self._ring()

    def _ring(self) -> None:
        if self._bell.locked():
            self._bell.release()

    def close(self) -> None:
        """Finish what is queued, then stop the thread."""
        with self._lock:
            self._closing = True
            self._ring()
        self._thread.join()
        with self._turn:  # whoever has it now did not see the closing
            pass

    def _run(self) -> None:
        while self._has_come():
            with self._turn:
                group = [entry for entry in self._take() if entry.begin()]
                self._crowded = len(group) > 1
                outcomes = self._commit(group, _MOMENT) if group else []
            self._land(group, outcomes)

    def _has_come(self) -> bool:
        """Wait for something to do; there is nothing any more once it is closed."""
        # Nothing comes after the closing, so whatever it finds then is all there is.
        while not self._entries and not self._closing:
            self._bell.acquire()
        return bool(self._entries)

    def _take(self) -> list[_Entry]:
        taken: list[_Entry] = []
        room = MOST_AT_ONCE
        while self._entries and (room >= len(self._entries[0].items) or not taken):
            taken.append(self._entries.popleft())
            room -= len(taken[-1].items)
        return taken

    def _land(self, group: list[_Entry], outcomes: list[Any]) -> None:
        begin = 0
        for entry in group:
            end = begin + len(entry.items)
            entry.land(outcomes[begin:end])
            begin = end

    def _commit(self, group: list[_Entry], moment: float) -> list[Any]:
        """Return the outcome of each item, committed in as few transactions as possible."""
        count = sum(len(entry.items) for entry in group)
        try:
            results = self._transact(lambda db: _run_jobs(db, group), _patience(group, count, moment))
        except GroupRefusedError as refusal:
            return [Failed(self._translate(refusal.cause)) for _ in range(count)]
        except BaseException as error:  # a codec in Rust panics with one, and the writer goes on
            if count == 1:
                return [Failed(self._translate(self._ordinary(error)))]
            first, second = _halves(group)
            return self._commit(first, _BLINK) + self._commit(second, _BLINK)
        self.commits += 1
        return results

    def _ordinary(self, error: BaseException) -> Exception:
        """Return what may be raised elsewhere: what ends a thread, a task or a process is not the caller's."""
        if isinstance(error, Exception):
            return error
        said = f"{self._name}: what was to be written ended with {type(error).__name__}: {error}"
        found = StorageError(said, operation="write")
        found.__cause__ = error
        return found


def _patience(group: Sequence[_Entry], count: int, moment: float) -> float:
    """Return for how many seconds a transaction may wait for somebody else's: one of several jobs for a moment."""
    return moment if count > 1 else max(moment, PATIENCE - (SYSTEM_CLOCK.now() - group[0].since))


def _halves(group: list[_Entry]) -> tuple[list[_Entry], list[_Entry]]:
    """Cut a group in two, in its order."""
    singles = [
        _Entry(entry.job, (item,), alone=entry.alone, since=entry.since) for entry in group for item in entry.items
    ]
    middle = len(singles) // 2
    return singles[:middle], singles[middle:]


def _run_jobs(db: Any, group: list[_Entry]) -> list[Any]:
    results: list[Any] = []
    for job, same in groupby(group, attrgetter("job")):
        entries = list(same)
        if entries[0].alone:
            results += [job(db) for _ in entries]
        else:
            items = entries[0].items if len(entries) == 1 else list(chain.from_iterable(e.items for e in entries))
            results += job(db, items)
    return results
