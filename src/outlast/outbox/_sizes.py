"""How large writes are, and whether each of them is small enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from outlast.engines.bounds import OutboxLimits
from outlast.outbox._write import Write

_ROW: Final = 256
"""Bytes that a write takes up besides its bodies."""


def check_bodies(limits: OutboxLimits, writes: Sequence[Write]) -> None:
    """Refuse a write with more bytes than one may have.

    Raises:
        ConfigError: One has.
    """
    most = limits.max_body
    if most is not None:
        for write in writes:
            # Looked at for every write there is, so without a call where all is well.
            if len(write.body or b"") > most or len(write.base or b"") > most:
                limits.check_body("write.body", write.body)
                limits.check_body("write.base", write.base)


def size_of(writes: Sequence[Write]) -> int:
    """Return about how many bytes writes take up in a file."""
    size = _ROW * len(writes)
    for write in writes:
        size += len(write.body or b"") + len(write.base or b"")
    return size
