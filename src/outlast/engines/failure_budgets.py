"""How often an op may fail, counted apart for each way to fail.

One counter for all would send a write to the dead letters because the train was in a tunnel. So: no answer
costs nothing, however often; a busy server is waited for until the op expires; a refusal is final, or nearly;
and an op that was on the wire when its process died, again and again, is suspected of having killed it.

Source: Sidekiq gives up a job after three recoveries; Amplify's finite offline retries lost data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self

from outlast.engines.op import Answer, Applied, AuthNeeded, Busy, Gone, InDoubt, NotApplied, Rejected, Stale
from outlast.errors import ConfigError


class Failure(StrEnum):
    """Name the ways to fail that are counted apart."""

    NO_ANSWER = "no_answer"
    """Nothing came back, so nobody can be blamed but the way there."""
    BUSY = "busy"
    """The server cannot do it now."""
    REJECTED = "rejected"
    """The server does not want it."""
    KILLED = "killed"
    """The process died, or stopped answering, between claiming the op and recording what became of it."""


@dataclass(frozen=True, slots=True)
class FailureBudgets:
    """Hold how much of each failure an op is forgiven. No answer is always forgiven, busy until the op expires.

    Args:
        rejected: How many refusals are tried again, >= 0. Default 0.
        killed: How many deaths of its process an op survives, >= 0. Default 3.
    """

    rejected: int = 0
    killed: int = 3

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        for name in ("rejected", "killed"):
            value: int = getattr(self, name)
            if value < 0:
                raise ConfigError(f"must be at least 0, not {value!r}", path=f"budgets.{name}")


@dataclass(frozen=True, slots=True)
class Spent:
    """Count the failures of one op since its content last changed.

    Args:
        no_answer: Attempts that got none.
        busy: Answers that said later.
        rejected: Answers that said no.
        killed: Claims that were never reported on.
    """

    no_answer: int = 0
    busy: int = 0
    rejected: int = 0
    killed: int = 0

    def to_data(self) -> dict[str, int]:
        """Return it as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_data` gave; what is not counted there is 0, what is not known here is passed over."""
        return cls(**{name: int(data[name]) for name in cls.__slots__ if name in data})


@dataclass(frozen=True, slots=True)
class Forgiven:
    """Try again.

    Args:
        spent: The counts to store.
    """

    spent: Spent


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Put the op into the dead letters.

    Args:
        spent: The counts to store.
        failure: Which budget is used up.
        reason: The same in words.
    """

    spent: Spent
    failure: Failure
    reason: str


def failure_of(answer: Answer) -> Failure | None:
    """Return what an answer is counted as, None if it is no failure of the op.

    Refused credentials say nothing about the op, and a conflict has rounds of its own.
    """
    match answer:
        case NotApplied() | InDoubt():
            return Failure.NO_ANSWER
        case Busy():
            return Failure.BUSY
        case Rejected():
            return Failure.REJECTED
        case Applied() | Stale() | Gone() | AuthNeeded():
            return None


def spend(
    budgets: FailureBudgets, spent: Spent, failure: Failure, *, wall: float, expires: float | None = None
) -> Forgiven | Exhausted:
    """Count one failure and say whether the op may be tried again.

    Args:
        budgets: What is forgiven.
        spent: What was counted before.
        failure: What happened.
        wall: Unix seconds now.
        expires: Unix seconds after which a busy server is waited for no longer, None for ever.

    >>> spend(FailureBudgets(), Spent(no_answer=10_000), Failure.NO_ANSWER, wall=0.0)
    Forgiven(spent=Spent(no_answer=10001, busy=0, rejected=0, killed=0))
    >>> spend(FailureBudgets(), Spent(killed=3), Failure.KILLED, wall=0.0).reason
    'death 4 of its process while it was being sent; 3 are forgiven'
    """
    count = getattr(spent, failure.value) + 1
    now = replace(spent, **{failure.value: count})
    match failure:
        case Failure.NO_ANSWER:
            reason = ""
        case Failure.BUSY:
            over = expires is not None and wall >= expires
            reason = f"it expired while the server was busy (answer {count})" if over else ""
        case Failure.REJECTED:
            reason = f"refusal {count}; {budgets.rejected} are forgiven" if count > budgets.rejected else ""
        case Failure.KILLED:
            over = count > budgets.killed
            reason = (
                f"death {count} of its process while it was being sent; {budgets.killed} are forgiven" if over else ""
            )
    return Exhausted(now, failure, reason) if reason else Forgiven(now)
