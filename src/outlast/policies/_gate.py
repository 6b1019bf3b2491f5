"""A number of slots that threads and event loops share: taking, waiting for and handing on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from outlast.clock import Clock
from outlast.engines.slots import Full, SlotsConfig, SlotsEngine, SlotsSnapshot, Waiter
from outlast.errors import BulkheadFullError, ConfigError
from outlast.events import CallRejected, CallWaited, EventBus
from outlast.policies._deadline import remaining
from outlast.policies._turn import TaskTurn, ThreadTurn

T = TypeVar("T", ThreadTurn, TaskTurn)

_IN_VAIN = "no slot came free in the time that it could wait"
_AWAIT_IT = "to wait here would block the event loop, so await it: with acall(), or by decorating an async function"


class SlotGate:
    """Give slots to callers, in the engine's order, whatever thread or loop they are in.

    While nobody waits a policy may pop and append `engine.free` by itself; see `SlotsEngine`.

    Args:
        name: Shown in errors and events.
        config: The settings.
        clock: Tells the time and waits.
        bus: Takes the events.

    Cancel: whoever waits leaves the queue; a slot that was granted in the same moment goes to the next.

    Thread-safe: yes.
    """

    def __init__(self, name: str, config: SlotsConfig, clock: Clock, bus: EventBus) -> None:
        self.engine = SlotsEngine(config)
        self._name = name
        self._clock = clock
        self._bus = bus
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take a free slot without waiting; False says that the caller must `wait`."""
        engine = self.engine
        if engine.crowded:
            return False
        try:
            engine.free.pop()
        except IndexError:
            return False
        return True

    def wait(self, priority: float) -> None:
        """Return with a slot, blocking the thread until there is one.

        The thread of an event loop does not wait: it would hold up all tasks of the loop, also those whose ends
        would give it a slot.

        Raises:
            BulkheadFullError: There is none, and there is no waiting for one.
        """
        began = self._clock.now()
        place = self._join(partial(ThreadTurn, self._clock), priority, began)
        if place is not None:
            waiter, turn, left = place
            held_up = _runs_a_loop()
            try:
                turn.wait(0.0 if held_up else left)
            except BaseException:
                self._give_up(waiter)
                raise
            self._must_have(waiter, began, _AWAIT_IT if held_up else _IN_VAIN)

    async def await_turn(self, priority: float) -> None:
        """Return with a slot, suspending the task until there is one; the twin of `wait`.

        Raises:
            BulkheadFullError: There is none, and there is no waiting for one.
        """
        began = self._clock.now()
        place = self._join(TaskTurn, priority, began)
        if place is not None:
            waiter, turn, left = place
            try:
                await turn.wait(left)
            except BaseException:
                self._give_up(waiter)
                raise
            self._must_have(waiter, began)

    def _join(self, make: Callable[[], T], priority: float, now: float) -> tuple[Waiter, T, float | None] | None:
        """Return None with a slot, or a place in the queue, the turn to wait for, and for how long."""
        engine, left, turn = self.engine, _shortest(self.engine.config.max_wait, remaining()), None
        waiter = Waiter(bool, priority)
        with self._lock:
            due = engine.grant(now)
            full = engine.join(waiter, left)
            if full is None and not waiter.granted:
                turn = make()
                waiter.wake = turn.wake  # nobody calls it before the lock is released
                due += engine.grant(now)
        if due:
            self._wake([other for other in due if other is not waiter])
        if full is not None:
            raise self._error(full, now) from None  # not from the IndexError of an empty deque
        return None if turn is None or waiter.granted else (waiter, turn, left)

    def _must_have(self, waiter: Waiter, began: float, why: str = _IN_VAIN) -> None:
        full = None
        with self._lock:
            if not self.engine.leave(waiter):
                full = self.engine.refuse(why)
        now = self._clock.now()
        if full is not None:
            raise self._error(full, now)
        self._bus.emit(CallWaited, source=self._name, at=now, seconds=now - began)

    def _give_up(self, waiter: Waiter) -> None:
        with self._lock:
            holds = self.engine.leave(waiter)
        if holds:
            self.give()

    def give(self) -> None:
        """Give a slot back."""
        self.engine.free.append(None)
        if self.engine.crowded:
            self.hand_on()

    def give_after(self, future: Any) -> None:
        """Give a slot back, as the callback of a future."""
        del future
        self.give()

    def hand_on(self) -> None:
        """Give the free slots to those whose turn it is; call it after a slot came back to a crowd."""
        now = self._clock.now()
        with self._lock:
            due = self.engine.grant(now)
        self._wake(due)

    def _wake(self, due: list[Waiter]) -> None:
        lost = [waiter for waiter in due if waiter.wake() is False]
        for _ in lost:
            self.give()  # its loop is closed: the slot goes to the next

    def _error(self, full: Full, now: float) -> BulkheadFullError:
        self._bus.emit(CallRejected, source=self._name, at=now, retry_after=full.retry_after)
        return BulkheadFullError(
            f"{self._name} is full: {full.reason}",
            retry_after=full.retry_after,
            operation=self._name,
            timestamp=self._clock.wall(),
        )

    def reconfigure(self, **settings: Any) -> None:
        """Change settings; who runs and who waits stays.

        Args:
            **settings: Of `SlotsConfig`.

        Raises:
            ConfigError: One makes no sense; nothing was changed.
        """
        now = self._clock.now()
        with self._lock:
            self.engine.reconfigure(replace(self.engine.config, **settings))
            due = self.engine.grant(now)
        self._wake(due)

    def snapshot(self) -> SlotsSnapshot:
        """Return the state as a frozen record."""
        with self._lock:
            return self.engine.snapshot()


def _runs_a_loop() -> bool:
    """Tell whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _shortest(limit: float | None, other: float | None) -> float | None:
    return other if limit is None else limit if other is None else min(limit, other)


class SlotGuard:
    """Hold a slot for the length of a block, with `with` or `async with`.

    Cancel: the slot comes back.
    """

    __slots__ = ("_gate", "_priority", "_used")

    def __init__(self, gate: SlotGate, priority: Callable[[], float]) -> None:
        self._gate = gate
        self._priority = priority
        self._used = False

    def _at_once(self) -> bool:
        if self._used:
            raise ConfigError("a guard is for one block only; call guard() for each")
        self._used = True
        return self._gate.take()

    def __enter__(self) -> Self:
        """Take a slot, blocking the thread until there is one.

        Raises:
            BulkheadFullError: There is none, and there is no waiting for one.
            ConfigError: The guard was used before.
        """
        if not self._at_once():
            self._gate.wait(self._priority())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the slot back."""
        self._gate.give()

    async def __aenter__(self) -> Self:
        """Take a slot, suspending the task until there is one.

        Raises:
            BulkheadFullError: There is none, and there is no waiting for one.
            ConfigError: The guard was used before.
        """
        if not self._at_once():
            await self._gate.await_turn(self._priority())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the slot back."""
        self._gate.give()
