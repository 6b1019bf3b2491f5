"""Decide how many ops may be sent to an origin now: its circuit, and the pauses that it asked for."""

from __future__ import annotations

from outlast.clock import Clock
from outlast.engines.backoff import Backoff, Jitter
from outlast.engines.op import Accepted, Answer, Applied, AuthNeeded, Busy, Gone, InDoubt, NotApplied, Rejected, Stale
from outlast.errors import CircuitOpenError, NetworkError, RateLimitError, ServerError
from outlast.events import EventBus
from outlast.policies import BreakerPermit, CircuitBreaker, CircuitState, HalfOpen


class OriginGate:
    """Hold back the ops of an origin that does not answer, without spending their attempts.

    While the circuit is open nothing is claimed; then one op goes as a probe, and its success lets all
    of them go. A 429 pauses the origin for as long as it asks.

    Args:
        clock: Where the time comes from.
        bus: Where events go.
        breaker: The circuit. Default: 5 failures in a row, open for 1 s, doubling up to 30 s, one probe.
    """

    def __init__(self, clock: Clock, bus: EventBus, breaker: CircuitBreaker | None = None) -> None:
        self._clock = clock
        self._breaker = breaker or CircuitBreaker(
            recovery=HalfOpen(max_calls=1, success_threshold=1),
            open_for=1.0,
            open_growth=Backoff(factor=2.0, cap=30.0, jitter=Jitter.NONE),
            clock=clock,
            bus=bus,
        )
        self._paused_until = 0.0
        self._troubled = False

    @property
    def breaker(self) -> CircuitBreaker:
        """Return the circuit."""
        return self._breaker

    def pause(self, seconds: float) -> None:
        """Send nothing for a while; a longer pause that is in force stays."""
        self._paused_until = max(self._paused_until, self._clock.now() + seconds)

    def closed_for(self) -> float:
        """Return the seconds for which nothing may be sent, 0 when something may."""
        return max(0.0, self._paused_until - self._clock.now(), self._breaker.cooldown_remaining())

    def permits(self, most: int) -> list[BreakerPermit]:
        """Return up to that many permits to send one op each."""
        found: list[BreakerPermit] = []
        if self.closed_for() > 0:
            return found
        try:
            # Asked first: a refusal that nobody suffers must not be counted and told as one.
            while len(found) < most and not self._breaker.is_tripped():
                found.append(self._breaker.acquire())
        except CircuitOpenError:
            pass
        return found

    def recovered(self) -> bool:
        """Tell, once, that the circuit has closed again; somebody else's call may have closed it."""
        if self._breaker.state is not CircuitState.CLOSED:
            self._troubled = True
            return False
        recovered, self._troubled = self._troubled, False
        return recovered

    def judge(self, permit: BreakerPermit, answer: Answer) -> None:
        """Settle a permit by what came back."""
        match answer:
            case NotApplied(reason=reason) | InDoubt(reason=reason):
                permit.failure(NetworkError(reason))
            case Busy(whole_origin=True, reason=reason):
                probing = self._breaker.state is CircuitState.HALF_OPEN
                permit.failure(RateLimitError(reason)) if probing else permit.ignore()
            case Busy(reason=reason):
                permit.failure(ServerError(reason))
            case Applied() | Accepted() | Stale() | Gone() | Rejected() | AuthNeeded():
                permit.success()
