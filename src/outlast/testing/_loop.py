"""An event loop whose time jumps to the next timer as soon as nothing is left to do."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from outlast.testing._clock import ManualClock

T = TypeVar("T")


class DeadlockError(RuntimeError):
    """Every task waits, and no timer, socket or signal is left that could wake one."""


class _Jumping(selectors.DefaultSelector):
    """Do not wait for time: move it. What the operating system has ready comes first."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise DeadlockError(_waiting())
        self._clock.advance(max(0.0, timeout))
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Run tasks in virtual time: waiting costs nothing and is exact.

    The limit of it: the loop does not know about work in other threads or about what a peer will send.
    When nothing but such work is left it cannot tell waiting from a deadlock and reports one; while
    timers are left, time runs on without waiting for it. So: no executors, no sockets.

    Args:
        clock: Its time. Default: a new one.
    """

    def __init__(self, clock: ManualClock | None = None) -> None:
        self.clock = ManualClock() if clock is None else clock
        super().__init__(_Jumping(self.clock))
        self.clock.loop = self

    def time(self) -> float:
        """Return the clock's monotonic moment."""
        return self.clock.now()

    def close(self) -> None:
        """Close the loop and let go of the clock."""
        if self.clock.loop is self:
            self.clock.loop = None
        super().close()


def run_virtual(main: Coroutine[Any, Any, T], *, clock: ManualClock | None = None) -> T:
    """Run a coroutine to its end in virtual time and return what it returns.

    Args:
        main: The coroutine.
        clock: Drives the loop; give the same to the code under test. Default: a new one.

    Raises:
        DeadlockError: Everything waits and nothing can happen any more; the message lists the tasks.

    >>> async def nap():
    ...     await asyncio.sleep(3600)
    ...     return asyncio.get_running_loop().time()
    >>> run_virtual(nap(), clock=ManualClock(start=0.0))
    3600.0
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(main)


def _waiting() -> str:
    lines: list[str] = []
    for task in asyncio.all_tasks(asyncio.get_running_loop()):
        frames = task.get_stack(limit=1)
        where = f"{frames[0].f_code.co_qualname}, line {frames[0].f_lineno}" if frames else "not started"
        lines.append(f"  {task.get_name()}: {where}")
    return "\n".join(["nothing can wake any of these tasks:", *sorted(lines)])
