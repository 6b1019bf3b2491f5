"""Decide over which rung a feed listens, and when it tries again.

A rung that the server does not offer is left at once for the next lower; one that fails again and again is left after
some waits. Below the lowest comes the topmost: who fails everywhere has lost the network, not the rung. From a lower
rung the upper ones are tried now and then, one after the other and without waits, back down to where it came from.

Source: full jitter after M. Brooker, "Exponential Backoff And Jitter" (2015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from outlast.engines.feed_records import (
    Due,
    GiveUp,
    LadderConfig,
    Listen,
    Paused,
    Refresh,
    Rung,
    Step,
    Trouble,
    Try,
    Wait,
)

_PUSHING: Final = frozenset({Rung.WEBSOCKET, Rung.SSE})
_LONGEST_ASKED: Final = 3600.0
"""Seconds: a server that asks for a longer wait is believed this far."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """The rung may be tried."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """The credentials were refused; `refresh` says whether new ones may be asked for."""

    refresh: bool


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Nothing happens before `until`; what is next then."""

    until: float
    then: _Ready | _Refused


@dataclass(slots=True)
class _Open:
    """The rung is open since then; how long it was listened to in vain, the last pull, when to try the upper rungs."""

    since: float
    pulled: float
    climb_at: float
    quiet: float = 0.0


@dataclass(frozen=True, slots=True)
class _Ended:
    """Too many attempts in a row had no success."""


_Phase = _Ready | _Refused | _Waiting | _Open | _Ended


class FeedLadder:
    """Say what a feed does next; it is told what became of that.

    Thread-safe: no.

    >>> ladder = FeedLadder(LadderConfig())
    >>> ladder.step(now=0.0)
    Try(rung=<Rung.WEBSOCKET: 'websocket'>)
    >>> ladder.failed(now=0.0, chance=0.5, trouble=Trouble.UNSUPPORTED)
    >>> ladder.step(now=0.0)
    Try(rung=<Rung.SSE: 'sse'>)
    """

    def __init__(self, config: LadderConfig) -> None:
        self._config = config
        self._phase: _Phase = _Ready()
        self._place = 0
        self._home: int | None = None  # the rung that a climb started from
        self._here = 0  # failures in a row on this rung
        self._failures = 0  # failures since a connection was stable: how far the waits have grown
        self._attempts = 0  # attempts since a connection was open
        self._falls = 0  # how often upper rungs were tried again in vain, or opened and did not last
        self._outage = False  # no rung answered, so the present one was not chosen for its own sake
        self._asked = False  # new credentials were asked for, and no connection has been open since
        self._hasty = False  # new credentials were asked for, and no connection has been stable since

    def __repr__(self) -> str:
        """Return the whole state."""
        counts = f"failures={self._failures}, attempts={self._attempts}, falls={self._falls}, home={self._home}"
        return f"FeedLadder({self.rung.value}, {self._phase}, {counts})"

    @property
    def rung(self) -> Rung:
        """Return the rung that is open or will be tried."""
        return self._config.rungs[self._place]

    def step(self, now: float) -> Step:
        """Return what to do now."""
        match self._phase:
            case _Ready():
                return Try(self.rung)
            case _Refused(refresh):
                return Refresh() if refresh else Paused()
            case _Waiting(until, then):
                if now < until:
                    return Wait(until - now)
                self._phase = then
                return self.step(now)
            case _Open() as phase:
                return self._listen(phase, now)
            case _Ended():
                return GiveUp(self._attempts)

    def _listen(self, phase: _Open, now: float) -> Listen:
        left = {
            Due.SILENT: self._config.heartbeat_timeout - phase.quiet if self.rung is Rung.SSE else math.inf,
            Due.PULL: phase.pulled + self._pull_every() - now,
            Due.CLIMB: phase.climb_at - now,
        }
        due = min(left, key=left.__getitem__)
        return Listen(self.rung, max(0.0, left[due]), due)

    def _pull_every(self) -> float:
        if self.rung in _PUSHING:
            return self._config.resync_every
        return self._config.poll_every if self.rung is Rung.POLL else math.inf

    def opened(self, now: float, chance: float) -> None:
        """Note that the rung is open and everything up to now was pulled."""
        climb_at = math.inf
        if self._place:
            climb_at = now + (0.0 if self._outage else self._config.climb.wait(self._falls + 1, chance))
        self._attempts, self._home, self._outage, self._asked = 0, None, False, False
        self._phase = _Open(since=now, pulled=now, climb_at=climb_at)

    def heard(self) -> None:
        """Note that something came, whatever it was."""
        if isinstance(self._phase, _Open):
            self._phase.quiet = 0.0

    def listened(self, seconds: float) -> None:
        """Note that nothing came while somebody listened; time in which nobody did is no silence."""
        if isinstance(self._phase, _Open):
            self._phase.quiet += seconds

    def pulled(self, now: float) -> None:
        """Note that everything up to now was pulled."""
        if isinstance(self._phase, _Open):
            self._phase.pulled = now

    def climb(self) -> None:
        """Try the upper rungs; the open one has been closed."""
        if isinstance(self._phase, _Open) and self._place:
            self._home, self._place, self._phase = self._place, 0, _Ready()

    def failed(self, now: float, chance: float, trouble: Trouble, *, at_least: float = 0.0) -> None:
        """Note that the rung failed.

        Args:
            now: The present moment.
            chance: A random number from [0, 1).
            trouble: How.
            at_least: Seconds that the server has asked to wait.
        """
        self._forgive(now)
        asked = min(at_least, _LONGEST_ASKED)
        if self._home is not None:
            self._step_back()
            self._phase = _Waiting(now + asked, _Ready())
            return
        self._attempts += 1
        if trouble is Trouble.UNSUPPORTED and self._place + 1 < len(self._config.rungs):
            self._falls += isinstance(self._phase, _Open)  # it only seemed to be offered
            self._place, self._here = self._place + 1, 0
            self._pause(now, asked, _Ready())
            return
        self._count(trouble)
        self._pause(now, max(asked, self._wait(chance)), _Ready())

    def _count(self, trouble: Trouble) -> None:
        self._failures += 1
        self._here += 1
        if self._here >= self._config.falls_after or trouble is Trouble.UNSUPPORTED:
            self._fall(trouble)

    def _forgive(self, now: float) -> None:
        """Forget failures when the connection that ends now has lived for long; a stream dies as it falls silent."""
        if not isinstance(self._phase, _Open):
            return
        silent = self._phase.quiet if self.rung is Rung.SSE else 0.0
        if now - self._phase.since - silent >= self._config.stable_after:
            self._here = self._failures = 0
            self._falls = self._falls if self._place else 0
            self._hasty = False

    def _step_back(self) -> None:
        """Leave a rung that a climb has tried in vain."""
        self._place += 1
        if self._place == self._home:
            self._home = None
            self._falls += 1

    def _fall(self, trouble: Trouble) -> None:
        self._here = 0
        self._place += 1
        if self._place == len(self._config.rungs):
            self._place, self._outage = 0, True
        elif trouble is Trouble.LOST:
            self._falls += 1

    def _wait(self, chance: float) -> float:
        return self._config.reconnect.wait(self._failures, chance)

    def _pause(self, now: float, seconds: float, then: _Ready | _Refused) -> None:
        most = self._config.max_attempts
        ended = most is not None and self._attempts >= most
        self._phase = _Ended() if ended else _Waiting(now + seconds, then)

    def refused(self, now: float, chance: float, *, refreshable: bool) -> None:
        """Note that the credentials were refused.

        Args:
            now: The present moment.
            chance: A random number from [0, 1).
            refreshable: Whether there is somebody to ask for new ones.
        """
        self._forgive(now)
        refresh = refreshable and not self._asked
        if refresh and self._hasty:  # the last ones were good for a moment only, and the next may be no better
            self._count(Trouble.LOST)
            self._pause(now, self._wait(chance), _Refused(refresh))
        else:
            self._phase = _Refused(refresh)

    def refresh_failed(self, now: float, chance: float) -> None:
        """Note that who was asked for new credentials has failed."""
        self._attempts += 1
        self._failures += 1
        self._pause(now, self._wait(chance), _Refused(refresh=True))

    def renewed(self, *, asked: bool) -> None:
        """Go on with new credentials.

        Args:
            asked: Whether they were asked for after a refusal; brought ones start afresh.
        """
        self._asked = self._hasty = asked
        if not isinstance(self._phase, _Open):
            self._attempts = self._attempts if asked else 0
            self._phase = _Ready()

    def wake(self) -> None:
        """Try at once instead of waiting further."""
        if isinstance(self._phase, _Waiting):
            self._phase = self._phase.then
