"""Race the attempts of one call, as tasks or as threads; what is decided on the way is in `HedgeRun`."""

from __future__ import annotations

import asyncio
import queue
import threading
from dataclasses import dataclass
from typing import Any

from outlast.policies._hedge_run import HedgeRun
from outlast.policies._reap import reap
from outlast.policies._shape import AnyFunction
from outlast.policies._worker import Job, Workers


@dataclass(frozen=True, slots=True)
class Won:
    """An attempt answered."""

    value: Any


@dataclass(frozen=True, slots=True)
class Lost:
    """No attempt will answer any more."""

    error: BaseException


class TaskRace:
    """Run attempts as tasks; every task has ended when the race returns.

    Args:
        run: Decides.
        fn: Returns an awaitable.
        name: Of the tasks.
    """

    def __init__(self, run: HedgeRun, fn: AnyFunction, name: str) -> None:
        self._run = run
        self._fn = fn
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[asyncio.Task[Any], int] = {}
        self._ended: list[asyncio.Task[Any]] = []
        self._bell: asyncio.Future[None] | None = None

    async def race(self) -> Any:
        """Return what the first attempt to succeed returns.

        Cancel: every attempt is cancelled and has ended.
        """
        end: Won | Lost | None = None
        try:
            self._start(0)
            while end is None:
                await self._wait()
                end = self._step()
            return _outcome(end)
        finally:
            del end  # no cycle between an error and the frames that raise it
            self._run.end()
            if self._tasks:
                await reap(self._tasks)

    async def _wait(self) -> None:
        """Wait until an attempt has ended or a hedge is due; `asyncio.wait` costs a quarter of the call more."""
        wait = self._run.wait()
        self._bell = self._loop.create_future()
        timer = None if wait is None else self._loop.call_later(wait, self._ring)
        try:
            await self._bell
        finally:
            if timer is not None:
                timer.cancel()

    def _ring(self) -> None:
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    def _note_end(self, task: asyncio.Task[Any]) -> None:
        self._ended.append(task)
        self._ring()

    def _step(self) -> Won | Lost | None:
        if self._ended:
            return self._judge()
        number = self._run.hedge()
        if number is not None:
            self._start(number)
        return None

    def _start(self, number: int) -> None:
        task = self._loop.create_task(self._attempt(number), name=f"outlast-{self._name}-{number}")
        task.add_done_callback(self._note_end)
        self._tasks[task] = number

    async def _attempt(self, number: int) -> Any:
        args, kwargs = self._run.arguments(number)
        return await self._fn(*args, **kwargs)

    def _judge(self) -> Won | Lost | None:
        """Return the answer of the attempt that began first among those that have one."""
        ended, self._ended = sorted(self._ended, key=self._tasks.__getitem__), []
        for task in ended:
            number = self._tasks.pop(task)
            failed = asyncio.CancelledError() if task.cancelled() else task.exception()
            if failed is None:
                self._run.won(number)
                return Won(task.result())
            error = self._run.failed(number, failed)
            if error is not None:
                return Lost(error)
        return None


class ThreadRace:
    """Run attempts in threads; those that have not ended when the race returns are left running, and counted.

    Args:
        run: Decides.
        fn: Returns a value.
        workers: Start the threads and count.
    """

    def __init__(self, run: HedgeRun, fn: AnyFunction, workers: Workers) -> None:
        self._run = run
        self._fn = fn
        self._workers = workers
        self._ended: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._jobs: dict[Job, int] = {}

    def race(self) -> Any:
        """Return what the first attempt to succeed returns."""
        end: Won | Lost | None = None
        try:
            end = self._start(0)
            while end is None:
                end = self._step()
            return _outcome(end)
        finally:
            del end  # no cycle between an error and the frames that raise it
            self._run.end()
            for job in self._jobs:
                self._workers.leave(job)

    def _step(self) -> Won | Lost | None:
        wait = self._run.wait()
        try:
            return self._judge(self._ended.get(timeout=None if wait is None else min(wait, threading.TIMEOUT_MAX)))
        except queue.Empty:
            number = self._run.hedge(room=not self._workers.full)
        return None if number is None else self._start(number)

    def _start(self, number: int) -> Lost | None:
        try:
            job = self._workers.start(lambda: self._attempt(number), self._ended.put)
        except RuntimeError as none_left:  # the system gives no further thread; what runs goes on
            error = self._run.failed(number, none_left)
            return None if error is None else Lost(error)
        self._jobs[job] = number
        return None

    def _attempt(self, number: int) -> Any:
        args, kwargs = self._run.arguments(number)
        return self._fn(*args, **kwargs)

    def _judge(self, job: Job) -> Won | Lost | None:
        number, (value, failed) = self._jobs[job], job.take()
        if failed is None:
            self._run.won(number)
            return Won(value)
        error = self._run.failed(number, failed)
        return None if error is None else Lost(error)


def _outcome(end: Won | Lost) -> Any:
    match end:
        case Won(value=value):
            return value
        case Lost():
            try:
                raise end.error
            finally:
                del end
