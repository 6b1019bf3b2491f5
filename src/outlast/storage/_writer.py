"""One thread that writes: whatever waits is committed together, and each caller learns of its own part."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from outlast.errors import ShuttingDownError
from outlast.storage._connection import Connection
from outlast.storage._failures import translate

T = TypeVar("T")
Job = Callable[[Connection], Any]
"""SQL to run inside a transaction. It may run twice, so it must have no effect outside the database."""

_MAX_GROUP = 512


class GroupCommitWriter:
    """Run jobs on one connection, many to a transaction.

    Jobs that wait at the same time share one `BEGIN IMMEDIATE ... COMMIT` and so one flush of the disk.
    If a job of a group fails, the group is rolled back and each of its jobs runs in a transaction of
    its own, so that one caller's mistake costs no other caller anything.

    Thread-safe: yes.

    Args:
        connection: The connection; from now on only this thread uses it.
        name: The name of the database, for errors.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._jobs: deque[tuple[Job, Future[Any]]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self.commits = 0
        self._thread = threading.Thread(target=self._run, name=f"outlast-writer-{name}", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[Connection], T]) -> Future[T]:
        """Queue a job.

        Returns:
            A future that has the job's result once its transaction is durable, or its error once it
            has been rolled back.

        Raises:
            ShuttingDownError: The database was closed.
        """
        future: Future[T] = Future()
        with self._wake:
            if self._closing:
                raise ShuttingDownError(f"{self._name} is closed", operation="write")
            self._jobs.append((job, future))
            self._wake.notify()
        return future

    def close(self) -> None:
        """Finish what is queued, then stop the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._next_group():
            self._commit(group)

    def _next_group(self) -> list[tuple[Job, Future[Any]]]:
        with self._wake:
            while not self._jobs and not self._closing:
                self._wake.wait()
            taken = [self._jobs.popleft() for _ in range(min(_MAX_GROUP, len(self._jobs)))]
        group = [(job, future) for job, future in taken if future.set_running_or_notify_cancel()]
        return group or (self._next_group() if taken else [])

    def _commit(self, group: list[tuple[Job, Future[Any]]]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except Exception as error:
            self._refuse(group, error)  # no job has run, so each of them would only wait as long again
            return
        try:
            results = self._run_jobs([job for job, _ in group])
        except Exception as error:
            if len(group) == 1:
                self._refuse(group, error)
            else:
                for one in group:
                    self._commit([one])
            return
        for (_, future), result in zip(group, results, strict=True):
            future.set_result(result)

    def _refuse(self, group: list[tuple[Job, Future[Any]]], error: Exception) -> None:
        for _, future in group:
            future.set_exception(translate(error, self._name))

    def _run_jobs(self, jobs: list[Job]) -> list[Any]:
        connection = self._connection
        try:
            results = [job(connection) for job in jobs]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.commits += 1
        return results
