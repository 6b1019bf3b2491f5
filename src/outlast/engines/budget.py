"""How many retries and hedges a client may add to its calls.

Retries help while few calls fail and bring a server down when all do. The budget is a bucket: each call
pays in a share of a retry, time pays in a floor for quiet clients, and each retry or hedge takes one out
at the moment of the decision. What is taken stays taken through the back-off, so a storm cannot hide in
the waits.

Source: Twitter Finagle, RetryBudget (20 %, 10 per second, 10 s). Finagle adds up a sliding window of 10 s
that starts with the floor of the whole window; this bucket starts with the same, gives the same share in the
long run, and saves up no more than its reserve, so that after a long calm a storm of retries is not larger.
The pay-in is computed when something is taken, which is exact because paying in and capping commute.
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
        reserve: Retries that can be saved up, >= 1; a new client has them all. Default 100.
    """

    ratio: float = 0.2
    per_second: float = 10.0
    reserve: float = 100.0

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        for name, least in (("ratio", 0.0), ("per_second", 0.0), ("reserve", 1.0)):
            value: float = getattr(self, name)
            if not value >= least:
                raise ConfigError(f"must be at least {least:g}, not {value!r}", path=f"budget.{name}")


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
        config: The settings; may be replaced while it runs.

    >>> engine = BudgetEngine(BudgetConfig(ratio=0.5, per_second=0.0, reserve=1.0))
    >>> engine.take(0.0), engine.take(0.0)
    (True, False)
    >>> engine.calls += 2
    >>> engine.take(0.0)
    True
    """

    __slots__ = ("_at", "_balance", "_refused", "_seen", "_taken", "calls", "config")

    def __init__(self, config: BudgetConfig) -> None:
        self.config = config
        self.calls = 0
        self._balance = config.reserve
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
        # A clock that stands before the last moment pays in nothing; the floor starts with the first question.
        at = now if self._at is None else max(now, self._at)
        passed = 0.0 if self._at is None else at - self._at
        calls = self.calls
        paid = self.config.ratio * (calls - self._seen) + self.config.per_second * passed
        self._balance = min(self.config.reserve, self._balance + paid)
        self._seen, self._at = calls, at

    def snapshot(self, now: float) -> BudgetSnapshot:
        """Return the state as a frozen record."""
        self._pay_in(now)
        return BudgetSnapshot(self._balance, self.calls, self._taken, self._refused)
