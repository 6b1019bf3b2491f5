"""Read how long a server asks to wait. It stands here, below the engines, because `classify` reads answers too.

Source: RFC 9110 section 10.2.3 (Retry-After) and section 5.6.7 (dates).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def parse_retry_after(headers: Mapping[str, str], wall: float | None = None) -> float | None:
    """Return the seconds that an answer asks to wait, or None when it does not say.

    Understood are `Retry-After-Ms` in milliseconds, and `Retry-After` as seconds, as decimals, or as an
    HTTP date. A date is taken relative to the answer's own `Date`, so that a wrong clock on either side
    does not matter. What cannot be understood counts as not said; a moment in the past is 0.

    Args:
        headers: The answer's headers; names are looked up in lower case and as given.
        wall: Present Unix seconds, used only for a date in an answer that has no `Date`. Default None: such
            a date says nothing, for no clock is read here.

    >>> parse_retry_after({"retry-after": "1.5"}, wall=0.0)
    1.5
    """
    millis = _number(_get(headers, "Retry-After-Ms"))
    if millis is not None:
        return millis / 1000.0
    text = _get(headers, "Retry-After")
    if text is None:
        return None
    seconds = _number(text)
    return seconds if seconds is not None else _until(text, _get(headers, "Date"), wall)


def _get(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name.lower())
    return value if value is not None else headers.get(name)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return max(0.0, value) if math.isfinite(value) else None


def _until(text: str, date: str | None, wall: float | None) -> float | None:
    then = _moment(text)
    if then is None:
        return None
    now = _moment(date) if date is not None else None
    now = wall if now is None else now
    return None if now is None else max(0.0, then - now)


def _moment(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return _utc(moment).timestamp()


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
