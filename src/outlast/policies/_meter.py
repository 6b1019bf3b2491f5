"""Count and time the calls of a pipeline: the success path, which takes no lock, and everything else."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from functools import partial
from types import TracebackType
from typing import Any, Self

from outlast.clock import Clock
from outlast.engines.calls import LUMP, CallsEngine, CallStats, Ending
from outlast.errors import DeadlineExceededError, RejectedError
from outlast.policies._shape import PLAIN, AnyFunction, is_awaitable


class CallMeter:
    """Hold the lock and the clock around the counts.

    Args:
        clock: Tells the time.

    Thread-safe: yes.
    """

    __slots__ = ("_lock", "engine", "now")

    def __init__(self, clock: Clock) -> None:
        self.engine = CallsEngine()
        self.now = clock.now
        self._lock = threading.Lock()

    def fold(self) -> None:
        """Sort the log; to be called when it has become long."""
        with self._lock:
            self.engine.fold()

    def succeeded(self, began: float) -> None:
        """Count a success and time it."""
        self.engine.log.append(self.now() - began)
        if len(self.engine.log) > LUMP:
            self.fold()

    def ended(self, error: BaseException | None) -> None:
        """Count a call that is not timed, by what it raised."""
        ending = ending_of(error)
        with self._lock:
            self.engine.end(ending)

    def landed(self, began: float, future: Any) -> None:
        """Count a future that is done."""
        error = CancelledError() if future.cancelled() else future.exception()
        if error is None:
            self.succeeded(began)
        else:
            self.ended(error)

    def snapshot(self) -> CallStats:
        """Return the counts as a frozen record."""
        with self._lock:
            return self.engine.snapshot()


def ending_of(error: BaseException | None) -> Ending:
    """Say how a call ended that raised this, or that returned.

    >>> ending_of(None).value, ending_of(OSError()).value, ending_of(KeyboardInterrupt()).value
    ('success', 'failure', 'cancelled')
    """
    match error:
        case None:
            return Ending.SUCCESS
        case RejectedError():
            return Ending.REJECTED
        case DeadlineExceededError():
            return Ending.TIMED_OUT
        case CancelledError():
            return Ending.CANCELLED
        case Exception():
            return Ending.FAILURE
        case _:
            return Ending.CANCELLED


def sync_metered(meter: CallMeter, fn: AnyFunction) -> AnyFunction:
    """Return a function that does what `fn` does and is counted; an awaitable that it gives is timed to its end."""
    now, ended, fold, log = meter.now, meter.ended, meter.fold, meter.engine.log
    add = log.append

    def metered(*args: Any, **kwargs: Any) -> Any:
        began = now()
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            ended(error)
            raise
        if type(result) not in PLAIN and is_awaitable(result):
            return _landing_later(meter, result, began)
        add(now() - began)  # no lock: see CallsEngine
        if len(log) > LUMP:
            fold()
        return result

    return metered


def _landing_later(meter: CallMeter, result: Any, began: float) -> Any:
    if hasattr(result, "add_done_callback"):
        result.add_done_callback(partial(meter.landed, began))
        return result  # a future is somebody's: it is handed on as it is
    return async_metered(meter, lambda: result)()


def async_metered(meter: CallMeter, fn: AnyFunction) -> AnyFunction:
    """Return a coroutine function that does what `fn` does and is counted."""
    now, ended, fold, log = meter.now, meter.ended, meter.fold, meter.engine.log
    add = log.append

    async def metered(*args: Any, **kwargs: Any) -> Any:
        began = now()
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            ended(error)
            raise
        add(now() - began)  # no lock: see CallsEngine
        if len(log) > LUMP:
            fold()
        return result

    return metered


class MeteredBlock:
    """Count a block, for `with` or `async with`.

    Args:
        meter: Counts it.
        stream: Whether it is a stream: it is not timed, for how long it is says nothing, and its reader may close it.
    """

    __slots__ = ("_began", "_meter", "_stream")

    def __init__(self, meter: CallMeter, *, stream: bool = False) -> None:
        self._meter = meter
        self._stream = stream
        self._began = 0.0

    def __enter__(self) -> Self:
        """Note when it begins."""
        self._began = self._meter.now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count it by how it ended."""
        if self._stream:
            self._meter.ended(None if isinstance(error, GeneratorExit) else error)
        elif error is not None:
            self._meter.ended(error)
        else:
            self._meter.succeeded(self._began)

    async def __aenter__(self) -> Self:
        """Do as `__enter__`."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do as `__exit__`."""
        self.__exit__(kind, error, trace)
