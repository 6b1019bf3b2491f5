"""One thread that writes: whatever waits is committed together, and each caller learns of its own part."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from outlast.errors import ShuttingDownError

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - the item of a batch, as T is its result

_MAX_GROUP = 1024


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
    job: Callable[..., Any]
    item: Any
    together: bool
    future: Future[Any] = field(default_factory=Future[Any])


class GroupCommitWriter:
    """Run jobs in one thread, many to a transaction.

    Jobs that wait at the same time share one transaction and so one flush of the disk. If a job of a
    group fails, the group is rolled back and each of its jobs runs in a transaction of its own, so that
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
        return self._queue(_Entry(job, None, together=False))

    def submit_item(self, job: Callable[[Any, Sequence[I]], Sequence[T]], item: I) -> Future[T]:
        """Queue an item of a job that is given all items at once which wait for it one after the other.

        Args:
            job: Returns one result for each item, `Failed` for one that it refuses alone; equal jobs are the same job.
            item: The item.
        """
        return self._queue(_Entry(job, item, together=True))

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
            self._commit(group)

    def _next_group(self) -> list[_Entry]:
        with self._wake:
            while not self._entries and not self._closing:
                self._wake.wait()
            taken = [self._entries.popleft() for _ in range(min(_MAX_GROUP, len(self._entries)))]
        group = [entry for entry in taken if entry.future.set_running_or_notify_cancel()]
        return group or (self._next_group() if taken else [])

    def _commit(self, group: list[_Entry]) -> None:
        try:
            results = self._transact(lambda db: _run_jobs(db, group))
        except GroupRefusedError as refusal:
            self._refuse(group, refusal.cause)
            return
        except Exception as error:
            if len(group) == 1:
                self._refuse(group, error)
            else:
                for one in group:
                    self._commit([one])
            return
        self.commits += 1
        for entry, result in zip(group, results, strict=True):
            if isinstance(result, Failed):
                entry.future.set_exception(result.error)
            else:
                entry.future.set_result(result)

    def _refuse(self, group: list[_Entry], error: Exception) -> None:
        for entry in group:
            entry.future.set_exception(self._translate(error))


def _run_jobs(db: Any, group: list[_Entry]) -> list[Any]:
    results: list[Any] = []
    for job, same in groupby(group, attrgetter("job")):
        entries = list(same)
        if entries[0].together:
            results += job(db, [entry.item for entry in entries])
        else:
            results += [job(db) for _ in entries]
    return results
