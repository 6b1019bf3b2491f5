"""How much expired work a server may refuse.

A caller that waits no longer needs no answer. But a clock, a proxy or a slow network can make all work look expired,
and a server that refuses all of it is down. So refusals are paid for by traffic: each request pays in, each refusal
takes out, and what is paid in is worth something for a while only.

Source: Twitter Finagle, DeadlineFilter (at most 20 % within 10 s).
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from outlast.errors import ConfigError

_GRAINS: Final = 10


class ExpiredWork:
    """Decide whether a request that came too late is refused or served all the same.

    Args:
        max_share: Share of the traffic that may be refused, above 0 and at most 1. Default 0.2.
        within: Seconds over which the share is counted, > 0. Default 10.

    Raises:
        ConfigError: A number makes no sense.

    Thread-safe: yes.

    >>> work = ExpiredWork(max_share=0.5)
    >>> [work.refuse(now=0.0, expired=True) for _ in range(4)]
    [False, True, False, True]
    """

    def __init__(self, max_share: float = 0.2, within: float = 10.0) -> None:
        if not 0 < max_share <= 1:
            raise ConfigError(f"must be above 0 and at most 1, not {max_share!r}", path="max_share")
        if not within > 0:
            raise ConfigError(f"must be above 0 seconds, not {within!r}", path="within")
        self._price = 1.0 / max_share
        self._within = within
        self._grain = within / _GRAINS
        self._lock = threading.Lock()
        self._paid: deque[list[float]] = deque()  # [when a grain began, what is left of what was paid in it]

    def refuse(self, now: float, *, expired: bool) -> bool:
        """Count a request, and tell whether it is to be refused.

        Args:
            now: Monotonic seconds.
            expired: Whether its time was over when it came.
        """
        with self._lock:
            self._pay_in(now)
            return expired and self._take()

    def _pay_in(self, now: float) -> None:
        while self._paid and now - self._paid[0][0] >= self._within:
            self._paid.popleft()
        if not self._paid or now - self._paid[-1][0] >= self._grain:
            self._paid.append([now, 0.0])
        self._paid[-1][1] += 1.0

    def _take(self) -> bool:
        due = self._price
        if sum(grain[1] for grain in self._paid) < due - 1e-9:
            return False
        for grain in self._paid:
            part = min(due, grain[1])
            grain[1] -= part
            due -= part
        return True
