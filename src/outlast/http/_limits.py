"""What both kinds of middleware are configured with, and how they judge a request that comes in."""

from __future__ import annotations

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.config import check_number
from outlast.http._expired import ExpiredWork
from outlast.http._headers import parse_timeout
from outlast.http._shed import EXPIRED, Refusal, refusal_for
from outlast.policies import Deadline, deadline


class Limits:
    """Restore deadlines, and decide what is refused.

    Args:
        max_timeout: Seconds that no caller gets more than, > 0.
        default_timeout: Seconds for callers that do not say, or None for no limit.
        max_share: Share of the traffic, above 0 to 1, that may be refused as expired within 10 s.
        retry_after: Seconds for Retry-After where a rejection does not say any, > 0.
        clock: Tells the time.

    Raises:
        ConfigError: A number makes no sense.
    """

    def __init__(
        self,
        *,
        max_timeout: float = 60.0,
        default_timeout: float | None = None,
        max_share: float = 0.2,
        retry_after: float = 1.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_number("max_timeout", max_timeout, above=0.0)
        check_number("retry_after", retry_after, above=0.0)
        if default_timeout is not None:
            check_number("default_timeout", default_timeout, above=0.0, most=max_timeout)
        self._max_timeout = max_timeout
        self._default = default_timeout
        self._retry_after = retry_after
        self._expired = ExpiredWork(max_share)
        self._clock = clock

    def admit(self, header: str | None) -> Deadline | Refusal | None:
        """Return the deadline for a request, the answer that refuses it, or None for a request without a limit.

        Work that came too late but may not be refused runs without the caller's limit, which would end it at once.

        Args:
            header: The value of the timeout header, if there was one.
        """
        asked = parse_timeout(header)
        expired = asked is not None and asked <= 0
        if self._expired.refuse(self._clock.now(), expired=expired):
            return EXPIRED
        seconds = self._default if asked is None or expired else min(asked, self._max_timeout)
        return None if seconds is None else deadline(seconds, clock=self._clock)

    def refusal(self, error: Exception) -> Refusal | None:
        """Return the answer for an exception that came out of the application, or None."""
        return refusal_for(error, self._retry_after)
