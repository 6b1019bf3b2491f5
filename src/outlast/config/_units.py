"""Read durations and sizes as people write them."""

from __future__ import annotations

import math
import re
from typing import Any

from outlast.errors import ConfigError

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.IGNORECASE)


def parse_duration(value: float | str, *, path: str = "") -> float:
    """Return seconds from a number or from text such as `30s`, `250ms`, `1h30m`.

    Args:
        value: Seconds as a number, or text with units ms, s, m, h, d.
        path: Where in the configuration it stands, for the error.

    Raises:
        ConfigError: It is neither, or negative, or not finite.

    >>> parse_duration("1h30m"), parse_duration("250ms"), parse_duration(2)
    (5400.0, 0.25, 2.0)
    """
    seconds = _number(value) if not isinstance(value, str) else _sum(value, _SECONDS)
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        raise ConfigError(
            f"{value!r} is not a duration; write seconds as a number, or such as 30s, 250ms, 1h", path=path
        )
    return seconds


def parse_size(value: int | str, *, path: str = "") -> int:
    """Return bytes from a number or from text such as `64MiB`, `1GB`.

    Args:
        value: Bytes as a whole number, or text with units B, KiB, MiB, GiB, kB, MB, GB.
        path: Where in the configuration it stands, for the error.

    Raises:
        ConfigError: It is neither, or negative.

    >>> parse_size("64MiB")
    67108864
    """
    size = _number(value) if not isinstance(value, str) else _sum(value, _BYTES)
    if size is None or not math.isfinite(size) or size < 0 or size != int(size):
        raise ConfigError(f"{value!r} is not a size; write bytes as a whole number, or such as 64MiB, 1GB", path=path)
    return int(size)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _sum(text: str, units: dict[str, float] | dict[str, int]) -> float | None:
    parts = _PART.findall(text.strip())
    if not parts:
        return _plain(text)
    if re.sub(_PART, "", text).strip() or any(unit.lower() not in units for _, unit in parts):
        return None
    return math.fsum(float(number) * units[unit.lower()] for number, unit in parts)


def _plain(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
