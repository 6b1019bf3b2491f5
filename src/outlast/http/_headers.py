"""The headers by which a call tells the next service how much time is left, and which attempt it is.

What is left is sent, not a moment, as gRPC does: the clocks of two machines need not agree.
"""

from __future__ import annotations

import math
from typing import Final

TIMEOUT_HEADER: Final = "Outlast-Timeout-Ms"
"""Whole milliseconds that are left for the call, when it was sent."""

ATTEMPT_HEADER: Final = "Outlast-Attempt"
"""The number of the attempt, from 1."""

_LONGEST: Final = 15
"""Digits of the largest number that is believed; a header is somebody else's text."""


def format_timeout(seconds: float) -> str:
    """Return the value of the timeout header, rounded down so that nobody believes in more time than there is.

    Args:
        seconds: What is left; below 0 counts as 0.

    >>> format_timeout(1.2345)
    '1234'
    """
    return str(math.floor(max(0.0, seconds) * 1000.0 + 1e-6))


def parse_timeout(value: str | None) -> float | None:
    """Return the seconds in a timeout header, or None where there is none that makes sense.

    Args:
        value: The header's value, if there was one.

    >>> parse_timeout("250"), parse_timeout("soon"), parse_timeout("-1")
    (0.25, None, None)
    """
    text = "" if value is None else value.strip()
    return int(text) / 1000.0 if text.isascii() and text.isdecimal() and len(text) <= _LONGEST else None
