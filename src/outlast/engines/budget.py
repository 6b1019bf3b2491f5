"""How many retries and hedges a client may add to its calls.

Retries help while few calls fail and bring a server down when all do. The budget is a bucket: each call
pays in a share of a retry, time pays in a floor for quiet clients, and each retry or hedge takes one out
at the moment of the decision. What is taken stays taken through the back-off, so a storm cannot hide in
the waits.

Source: Twitter Finagle, RetryBudget (20 %, 10 per second); the pay-in is computed when something is
taken, which is exact because paying in and capping commute.
"""

from __future__ import annotations

from dataclasses import dataclass

from outlast.errors import ConfigError


@dataclass(frozen=True, slots=True)
class BudgetConfig:
    """Hold the settings of a retry budget.

    Args:
        ratio: Retries that each call pays for, >= 0. Default 0.2.
        per_second: Retries that are allowed each second whatever the traffic, >= 0. Default 10.
        reserve: Seconds of the floor that a quiet client saves up, > 0; it starts with them. Default 10.
    """

    ratio: float = 0.2
    per_second: float = 10.0
    reserve: float = 10.0

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if not self.ratio >= 0 or not self.per_second >= 0:
            raise ConfigError(f"ratio and per_second must be at least 0, not {self.ratio!r}, {self.per_second!r}", path="budget")
        if not self.reserve > 0:
            raise ConfigError(f"must be above 0 seconds, not {self.reserve!r}", path="budget.reserve")

    @property
    def cap(self) -> float:
        """Return the most that can be saved up."""
        return max(1.0, self.per_second * self.reserve)


@dataclass(frozen=True, slots=True)
class BudgetSnapshot:
    """Show a budget.

    Args:
        balance: Retries that could be taken now.
        calls: Calls that have paid in.
        taken: Retries and hedges allowed since the start.
        refused: Retries and hedges refused since the start.
    """

    balance: float
    calls: int
    taken: int
    refused: int


class BudgetEngine:
    """Keep the balance. `calls` is a plain counter that the face bumps without a lock on each call.

    The rest is called under the face's lock. A bump that is lost by a build without a global lock costs a
    fifth of a retry and nothing else.

    Args:
        config: The settings.
    """

    def __init__(self, config: BudgetConfig) -> None:
        self.config = config
        self.calls = 0
        self._balance = config.cap
        self._seen = 0
        self._at: float | None = None
        self._taken = 0
        self._refused = 0

    def take(self, now: float) -> bool:
        """Take one retry out, if there is one."""
        self._pay_in(now)
        if self._balance < 1.0:
            self._refused += 1
            return False
        self._balance -= 1.0
        self._taken += 1
        return True

    def _pay_in(self, now: float) -> None:
        calls, at = self.calls, now if self._at is None else max(now, self._at)
        passed = at - (at if self._at is None else self._at)
        paid = self.config.ratio * (calls - self._seen) + self.config.per_second * passed
        self._balance = min(self.config.cap, self._balance + paid)
        self._seen, self._at = calls, at

    def snapshot(self, now: float) -> BudgetSnapshot:
        """Return the state as a frozen record."""
        self._pay_in(now)
        return BudgetSnapshot(self._balance, self.calls, self._taken, self._refused)
