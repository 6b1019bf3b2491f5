"""The retry budget's face: the lock and the clock around its engine."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TypedDict, Unpack

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.engines.budget import BudgetConfig, BudgetEngine, BudgetSnapshot


class BudgetSettings(TypedDict, total=False):
    """Name the settings that can change while a budget is in use; see `RetryBudget`."""

    ratio: float
    per_second: float
    reserve: float


class RetryBudget:
    """Bound how many retries and hedges may be added to the calls of a client.

    Each `Retry` has one of its own unless it is given one to share. To bound what reaches one server, share
    one budget among everything that repeats calls to it.

    Args:
        ratio: Retries that each call pays for, >= 0. Default 0.2.
        per_second: Retries that are allowed each second whatever the traffic, >= 0. Default 10.
        reserve: Retries that can be saved up, >= 1; a new budget has them all. Default 100.
        clock: Tells the time. Default: the machine's.

    Raises:
        ConfigError: A number makes no sense.

    Thread-safe: yes.

    >>> budget = RetryBudget(ratio=0.0, per_second=0.0, reserve=1)
    >>> budget.take(), budget.take()
    (True, False)
    >>> budget.snapshot()
    BudgetSnapshot(balance=0.0, calls=0, taken=1, refused=1)
    """

    __slots__ = ("_clock", "_lock", "meter")

    def __init__(
        self,
        *,
        ratio: float = 0.2,
        per_second: float = 10.0,
        reserve: float = 100.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        # Who makes a call bumps `meter.calls`, without the lock: see BudgetEngine.
        self.meter = BudgetEngine(BudgetConfig(ratio=ratio, per_second=per_second, reserve=reserve))
        self._clock = clock
        self._lock = threading.Lock()

    @property
    def config(self) -> BudgetConfig:
        """Return the settings."""
        return self.meter.config

    def take(self) -> bool:
        """Take one retry or hedge, at the moment it is decided; it is never given back."""
        now = self._clock.now()
        with self._lock:
            return self.meter.take(now)

    def reconfigure(self, **settings: Unpack[BudgetSettings]) -> None:
        """Change settings; what is saved up and what is counted stays.

        Args:
            **settings: As for the class.

        Raises:
            ConfigError: A number makes no sense; nothing is changed.
        """
        with self._lock:
            self.meter.config = replace(self.meter.config, **settings)

    def snapshot(self) -> BudgetSnapshot:
        """Return the state as a frozen record."""
        now = self._clock.now()
        with self._lock:
            return self.meter.snapshot(now)

    def __repr__(self) -> str:
        """Show the settings and the state."""
        return f"RetryBudget({self.config!r}, {self.snapshot()!r})"
