"""How large writes are, and whether each of them is small enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from outlast.engines.bounds import OutboxLimits
from outlast.outbox._records import Write

_ROW: Final = 256
"""Bytes that a write takes up besides its bodies."""


def check_bodies(limits: OutboxLimits, writes: Sequence[Write]) -> None:
    """Refuse a write with more bytes than one may have.

    Raises:
        ConfigError: One has.
    """
    if limits.max_body is not None:
        for write in writes:
            limits.check_body("write.body", write.body)
            limits.check_body("write.base", write.base)


def size_of(writes: Sequence[Write]) -> int:
    """Return about how many bytes writes take up in a file."""
    return sum(_ROW + len(write.body or b"") + len(write.base or b"") for write in writes)
