"""The error of a call that a circuit breaker refused."""

from __future__ import annotations

import math
from typing import Any

from outlast import errors
from outlast.engines import CircuitState


class CircuitOpenError(errors.CircuitOpenError):
    """Be the public error of that name, filled in when somebody reads it.

    An open circuit refuses calls by the thousand, and most callers look at no more than the type.
    """

    def __getattr__(self, name: str) -> Any:
        """Fill in all fields when the first of them is missed."""
        if name.startswith("__") or "message" in vars(self):
            raise AttributeError(name)
        circuit, state, reason, wait, wall = self.args  # as `refusal` left them; the message takes their place
        message, after = in_words(circuit, state, reason, wait), wait if math.isfinite(wait) else None
        errors.CircuitOpenError.__init__(self, message, retry_after=after, operation=circuit, timestamp=wall)
        return getattr(self, name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the public error."""
        return (_public, (self.message, vars(self)))

    def __repr__(self) -> str:
        """Show the message."""
        return f"{type(self).__name__}({self.message!r})"


def _public(text: str, fields: dict[str, Any]) -> errors.CircuitOpenError:
    error = errors.CircuitOpenError(text)
    vars(error).update(fields)
    return error


def refusal(name: str | None, state: CircuitState, reason: str, wait: float, wall: float) -> CircuitOpenError:
    """Return the error for a refused call.

    Args:
        name: The breaker's name, or None.
        state: Its state when it refused.
        reason: Why it is open; while half-open, what keeps the call out.
        wait: Seconds until a call may be admitted, `inf` while it is held open by hand.
        wall: Present Unix seconds.

    >>> error = refusal("payments", CircuitState.OPEN, "5 failures in a row", 12.5, 0.0)
    >>> error.retry_after, error.operation, error.retryable
    (12.5, 'payments', True)
    """
    # Past __init__, which costs more than all the rest of a refusal.
    return _new(CircuitOpenError, name, state, reason, wait, wall)


_new = CircuitOpenError.__new__


def in_words(name: str | None, state: CircuitState, reason: str, wait: float) -> str:
    """Say which circuit refused, why, and when it will let a call through.

    >>> in_words("payments", CircuitState.OPEN, "5 failures in a row", 12.5)
    "circuit 'payments' is open (5 failures in a row); it will probe in 12.5 s"
    """
    circuit = "the circuit" if name is None else f"circuit {name!r}"
    if state is CircuitState.HALF_OPEN:
        return f"{circuit} is half-open, and {reason}; ask again in {wait:.3g} s"
    if math.isinf(wait):
        return f"{circuit} is open ({reason}); it stays so until force_closed() or reset()"
    return f"{circuit} is open ({reason}); it will probe in {wait:.3g} s"
