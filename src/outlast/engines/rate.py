"""How many calls a second may pass: the generic cell rate algorithm.

One number, the theoretical arrival time, says how much of the burst is used up. It is exact and needs
no timer. A caller that may wait takes a place in a queue whose turns are known in advance; when one
leaves, those behind it move up.

Source: ITU-T I.371, annex A (GCRA, virtual scheduling); equal to a token bucket of `burst` tokens that
fills at `calls` per `per` seconds.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from outlast.engines.breaker_records import Refusal
from outlast.errors import ConfigError

_SLACK = 1e-9
"""Seconds that are no wait: less than sums of floats and timers can tell apart."""


@dataclass(frozen=True, slots=True)
class RateConfig:
    """Hold the settings of a rate limit.

    Args:
        calls: Calls that may pass in each period, > 0.
        per: Length of the period in seconds, > 0. Default 1.
        burst: Calls that may pass at once after a pause, >= 1. Default: as many as in one period.
        max_wait: Seconds that a call may wait for its turn, >= 0. Default 0: it is refused at once.
    """

    calls: float
    per: float = 1.0
    burst: float | None = None
    max_wait: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a rate that lets nothing pass."""
        for name, value in (("calls", self.calls), ("per", self.per)):
            if not 0 < value < math.inf:
                raise ConfigError(f"must be a number above 0, not {value!r}", path=name)
        if self.burst is not None and not 1 <= self.burst < math.inf:
            raise ConfigError(f"must be a number of at least 1, not {self.burst!r}", path="burst")
        if not 0 <= self.max_wait < math.inf:
            raise ConfigError(f"must be a number of at least 0 seconds, not {self.max_wait!r}", path="max_wait")

    @property
    def interval(self) -> float:
        """Return the seconds that one call uses up."""
        return self.per / self.calls

    @property
    def capacity(self) -> float:
        """Return how many calls may pass at once after a pause."""
        return max(1.0, self.calls if self.burst is None else self.burst)


@dataclass(slots=True, eq=False)
class Ticket:
    """Hold a place in the queue, or say that the call may pass.

    Args:
        cost: How many calls it counts for.
        turn: The moment at which it may pass; it can move while it waits.
        wake: Tells the caller that its turn has moved up; the face sets it and calls it, without its lock.
    """

    cost: float
    turn: float
    wake: Callable[[], object] = bool

    def left(self, now: float) -> float:
        """Return the seconds until its turn, 0 when it has come."""
        wait = self.turn - now
        return wait if wait > _SLACK else 0.0


@dataclass(frozen=True, slots=True)
class RateSnapshot:
    """Show a rate limit.

    Args:
        available: Calls that could pass now.
        waiting: Calls that wait for their turn.
        passed: Calls admitted since the start, waiting ones included.
        rejected: Calls refused since the start.
    """

    available: float
    waiting: int
    passed: int
    rejected: int


class RateEngine:
    """Decide when a call may pass. Not thread-safe: the face calls it under its lock.

    Args:
        config: The settings.

    >>> engine = RateEngine(RateConfig(calls=2, per=1.0))
    >>> [engine.ask(0.0).turn for _ in range(2)], engine.ask(0.0)
    ([0.0, 0.0], Refusal(retry_after=0.5))
    """

    def __init__(self, config: RateConfig) -> None:
        self.config = config
        self._interval, self._capacity = config.interval, config.capacity
        self._arrival = -math.inf  # after all that have passed
        self._last = -math.inf  # after all that wait, too
        self._queue: OrderedDict[Ticket, None] = OrderedDict()
        self._passed = 0
        self._rejected = 0

    def ask(self, now: float, cost: float = 1.0, most: float | None = None) -> Ticket | Refusal:
        """Take a place, or refuse and say when the call could pass.

        Args:
            now: The present moment, monotonic seconds.
            cost: How many calls this one counts for, >= 0. Default 1.
            most: Seconds that it may wait, if less than the settings say.

        Raises:
            ConfigError: It costs more than could ever pass at once.
        """
        self._let_pass(now)
        if self.passes(now, cost):
            return Ticket(cost, now)
        self.check_cost(cost)
        ticket = Ticket(cost, self._turn(self._last, now, cost))
        wait = ticket.turn - now
        if wait > (self.config.max_wait if most is None else min(most, self.config.max_wait)):
            self._rejected += 1
            return Refusal(wait)
        self._passed += 1
        self._last = self._after(self._last, ticket)
        self._queue[ticket] = None
        return ticket

    def passes(self, now: float, cost: float) -> bool:
        """Let a call pass if it need not wait, the usual case; where it answers no, `ask` says more.

        Args:
            now: The present moment, monotonic seconds.
            cost: How many calls it counts for, >= 0.
        """
        arrival = self._arrival
        if self._queue or not 0 <= cost <= self._capacity:
            return False
        if arrival + (cost - self._capacity) * self._interval > now + _SLACK:
            return False
        self._arrival = self._last = max(arrival, now) + cost * self._interval
        self._passed += 1
        return True

    def check_cost(self, cost: float) -> None:
        """Refuse a cost that makes no sense.

        Raises:
            ConfigError: It is below 0, or more than could ever pass at once.
        """
        if not cost >= 0:
            raise ConfigError(f"must be at least 0, not {cost!r}", path="cost")
        if cost > self._capacity:
            raise ConfigError(f"{cost:g} at once can never pass a burst of {self._capacity:g}", path="cost")

    def _turn(self, arrival: float, now: float, cost: float) -> float:
        return max(now, arrival + (cost - self._capacity) * self._interval)

    def _after(self, arrival: float, ticket: Ticket) -> float:
        return max(arrival, ticket.turn) + ticket.cost * self._interval

    def _let_pass(self, now: float) -> None:
        while self._queue:
            ticket = next(iter(self._queue))
            if ticket.left(now):
                return
            del self._queue[ticket]
            self._arrival = self._after(self._arrival, ticket)

    def give_back(self, ticket: Ticket, now: float) -> list[Ticket]:
        """Return the place of a caller that went away, and return whose turn has moved up.

        A turn that has come is used up, whether its caller is still there or not.
        """
        self._let_pass(now)
        if ticket not in self._queue:
            return []
        del self._queue[ticket]
        self._passed -= 1
        return self._plan(now)

    def _plan(self, now: float) -> list[Ticket]:
        earlier: list[Ticket] = []
        self._last = self._arrival
        for ticket in self._queue:
            turn = self._turn(self._last, now, ticket.cost)
            if turn < ticket.turn:
                earlier.append(ticket)
            ticket.turn = turn
            self._last = self._after(self._last, ticket)
        return earlier

    def reconfigure(self, config: RateConfig, now: float) -> list[Ticket]:
        """Change the settings and return whose turn has moved up. As many calls as were used up stay used up.

        Whoever waits keeps the place, also when its turn is now further away than `max_wait`.

        Raises:
            ConfigError: One that waits could never pass the new burst.
        """
        self._let_pass(now)
        dearest = max((ticket.cost for ticket in self._queue), default=0.0)
        if dearest > config.capacity:
            raise ConfigError(f"a call that costs {dearest:g} is waiting and could never pass", path="burst")
        used = max(0.0, self._arrival - now) / self._interval
        self.config = config
        self._interval, self._capacity = config.interval, config.capacity
        self._arrival = now + used * self._interval
        return self._plan(now)

    def snapshot(self, now: float) -> RateSnapshot:
        """Return the state as a frozen record."""
        self._let_pass(now)
        used = max(0.0, self._last - now) / self._interval
        available = max(0.0, self._capacity - used)
        return RateSnapshot(available, len(self._queue), self._passed, self._rejected)
