"""Read how long a server asks to wait; the parser stands in `outlast.errors`, which reads it from exceptions too."""

from __future__ import annotations

from outlast.errors import parse_retry_after

__all__ = ["parse_retry_after"]
