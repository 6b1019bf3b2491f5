"""Check arguments and settings, with errors that say where and what was meant."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Any

from outlast.errors import ConfigError


def suggest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is nearest to a mistyped one, or an empty string.

    >>> suggest("atempts", ["attempts", "backoff"])
    'attempts'
    """
    near = difflib.get_close_matches(word, list(known), n=1)
    return near[0] if near else ""


def check_known(names: Iterable[str], known: Iterable[str], *, path: str = "") -> None:
    """Refuse names that nobody knows.

    Args:
        names: The keys that were given.
        known: The keys that exist.
        path: Where in the configuration they stand.

    Raises:
        ConfigError: One is unknown; the error suggests the nearest.
    """
    known = sorted(known)
    for name in names:
        if name not in known:
            where = f"{path}.{name}" if path else name
            raise ConfigError(
                f"unknown setting; there are: {', '.join(known)}", path=where, suggestion=suggest(name, known)
            )


def check_number(
    name: str, value: Any, *, above: float | None = None, least: float | None = None, most: float | None = None
) -> None:
    """Refuse a number that is not one, not finite or out of range.

    Args:
        name: What it is called.
        value: The number.
        above: It must be larger than this.
        least: It must be this or larger.
        most: It must be this or smaller.

    Raises:
        ConfigError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise ConfigError(f"must be a number, not {value!r}", path=name)
    if above is not None and not value > above:
        raise ConfigError(f"must be above {above:g}, not {value!r}", path=name)
    if least is not None and value < least:
        raise ConfigError(f"must be at least {least:g}, not {value!r}", path=name)
    if most is not None and value > most:
        raise ConfigError(f"must be at most {most:g}, not {value!r}", path=name)


def check_callable(name: str, value: Any) -> None:
    """Refuse a rule that is no function; None stands for no rule.

    Args:
        name: What it is called.
        value: The function.

    Raises:
        ConfigError: It is neither a function nor None.
    """
    if value is not None and not callable(value):
        raise ConfigError(f"must be a function, not {value!r}", path=name)
