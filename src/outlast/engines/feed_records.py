"""What the ladder of a feed is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from outlast.engines.backoff import Backoff
from outlast.errors import ConfigError

_RECONNECT: Final = Backoff.exponential(3.0, cap=60.0)
_CLIMB: Final = Backoff(base=60.0, cap=900.0)


class Rung(StrEnum):
    """Name a way to hear of changes, the quickest first."""

    WEBSOCKET = "websocket"
    SSE = "sse"
    LONG_POLL = "long-poll"
    POLL = "poll"


class Trouble(StrEnum):
    """Name how a rung failed."""

    UNREACHABLE = "unreachable"
    """No answer came, or one that asks to come again later; it says nothing about the rung."""
    UNSUPPORTED = "unsupported"
    """The server, or something before it, answered that it does not offer this rung."""
    LOST = "lost"
    """The connection was open, and was cut or fell silent."""


class Due(StrEnum):
    """Name what is to be done when nothing was heard for as long as `Listen` said."""

    SILENT = "silent"
    PULL = "pull"
    CLIMB = "climb"


@dataclass(frozen=True, slots=True)
class Try:
    """Open this rung now."""

    rung: Rung


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again in that many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Listen:
    """The rung is open: listen that long, `inf` for without a limit, and then do what is due."""

    rung: Rung
    seconds: float
    due: Due


@dataclass(frozen=True, slots=True)
class Refresh:
    """The credentials were refused: ask for new ones, once."""


@dataclass(frozen=True, slots=True)
class Paused:
    """The credentials were refused, and asking for new ones has not helped: wait until somebody brings some."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """So many attempts in a row had no success."""

    attempts: int


Step = Try | Wait | Listen | Refresh | Paused | GiveUp


@dataclass(frozen=True, slots=True)
class LadderConfig:
    """Hold the settings of a ladder.

    Args:
        rungs: The rungs to use, the quickest first, none twice. Default all.
        reconnect: The waits between attempts. Default 3 s, doubling to 60 s, full jitter.
        max_attempts: Attempts without a connection, in a row and on whatever rung, after which to give up, >= 1, or
            None for never. Default None.
        falls_after: Failures in a row on one rung before the next lower is tried, >= 1. Default 3.
        stable_after: Seconds that a connection must live to count as none of them, >= 0. Default 30.
        climb: The waits on a lower rung before the upper ones are tried again; they grow with each fall. Default 60 s,
            doubling to 900 s, +-10 %.
        heartbeat_timeout: Seconds of silence after which a stream of events counts as lost, > 0; the server has to send
            something, such as a comment, more often. WebSockets are asked by a ping as often. Default 45.
        resync_every: Seconds between pulls on a rung that pushes, > 0: a push that was lost and that no later one
            betrays is found by it. Default 300.
        poll_every: Seconds between pulls on the rung that polls, > 0. Default 30.

    Raises:
        ConfigError: A setting makes no sense.
    """

    rungs: tuple[Rung, ...] = tuple(Rung)
    reconnect: Backoff = _RECONNECT
    max_attempts: int | None = None
    falls_after: int = 3
    stable_after: float = 30.0
    climb: Backoff = _CLIMB
    heartbeat_timeout: float = 45.0
    resync_every: float = 300.0
    poll_every: float = 30.0

    def __post_init__(self) -> None:
        """Refuse settings that make no sense."""
        if not self.rungs or len(set(self.rungs)) < len(self.rungs):
            raise ConfigError(f"must name each rung once, and at least one, not {self.rungs!r}", path="rungs")
        if self.max_attempts is not None and self.max_attempts < 1:
            raise ConfigError(f"must be at least 1, not {self.max_attempts!r}", path="max_attempts")
        if self.falls_after < 1:
            raise ConfigError(f"must be at least 1, not {self.falls_after!r}", path="falls_after")
        if not self.stable_after >= 0:
            raise ConfigError(f"must be at least 0 seconds, not {self.stable_after!r}", path="stable_after")
        for name in ("heartbeat_timeout", "resync_every", "poll_every"):
            value: float = getattr(self, name)
            if not value > 0:
                raise ConfigError(f"must be above 0 seconds, not {value!r}", path=name)
