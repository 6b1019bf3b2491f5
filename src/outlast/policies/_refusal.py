"""Word the error of a call that a circuit breaker refused."""

from __future__ import annotations

import math

from outlast.engines import CircuitState
from outlast.errors import CircuitOpenError


def refusal(name: str | None, state: CircuitState, reason: str, wait: float, wall: float) -> CircuitOpenError:
    """Return the error for a refused call: which circuit, why it is open, and when it will probe.

    Args:
        name: The breaker's name, or None.
        state: Its state when it refused.
        reason: Why it is in that state.
        wait: Seconds until a call may be admitted, `inf` while it is held open by hand.
        wall: Present Unix seconds.

    >>> str(refusal("payments", CircuitState.OPEN, "5 failures in a row", 12.5, 0.0))
    "circuit 'payments' is open (5 failures in a row); it will probe in 12.5 s"
    """
    circuit = "the circuit" if name is None else f"circuit {name!r}"
    if state is CircuitState.HALF_OPEN:
        message = f"{circuit} is half-open, and as many probes as it allows are running; ask again in {wait:.3g} s"
    elif math.isinf(wait):
        message = f"{circuit} is open ({reason}); it stays so until force_closed() or reset()"
    else:
        message = f"{circuit} is open ({reason}); it will probe in {wait:.3g} s"
    after = wait if math.isfinite(wait) else None
    return CircuitOpenError(message, retry_after=after, operation=name, timestamp=wall)
