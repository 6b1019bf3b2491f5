"""The limit of one call: cancelled in async code, cooperative or in a worker thread in sync code."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.config import check_number
from outlast.engines.worst import Worst
from outlast.errors import ConfigError
from outlast.events import DEFAULT_BUS, EventBus, PolicyReconfigured
from outlast.policies._deadline import Deadline
from outlast.policies._lanes import Lanes, in_lane
from outlast.policies._policy import Policy
from outlast.policies._relay import aopen_stream, arelay, open_stream, relay
from outlast.policies._shape import PLAIN, AnyFunction, after_first, is_awaitable
from outlast.policies._worker import StillRunningError, Workers

_CHOOSE_COOPERATIVE = "choose Timeout(..., mode='cooperative'), which only looks at the clock before and after"

Mode = Literal["cooperative", "thread"]


@dataclass(frozen=True, slots=True)
class TimeoutSnapshot:
    """Show a timeout's settings and state.

    Args:
        seconds: The limit.
        mode: What it does around sync functions, or None.
        abandoned: Calls that ran out of time and still run in their threads.
    """

    seconds: float
    mode: Mode | None
    abandoned: int


class _AsyncOnly(Deadline):
    def __enter__(self) -> Self:
        raise ConfigError(f"a plain with block cannot be cut; {_CHOOSE_COOPERATIVE}, or use async with", path="mode")


class Timeout(Policy):
    """Limit how long one call may take.

    An async call is cancelled when its time is over. A sync call cannot be cut, so for sync functions
    you choose: `cooperative` sets a deadline that waits inside the call look at, refuses to start when
    no time is left, and raises when the call came back too late; `thread` runs the call in a thread of
    its own and leaves it behind. Of a generator, the wait for each single item is limited.
    Inside a `deadline` the shorter limit holds.

    Args:
        seconds: How long, > 0.
        mode: `cooperative` or `thread` for sync functions. Default None: they are refused.
        max_abandoned: With `thread`, calls left behind that may be running before further ones are
            refused, >= 1. Default 64.
        name: Shown in errors and events. Default `timeout`.
        clock: Tells the time. Default: the machine's.
        bus: Takes the events. Default: the shared one.

    Raises:
        ConfigError: A number makes no sense; or, at decoration, a sync function needs a mode.
        DeadlineExceededError: The time was over (also a `TimeoutError`); the effect of the call is in
            doubt. A `TimeoutError` that the call itself raises passes as it is.
        BulkheadFullError: Too many abandoned calls are running.

    Cancel: the call is cancelled; a thread goes on and counts as abandoned.

    Thread-safe: yes.

    >>> Timeout(5.0, mode="cooperative").call(len, "fine")
    4
    """

    def __init__(
        self,
        seconds: float,
        *,
        mode: Mode | None = None,
        max_abandoned: int = 64,
        name: str = "timeout",
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = DEFAULT_BUS,
    ) -> None:
        check_number("seconds", seconds, above=0.0)
        check_number("max_abandoned", max_abandoned, least=1)
        if mode not in {None, "cooperative", "thread"}:
            raise ConfigError(f"must be 'cooperative' or 'thread', not {mode!r}", path="mode")
        self._seconds = seconds
        self._mode: Mode | None = mode
        self._name = name
        self._clock = clock
        self._bus = bus
        self._workers = Workers(name, max_abandoned)
        self.lanes = Lanes(seconds, clock)

    @property
    def name(self) -> str:
        """Return the name."""
        return self._name

    def limit(self) -> Deadline:
        """Return the limit of one call, for those that no lane serves."""
        return Deadline(self._seconds, name=self._name, clock=self._clock, bus=self._bus, strict=True)

    def expiry(self) -> BaseException:
        """Publish that a call was cut and return the error to raise."""
        return self.limit().expired("was cancelled after")

    def wrap_sync(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns a value, in the chosen mode.

        Raises:
            ConfigError: No mode was chosen.
        """
        match self._mode:
            case "cooperative":
                run = self._cooperative
            case "thread":
                run = self._threaded
            case None:
                raise ConfigError(
                    f"a sync call cannot be cut: {_CHOOSE_COOPERATIVE}, "
                    "or mode='thread', which leaves a late call running in its thread",
                    path="mode",
                )

        def limited(*args: Any, **kwargs: Any) -> Any:
            result = run(partial(fn, *args, **kwargs))
            return self._go_async(result, fn, args, kwargs) if type(result) not in PLAIN else result

        return limited

    def _cooperative(self, call: Callable[[], Any]) -> Any:
        with self.limit():
            return call()

    def _threaded(self, call: Callable[[], Any]) -> Any:
        with self.limit() as limit:
            try:
                return self._workers.run(call, limit.left())
            except StillRunningError:
                raise limit.expired("was left running after") from None

    def _go_async(self, result: Any, fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.wrap_async(after_first(result, fn))(*args, **kwargs) if is_awaitable(result) else result

    def wrap_async(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a function that returns an awaitable; it is cancelled when its time is over."""
        return in_lane(self, fn)

    def wrap_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap a generator function, limiting the wait for each item.

        Raises:
            ConfigError: The mode is not `cooperative`.
        """
        if self._mode == "thread":
            raise ConfigError("a generator cannot move between threads; choose mode='cooperative'", path="mode")
        step: Callable[[], AbstractContextManager[Any]] = self.limit
        return relay(fn, opening=self.wrap_sync(open_stream), step=step)

    def wrap_async_generator(self, fn: AnyFunction, /) -> AnyFunction:
        """Wrap an async generator function, limiting the wait for each item."""
        return arelay(fn, opening=self.wrap_async(aopen_stream), step=self.limit)

    def guard(self) -> Deadline:
        """Return a guard for one block: `async with` cancels it; `with` needs the mode `cooperative`.

        >>> with Timeout(5.0, mode="cooperative").guard() as limit:
        ...     0 < limit.left() <= 5.0
        True
        """
        kind = Deadline if self._mode == "cooperative" else _AsyncOnly
        return kind(self._seconds, name=self._name, clock=self._clock, bus=self._bus, strict=True)

    def reconfigure(self, seconds: float) -> None:
        """Change the limit; calls that are running keep the old one.

        Args:
            seconds: How long, > 0.

        Raises:
            ConfigError: The number makes no sense; nothing is changed.
        """
        check_number("seconds", seconds, above=0.0)
        self._seconds = seconds
        self.lanes.reset(seconds)
        self._bus.emit(PolicyReconfigured, source=self._name, at=self._clock.now(), settings=("seconds",))

    def worst(self, inner: Worst) -> Worst:
        """Return the worst that one call can cost; in the cooperative mode a sync call is not cut."""
        latency = inner.latency if self._mode == "cooperative" else min(inner.latency, self._seconds)
        return Worst(latency, inner.calls)

    def describe(self) -> str:
        """Say in one line what it does."""
        mode = f" ({self._mode} for sync calls)" if self._mode else ""
        return f"timeout {self._name!r}: {self._seconds:g} s{mode}"

    def snapshot(self) -> TimeoutSnapshot:
        """Return its settings and how many calls it has left behind."""
        return TimeoutSnapshot(self._seconds, self._mode, self._workers.abandoned)

    def __repr__(self) -> str:
        """Show the settings and the state."""
        return f"Timeout({self._name!r}, {self.snapshot()!r})"
