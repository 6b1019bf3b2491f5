"""One thread that writes: whatever waits is committed together, and each caller learns of its own part."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, Final, Protocol, TypeVar

from outlast.errors import ShuttingDownError

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - the item of a batch, as T is its result

MOST_AT_ONCE: Final = 1024
"""How many items share a commit at most; who has more of them gives them in several lists."""


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

    def __call__(self, work: Callable[[Any], T], /) -> T:
        """Return what the work returned, once it is durable."""
        ...


@dataclass(frozen=True, slots=True)
class Failed:
    """Stand for the result of an item that failed.

    Args:
        error: Why.
    """

    error: Exception


@dataclass(slots=True, eq=False)
class _Entry:
    """Hold what was given to the writer at once.

    Args:
        job: What is to be done.
        items: To what; of a job without items it is none.
        many: Whether the future gets a list with the outcome of each item.
        alone: Whether the job takes no items.
    """

    job: Callable[..., Any]
    items: Sequence[Any]
    many: bool = False
    alone: bool = False
    future: Future[Any] = field(default_factory=Future[Any])

    def tell(self, outcomes: list[Any]) -> None:
        """Give the future what became of the items."""
        if self.many:
            self.future.set_result(outcomes)
        elif isinstance(outcomes[0], Failed):
            self.future.set_exception(outcomes[0].error)
        else:
            self.future.set_result(outcomes[0])


class GroupCommitWriter:
    """Run jobs in one thread, many to a transaction.

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
        self._wake = threading.Condition()
        self._closing = False
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
        return self._queue(_Entry(job, (None,), alone=True))

    def submit_item(self, job: Callable[[Any, Sequence[I]], Sequence[T]], item: I) -> Future[T]:
        """Queue an item of a job that is given all items at once which wait for it one after the other.

        Args:
            job: Returns one result for each item, `Failed` for one that it refuses alone; equal jobs are the same job.
            item: The item.
        """
        return self._queue(_Entry(job, (item,)))

    def submit_items(
        self, job: Callable[[Any, Sequence[I]], Sequence[T]], items: Sequence[I]
    ) -> Future[list[T | Failed]]:
        """Queue items as `submit_item` does, for the price of one: a single future tells what became of each.

        Args:
            job: Returns one result for each item; equal jobs are the same job.
            items: At least one; those of a list are tried together, and one that fails alone.
        """
        return self._queue(_Entry(job, items, many=True))

    def _queue(self, entry: _Entry) -> Future[Any]:
        with self._wake:
            if self._closing:
                raise ShuttingDownError(f"{self._name} is closed", operation="write")
            self._entries.append(entry)
            self._wake.notify()
        return entry.future

    def close(self) -> None:
        """Finish what is queued, then stop the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._next_group():
            self._settle(group)

    def _next_group(self) -> list[_Entry]:
        with self._wake:
            while not self._entries and not self._closing:
                self._wake.wait()
            taken = self._take()
        group = [entry for entry in taken if entry.future.set_running_or_notify_cancel()]
        return group or (self._next_group() if taken else [])

    def _take(self) -> list[_Entry]:
        taken: list[_Entry] = []
        room = MOST_AT_ONCE
        while self._entries and (room >= len(self._entries[0].items) or not taken):
            taken.append(self._entries.popleft())
            room -= len(taken[-1].items)
        return taken

    def _settle(self, group: list[_Entry]) -> None:
        outcomes = iter(self._commit(group))
        for entry in group:
            entry.tell([next(outcomes) for _ in entry.items])

    def _commit(self, group: list[_Entry]) -> list[Any]:
        """Return the outcome of each item, committed in as few transactions as possible."""
        count = sum(len(entry.items) for entry in group)
        try:
            results = self._transact(lambda db: _run_jobs(db, group))
        except GroupRefusedError as refusal:
            return [Failed(self._translate(refusal.cause)) for _ in range(count)]
        except Exception as error:
            if count == 1:
                return [Failed(self._translate(error))]
            first, second = _halves(group)
            return self._commit(first) + self._commit(second)
        self.commits += 1
        return results


def _halves(group: list[_Entry]) -> tuple[list[_Entry], list[_Entry]]:
    """Cut a group in two, in its order."""
    singles = [_Entry(entry.job, (item,), alone=entry.alone) for entry in group for item in entry.items]
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
