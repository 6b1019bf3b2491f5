"""Carry records at the wished pace, notice a server without useful answers, and keep secrets out of what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.outbox import (
    Accepted,
    Answer,
    Applied,
    AuthNeeded,
    Busy,
    Found,
    Gone,
    InDoubt,
    Missing,
    NotApplied,
    Op,
    Polling,
    ReadBack,
    Rejected,
    SealedRequest,
    Stale,
    Transport,
    Unreadable,
    Verb,
)

_LEAST_SECRET = 6
_PUBLIC = frozenset({"accept", "accept-language", "user-agent"})


class Pacer:
    """Space out requests evenly.

    Args:
        rate: Requests a second at most, or None for no limit.
        clock: Where the time comes from.
    """

    def __init__(self, rate: float | None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._gap = 0.0 if rate is None else 1.0 / rate
        self._clock = clock
        self._next = 0.0

    async def turn(self) -> None:
        """Wait until the next request may go.

        Cancel: the turn is used up.
        """
        now = self._clock.now()
        mine = max(now, self._next)
        self._next = mine + self._gap
        if mine > now:
            await self._clock.asleep(mine - now)


class Courier:
    """Be a transport around another.

    A server may repeat in an error what it was sent, a token included; what it says is stored as the
    reason of an op, so every part of a secret is taken out of it first.

    Args:
        inner: What carries the ops.
        pacer: When a request may go.
        headers: The headers whose values are not to be stored.
        clock: Where the time comes from.
    """

    def __init__(self, inner: Transport, pacer: Pacer, headers: Mapping[str, str], clock: Clock = SYSTEM_CLOCK) -> None:
        self._inner = inner
        self._pacer = pacer
        self._secrets = _parts(value for name, value in headers.items() if name.lower() not in _PUBLIC)
        self._clock = clock
        self._silent_since: float | None = None

    @property
    def origin(self) -> str:
        """Return the name of the server."""
        return self._inner.origin

    @property
    def silent_for(self) -> float:
        """Return the seconds since a request went out after the last useful answer, 0 when none is open."""
        return 0.0 if self._silent_since is None else self._clock.now() - self._silent_since

    def seal(self, op: Op) -> SealedRequest:
        """Freeze the request of an op."""
        return self._inner.seal(op)

    async def send(self, op: Op, request: SealedRequest) -> Answer:
        """Send a request when it is its turn; see `Transport.send`."""
        await self._ask()
        return self._heard(op, await self._inner.send(op, request))

    async def poll(self, op: Op, request: SealedRequest, url: str) -> Answer:
        """Ask about what the server has accepted when it is its turn; see `Polling`."""
        if not isinstance(self._inner, Polling):
            return Gone("the transport cannot ask about it")
        await self._ask()
        return self._heard(op, await self._inner.poll(op, request, url))

    def _heard(self, op: Op, answer: Answer) -> Answer:
        match answer:
            case Applied() | Accepted():
                self._silent_since = None
                return answer
            case Gone() | Rejected() | AuthNeeded():
                self._silent_since = None
            case Stale():
                # Nothing is settled yet where the answer to reading back decides.
                self._silent_since = None if op.verb is Verb.POST else self._silent_since
            case NotApplied() | InDoubt() | Busy():
                self._silent_since = self._silent_since or self._clock.now()
        return replace(answer, reason=self._clean(answer.reason))

    async def read_back(self, op: Op, request: SealedRequest) -> ReadBack:
        """Read the entity when it is its turn; see `Transport.read_back`."""
        await self._ask()
        found = await self._inner.read_back(op, request)
        match found:
            case Unreadable(permanent=False):
                self._silent_since = self._silent_since or self._clock.now()
                return replace(found, reason=self._clean(found.reason))
            case Unreadable() | Found() | Missing():
                self._silent_since = None
                return found

    async def _ask(self) -> None:
        await self._pacer.turn()
        if self._silent_since is None:
            self._silent_since = self._clock.now()

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = _without(text.replace(secret, "(secret)"), secret)
        return text


def _without(text: str, secret: str) -> str:
    """Cut off the beginning of a secret at the end of a text: reasons are shortened, perhaps in its middle."""
    lengths = range(min(len(secret), len(text)), _LEAST_SECRET - 1, -1)
    return next((text[:-length] + "(secret)" for length in lengths if text.endswith(secret[:length])), text)


def _parts(values: Iterable[str]) -> tuple[str, ...]:
    """Return the values and the words of them, longest first; a word too short to be a secret would garble the text."""
    words = {word for value in values for word in (value, *value.split())}
    return tuple(sorted((word for word in words if len(word) >= _LEAST_SECRET), key=len, reverse=True))
