"""The worst that one call through a stack of policies can cost, computed from the inside out."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Worst:
    """Bound one call.

    Args:
        latency: The most seconds until the caller gets an answer or an error; `inf` when nothing bounds it.
        calls: The most calls of the innermost function that it may cause.
    """

    latency: float = math.inf
    calls: int = 1
