"""What stands between the circuit breaker's engine and the world: the lock, the clock, chance, judging and news."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from outlast.clock import Clock, Random
from outlast.engines import BreakerEngine, BreakerSnapshot, CircuitState, Permit, Refusal, Transition, Verdict
from outlast.engines.breaker_phases import Closed, Disabled, Open, Phase, Probing, Ramping, state_of
from outlast.errors import CircuitOpenError
from outlast.events import CallFailed, CallRejected, EventBus
from outlast.policies._announcer import Announcer
from outlast.policies._breaker_settings import Settings
from outlast.policies._judge import Ruling
from outlast.policies._refusal import refusal

_OPEN = CircuitState.OPEN  # an enum's members are slow to reach

UNTIMED = math.inf
"""The beginning of a call whose length does not matter: it took less than any limit."""


class BreakerGate:
    """Ask the engine under the lock, and publish after it; no listener and no rule of a user runs under it.

    Args:
        name: The breaker's name, None when it has none.
        source: The name in its events.
        settings: What the user wants.
        clock: Tells the time.
        random: Spreads open times and admits by degrees.
        bus: Takes the events.
    """

    __slots__ = (
        "_bus",
        "_chance",
        "_judge",
        "_lock",
        "_name",
        "_news",
        "_source",
        "_wall",
        "engine",
        "now",
        "settings",
    )

    def __init__(
        self, name: str | None, source: str, settings: Settings, *, clock: Clock, random: Random, bus: EventBus
    ) -> None:
        self.engine = BreakerEngine(settings.config())
        self.settings = settings
        self.now = clock.now
        self._judge = settings.judge()
        self._name, self._source = name, source
        self._wall, self._chance, self._bus = clock.wall, random.random, bus
        self._lock = threading.Lock()
        self._news = Announcer(source, bus, self._lock)
        self._news.call_on_trip(settings.on_trip)

    def refuse(self) -> None:
        """Refuse without the lock while the circuit is open, which is when calls come in heaps.

        Raises:
            CircuitOpenError: It is open.
        """
        phase = self.engine.phase
        if type(phase) is Open and not self.settings.shadow:
            now = self.now()
            wait = phase.until - now
            if wait > 0:
                self.engine.rejected += 1  # no lock: see BreakerCore
                if self._bus.wants(CallRejected):
                    self._rejected(now, wait)
                # Never by way of a local name: error, traceback and frame would keep each other alive.
                raise refusal(self._name, _OPEN, phase.reason, wait, self._wall())

    def admit(self) -> Permit:
        """Return a permit.

        Raises:
            CircuitOpenError: The circuit is open, or lets no further call through yet.
        """
        era = self.engine.closed
        if era is not None:
            return Permit(era, 0, self.now() if era.timed else UNTIMED)
        self.refuse()
        now, chance = self.now(), self._chance()
        with self._lock:
            answer, change = self.engine.admit(now, chance)
            phase = self.engine.phase
            self._add(change)
        self._news.publish()
        match answer:
            case Permit():
                return answer
            case Refusal(retry_after=wait):
                if self._bus.wants(CallRejected):
                    self._rejected(now, wait)
                if self.settings.shadow:
                    return Permit(Disabled())
                raise self._closed_door(phase, wait)

    def _closed_door(self, phase: Phase, wait: float) -> CircuitOpenError:
        match phase:
            case Open(reason=reason):
                pass
            case Ramping():
                reason = "admits only a share of the calls yet"
            case Probing() | Closed() | Disabled():
                reason = "as many probes as it allows are running"
        return refusal(self._name, state_of(phase), reason, wait, self._wall())

    def _rejected(self, now: float, wait: float) -> None:
        after = wait if wait < math.inf else None
        shadow = self.settings.shadow
        self._bus.publish(CallRejected(source=self._source, at=now, retry_after=after, shadow=shadow))

    def of_error(self, error: BaseException) -> Ruling:
        """Rule on an exception."""
        return self._judge.of_error(error)

    def of_result(self, result: object) -> Ruling:
        """Rule on a result."""
        return self._judge.of_result(result)

    def failed(self, era: Closed, began: float, error: BaseException) -> None:
        """Count a call that was admitted while closed and raised."""
        ruling = self._judge.of_error(error)
        if ruling.verdict is not Verdict.IGNORED:
            self.settle(Permit(era, 0, began), ruling)

    def landed(self, era: Closed, began: float, result: object) -> None:
        """Count a call that was admitted while closed and returned, if more than a bump is due.

        It was slow, or it is the first of its grain of time, or its result must be looked at.
        """
        self.settle(Permit(era, 0, began), self._judge.of_result(result))

    def settle(self, permit: Permit, ruling: Ruling) -> None:
        """Count how a call ended."""
        now = self.now()
        verdict, why, weight = ruling
        failed = verdict is Verdict.FAILURE
        chance = self._chance() if failed else 0.5
        with self._lock:
            failed = failed and self.engine.stands(permit)
            self._add(self.engine.settle(permit, verdict, now, why, weight=weight, chance=chance))
        if failed:
            self._bus.emit(CallFailed, source=self._source, at=now, error=why)
        self._news.publish()

    def record(self, ruling: Ruling, took: float) -> None:
        """Count a result for which no permit was taken."""
        now, chance = self.now(), self._chance()
        verdict, why, weight = ruling
        with self._lock:
            self._add(*self.engine.record(verdict, now, why, weight=weight, took=took, chance=chance))
        self._news.publish()

    def move(self, change: Callable[[float], Transition]) -> None:
        """Change the state by hand."""
        now = self.now()
        with self._lock:
            self._add(change(now))
        self._news.publish()

    def reconfigure(self, settings: Settings) -> tuple[str, ...]:
        """Go on under other settings and say what could not be kept."""
        config, judge, now = settings.config(), settings.judge(), self.now()
        with self._lock:
            lost, change = self.engine.reconfigure(config, now)
            self.settings, self._judge = settings, judge
            self._add(change)
        self._news.call_on_trip(settings.on_trip)
        self._news.publish()
        return tuple(lost)

    def _add(self, *changes: Transition | None) -> None:
        self._news.add(*changes, shadow=self.settings.shadow)

    def refuses(self) -> bool:
        """Tell whether every call would be refused."""
        now = self.now()
        with self._lock:
            return self.engine.refuses(now) and not self.settings.shadow

    def cooldown_remaining(self) -> float:
        """Return the seconds until it may let calls through again."""
        now = self.now()
        with self._lock:
            return self.engine.cooldown_remaining(now)

    def snapshot(self) -> BreakerSnapshot:
        """Return the whole state."""
        now = self.now()
        with self._lock:
            return self.engine.snapshot(now, shadow=self.settings.shadow)
